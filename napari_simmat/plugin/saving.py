"""Where to write a file: asked for with the dialog of the desktop, and never a file that this did not ask about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget


def ask_where_to_save(
    parent: QWidget,
    title: str,
    proposal: str,
    kind: str,
    suffix: str,
    *,
    say: Callable[[str, bool], None],
    other_suffixes: bool = False,
) -> Path | None:
    """The file that somebody chose, with its suffix; None if they chose none, or one that is said to be in the way.

    Parameters
    ----------
    parent : QWidget
    title, proposal : str
        Of the dialog.
    kind : str
        What the files are, in words.
    suffix : str
        With its dot; put behind a name that does not have it.
    say : callable
        Told why the chosen file is not to be written, and that this is a problem.
    other_suffixes : bool
        A name with any suffix stays as it is.
    """
    path, _ = QFileDialog.getSaveFileName(parent, title, proposal, f"{kind} (*{suffix})")
    if not path:
        return None
    chosen = Path(path)
    if chosen.suffix.lower() == suffix or (other_suffixes and chosen.suffix):
        return chosen
    whole = chosen.with_name(chosen.name + suffix)
    if whole.exists():  # the dialog asked about the name without its suffix
        say(f"{whole.name} is there already; choose it by its whole name to replace it.", True)
        return None
    return whole
