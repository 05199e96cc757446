"""How the command line talks: failures in one line, results as one JSON object, progress on stderr."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from napari_simmat.errors import AmbiguousAxesError, Cancelled, SimmatError

DEBUG_VARIABLE = "NAPARI_SIMMAT_DEBUG"
"""Set it to get the traceback of a failure instead of one line."""

_CANCELLED = "Cancelled; nothing was written."
_SECONDS_BETWEEN_LINES = 5.0

Report = Callable[[int, int | None, str], None]
"""Is told how much is done, of how much if that is known, and a word on it."""


def note(text: str) -> None:
    """Tell people something, on standard error."""
    print(" ".join(text.split()), file=sys.stderr)


@contextlib.contextmanager
def results(as_json: bool) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function that prints the result as JSON where it is wanted.

    With `as_json` nothing else reaches standard output meanwhile, whatever a library prints.
    """
    stdout = sys.stdout
    if not as_json:
        yield lambda result: None
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield lambda result: print(json.dumps(_plain(result), allow_nan=False), file=stdout, flush=True)


@contextlib.contextmanager
def cancellable() -> Iterator[threading.Event]:
    """Turn Ctrl+C into an event that long work looks at, and a second one into the end at once.

    Raises
    ------
    Cancelled
        If Ctrl+C ended the work.
    """
    cancel = threading.Event()

    def on_interrupt(number: int, frame: object) -> None:
        if cancel.is_set():
            raise KeyboardInterrupt
        cancel.set()

    listening = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, on_interrupt) if listening else None
    try:
        yield cancel
    except (KeyboardInterrupt, Cancelled) as error:
        raise Cancelled(_CANCELLED) from error
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
    if cancel.is_set():
        raise Cancelled(_CANCELLED)


@contextlib.contextmanager
def progress(title: str) -> Iterator[Report]:
    """A progress bar on standard error, or a line now and then where that is no terminal.

    Gives a function of (done, total, remark).
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(title)
        return
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}")
    with Progress(
        *columns, TimeRemainingColumn(), TextColumn("{task.fields[remark]}"), console=console
    ) as bar:
        task = bar.add_task(title, total=None, remark="")
        yield lambda done, total, remark: bar.update(task, completed=done, total=total, remark=remark)


def _lines(title: str) -> Report:
    last = -math.inf

    def report(done: int, total: int | None, remark: str) -> None:
        nonlocal last
        if done == total or time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            note(f"{title}: {done}{f'/{total}' if total else ''} {remark}")

    return report


def run(app: typer.Typer, arguments: list[str]) -> int:
    """Run the command line and give its exit status: 0 done, 1 failed in one line, 2 wrong usage."""
    debug = bool(os.environ.get(DEBUG_VARIABLE))
    with contextlib.nullcontext() if debug else _silent_libraries():
        return _status(app, arguments, debug)


@contextlib.contextmanager
def _silent_libraries() -> Iterator[None]:
    """Libraries log and warn about the files they read; the one line that counts must not drown in it."""
    logging.disable(logging.CRITICAL)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        logging.disable(logging.NOTSET)


def _status(app: typer.Typer, arguments: list[str], debug: bool) -> int:
    try:
        app(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except SimmatError as error:
        if debug:
            raise
        option = ""
        if isinstance(error, AmbiguousAxesError) and error.candidates:
            option = f" (--channel-axis {error.candidates[0]})"
        note(f"{error}{option}")
        return 1
    except MemoryError:
        note("There is not enough memory for this; use a smaller image or --limit, or close other programs.")
        return 1
    except Exception as error:
        if debug:
            raise
        note(f"{type(error).__name__}: {error} (set {DEBUG_VARIABLE}=1 to see where this comes from).")
        return 1
    return 0


def _plain(value: Any) -> Any:
    """What JSON knows: numbers that are not finite become null, numpy scalars and arrays plain ones."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (str, int, float)):
        return value
    return str(value)
