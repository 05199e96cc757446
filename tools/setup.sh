# What tools/demo.sh and tools/test.sh need before they start; read by them with `source`, fast when all is there.
#
# Afterwards $ROOT is the checkout and $VENV its own virtual environment with the project and its extras `all` and `test`.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="$ROOT/.venv"
SYSTEM_LIBRARIES_MISSING=""

say() { printf '%s\n' "$*" >&2; }
stop() { say "$*"; exit 1; }
is_root_on_debian() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

install_debian_packages() {
    say "Installing system packages: $*"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >&2
}

# Shared library (or command) and the Debian package that brings it. Qt's own wheel carries everything else.
SYSTEM_PARTS="
Xvfb                     xvfb
xauth                    xauth
libEGL.so.1              libegl1
libGL.so.1               libgl1
libglib-2.0.so.0         libglib2.0-0
libdbus-1.so.3           libdbus-1-3
libfontconfig.so.1       libfontconfig1
libX11-xcb.so.1          libx11-xcb1
libxkbcommon-x11.so.0    libxkbcommon-x11-0
libxcb-cursor.so.0       libxcb-cursor0
libxcb-icccm.so.4        libxcb-icccm4
libxcb-image.so.0        libxcb-image0
libxcb-keysyms.so.1      libxcb-keysyms1
libxcb-randr.so.0        libxcb-randr0
libxcb-render-util.so.0  libxcb-render-util0
libxcb-shape.so.0        libxcb-shape0
libxcb-sync.so.1         libxcb-sync1
libxcb-xfixes.so.0       libxcb-xfixes0
libxcb-xinerama.so.0     libxcb-xinerama0
libxcb-xkb.so.1          libxcb-xkb1
"

missing_packages() {
    local known part package
    known="$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null || true)"
    while read -r part package; do
        [ -n "$part" ] || continue
        case "$part" in
            lib*) [[ "$known" == *"$part"* ]] || printf '%s ' "$package" ;;
            *) command -v "$part" >/dev/null || printf '%s ' "$package" ;;
        esac
    done <<<"$SYSTEM_PARTS"
}

find_system_libraries() {
    local packages
    packages="$(missing_packages)"
    [ -n "$packages" ] || return 0
    # shellcheck disable=SC2086  # a list of words
    if is_root_on_debian && install_debian_packages $packages; then
        packages="$(missing_packages)"
    fi
    [ -n "$packages" ] || return 0
    SYSTEM_LIBRARIES_MISSING="System libraries for a napari window are missing. On Debian or Ubuntu install them with
    sudo apt-get install ${packages% }
and on another Linux install what carries the same libraries; then run this again."
}

find_python() {
    local name
    for name in python3.13 python3.12 python3.11 python3; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    stop "Python 3.11 or later was not found (looked for python3.13, python3.12, python3.11 and python3);
install it, for example with: sudo apt-get install python3 python3-venv"
}

make_environment() {
    local python version
    python="$(find_python)" || exit 1
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        version="$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
        is_root_on_debian && install_debian_packages "python$version-venv" || true
        "$python" -c 'import ensurepip, venv' 2>/dev/null ||
            stop "$python cannot make virtual environments; install its module with: sudo apt-get install python$version-venv"
    fi
    say "Making a virtual environment with $python in $VENV"
    "$python" -m venv --clear "$VENV"
}

install_project() {
    local stamp="$VENV/napari-simmat.stamp" wanted
    "$VENV/bin/python" -c 'import pip' 2>/dev/null || make_environment
    wanted="$(cat "$ROOT/pyproject.toml" <("$VENV/bin/python" -VV) <(printf '%s' "$ROOT") | sha256sum)"
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return 0
    say "Installing napari-simmat and what it needs (some minutes the first time)"
    "$VENV/bin/python" -m pip install --disable-pip-version-check --quiet --editable "$ROOT[all,test]" >&2
    printf '%s\n' "$wanted" >"$stamp"
}

find_system_libraries
install_project
