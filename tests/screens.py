"""A screen for each process of tests.

Processes side by side on one screen share a mouse pointer, and a window of the one may lie over that of the other: what
a test moves over its own window then reaches the other one.
"""

from __future__ import annotations

import os
import shutil
import subprocess

_WORKER = "PYTEST_XDIST_WORKER"


def take_own_screen() -> subprocess.Popen[bytes] | None:
    """Start a virtual screen and use it, if this is one of several processes; whoever calls ends it."""
    if _WORKER not in os.environ or not os.environ.get("DISPLAY") or shutil.which("Xvfb") is None:
        return None
    told, tell = os.pipe()
    command = ["Xvfb", "-displayfd", str(tell), "-screen", "0", "1600x1200x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[tell], stderr=subprocess.DEVNULL)
    os.close(tell)
    with os.fdopen(told) as file:
        number = file.readline().strip()
    if number:
        os.environ["DISPLAY"] = f":{number}"
    return server
