"""Measuring in a process of its own: memory and first times are those of what is measured alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_simmat.errors import Cancelled, SimmatError

__all__ = ["run_child"]

_POLL_S = 0.2
_ROOT = Path(__file__).parents[3]


def run_child(
    module: str,
    arguments: Sequence[str],
    *,
    cancel: threading.Event | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run a module of this package, and give the JSON object that is the last line it prints.

    Parameters
    ----------
    module : str
        As after ``python -m``.
    arguments : sequence of str
    cancel : threading.Event, optional
        Set it to end the process.
    environment : mapping of str to str, optional
        Variables that differ from those here.

    Raises
    ------
    SimmatError
        The process ended without a result; the last thing that it said is in the sentence.
    Cancelled
    """
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **(environment or {})}
    # -P: a file of the user's folder that is called like a library must not be taken for it.
    command = [sys.executable, "-P", "-m", module, *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=variables, encoding="utf-8", errors="replace", **pipes) as process:
        out, err = _wait(process, cancel)
    lines = out.strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else None
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    said = err.strip().splitlines()
    why = said[-1] if said else f"it ended with status {process.returncode}"
    raise SimmatError(f"Nothing was measured in {module}: {why[:300]}")


def _wait(process: subprocess.Popen[str], cancel: threading.Event | None) -> tuple[str, str]:
    while True:
        try:
            return process.communicate(timeout=_POLL_S)
        except subprocess.TimeoutExpired:
            if cancel is not None and cancel.is_set():
                process.terminate()
                raise Cancelled("The benchmark was cancelled.") from None
        except BaseException:
            process.kill()
            raise
