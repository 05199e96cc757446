"""Where projects were made: a list for whoever wants to look after all of them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from napari_simmat.folders import data_folder

_FILE = "places.txt"


def note_place(folder: Path) -> None:
    """Remember that there is a project; what goes wrong costs nothing but that."""
    with (
        suppress(OSError),
        (data_folder("projects") / _FILE).open("a", encoding="utf-8", errors="surrogateescape") as file,
    ):
        file.write(f"{folder.absolute()}\n")


def places() -> list[Path]:
    """All folders that were ever noted, each once."""
    try:
        lines = (
            (data_folder("projects") / _FILE)
            .read_text(encoding="utf-8", errors="surrogateescape")
            .splitlines()
        )
    except OSError:
        return []
    return [Path(line) for line in dict.fromkeys(lines) if line]
