#!/usr/bin/env bash
# Passes the tests: style, types, then pytest with real windows on a virtual screen. Does all its own set-up.
# Arguments go to pytest; its summary is the end of what is printed.
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
xvfb-run --auto-servernum --server-args="-screen 0 1600x1200x24" "$VENV/bin/python" -m pytest "$@" || status=1
exit "$status"
