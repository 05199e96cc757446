"""The floors of docs/architecture.md hold: a room imports only from rooms below it, Qt and napari live in plugin/."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "napari_simmat"

FLOORS = [
    {"errors", "atomic", "folders", "__init__"},
    {"images"},
    {"models"},
    {"inference"},
    {"training"},
    {"exporters", "evaluation", "journal"},
    {"annotator", "_annotator"},
    {"demo", "doctor", "replay"},
    {"cli", "_cli", "plugin"},
]
SCREEN = {"qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6", "napari", "superqt", "magicgui", "vispy"}


def room_of(path: Path) -> str:
    """Name of the room that a source file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Names of all modules that a source file imports, those inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found.add(node.module or "")
    return found


SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_imports_only_from_rooms_below(path):
    floor_of = {room: k for k, rooms in enumerate(FLOORS) for room in rooms}
    room = room_of(path)
    if room == "__init__":
        return  # the front door names what is exported, lazily
    for module in imports(path):
        parts = module.split(".")
        if parts[0] == "napari_simmat" and len(parts) > 1 and parts[1] != room:
            below = floor_of[parts[1]] < floor_of[room] or parts[1] == "errors"
            same_house = {parts[1], room} in ({"annotator", "_annotator"}, {"cli", "_cli"})
            to_window = room in ("cli", "_cli") and parts[1] == "plugin"
            assert below or same_house or to_window, f"{room} imports {module}"
        if parts[0] in SCREEN:
            assert room == "plugin", f"{room} imports {module}"


@pytest.mark.parametrize(
    ("rooms", "without"),
    [
        (["images"], SCREEN | {"torch"}),
        (["models", "inference", "training", "evaluation", "exporters", "journal", "annotator"], SCREEN),
        (["annotator"], SCREEN | {"scipy.stats"}),  # a third of a second at every start
    ],
)
def test_rooms_open_without_qt_and_napari_and_what_is_slow_to_import(rooms, without):
    opened = ", ".join(f"napari_simmat.{room}" for room in rooms)
    code = f"import sys, {opened}; print([m for m in sys.modules if m in {sorted(without)!r}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
