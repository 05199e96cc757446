#!/usr/bin/env bash
# Passes the tests: style, types, then pytest with real windows on a virtual screen. Does all its own set-up.
# Arguments go to pytest; its summary is the end of what is printed. Files of tests are shared among two processes.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

[ -z "$SYSTEM_LIBRARIES_MISSING" ] || stop "$SYSTEM_LIBRARIES_MISSING"
cd "$ROOT"
status=0
"$VENV/bin/ruff" check . || status=1
"$VENV/bin/ruff" format --check . || status=1
"$VENV/bin/mypy" || status=1

# A screen of its own and software rendering, so that no setting of this machine's desktop matters.
unset WAYLAND_DISPLAY WAYLAND_SOCKET
export QT_QPA_PLATFORM=xcb LIBGL_ALWAYS_SOFTWARE=1 PYTHONUNBUFFERED=1
# Two processes of one thread each, which grow to 5 GB each; what a file of tests sets up is made by one of them, once.
export OMP_NUM_THREADS=1
# Many tests start processes, each of which would compile the package anew.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX="$VENV/pycache"
cores="$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)"
workers=$((cores < 2 ? 1 : 2))
xvfb-run --auto-servernum --server-args="-screen 0 1600x1200x24" \
    "$VENV/bin/python" -m pytest --numprocesses "$workers" --dist loadfile --no-loadscope-reorder "$@" || status=1
exit "$status"
