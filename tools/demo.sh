#!/usr/bin/env bash
# Runs the main job on the bundled sample: click, correct, train, click better. Does all its own set-up.
# In a window where there is a display, else it writes a picture and a table. Options: napari-simmat demo --help
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

if [ -n "$SYSTEM_LIBRARIES_MISSING" ]; then
    say "$SYSTEM_LIBRARIES_MISSING"
    say "Going on without a window."
    set -- --headless "$@"
fi
exec "$VENV/bin/napari-simmat" demo "$@"
