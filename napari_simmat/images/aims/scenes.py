"""Which files of a folder belong to one scene, whatever form the folder was unpacked or rearranged in.

A file's role ("near infrared", "labels") is told by the innermost folder that is called after it or, where no folder
is, by the last word of its name; the scene is what remains of the path. So `country/0001_nir.tiff`,
`nir/country_0001.png` and `test/country/0001/nir.png` are all the near infrared of country_0001.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from napari_simmat.errors import ImageError

__all__ = ["LABELS", "PICTURES", "Role", "Scene", "find_scenes", "folders_in", "listed_split"]

PICTURES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".npy")
"""Suffixes of the files that are looked at."""

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
}
"""Folders, without regard to case, that say which split their files are in."""


@dataclass(frozen=True)
class Role:
    """What a file of a scene is.

    Parameters
    ----------
    text : str
        In words for people.
    words : tuple of str
        Names of folders and last words of file names that tell it, in small letters without blanks, underscores and
        hyphens. Of two files of one scene that with the earlier word is taken.
    """

    text: str
    words: tuple[str, ...]


LABELS = Role(
    "labels",
    (
        *(
            "label",
            "labels",
            "mask",
            "masks",
            "gt",
            "gts",
            "groundtruth",
            "annotation",
            "annotations",
            "annot",
        ),
        *("seg", "segmentation", "segmentations", "semantic", "semantics"),
    ),
)
"""Label images, one number or one colour for each class."""


@dataclass
class Scene:
    """The files of one scene.

    Attributes
    ----------
    key : str
        Name of the scene, its folders joined by underscores.
    split : str
        "train", "test" or "val" where a folder says so, else "".
    files : dict of str to Path
        By the key of their role.
    """

    key: str
    split: str
    files: dict[str, Path] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict, repr=False)
    twins: dict[str, Path] = field(default_factory=dict, repr=False)

    def add(self, role: str, rank: int, path: Path) -> None:
        """Take a file, unless one with a better word for this role is there."""
        known = self.ranks.get(role)
        if known is None or rank < known:
            self.files[role], self.ranks[role] = path, rank
            self.twins.pop(role, None)
        elif rank == known:
            self.twins[role] = path

    def file(self, role: str) -> Path:
        """The file of a role.

        Raises
        ------
        ImageError
            If there are two of them.
        """
        if role in self.twins:
            first, second = self.files[role], self.twins[role]
            shown = (first.name, second.name) if first.parent == second.parent else (str(first), str(second))
            raise ImageError(
                f"The scene {self.key} has both {shown[0]} and {shown[1]}, expected one file of the kind; "
                "move one of them away."
            )
        return self.files[role]


def find_scenes(
    root: Path,
    roles: Mapping[str, Role],
    needs: Sequence[frozenset[str]],
    containers: Sequence[str] = (),
) -> list[Scene]:
    """Every scene under a folder, complete or not, in the order of its key. No file is opened.

    Parameters
    ----------
    root : Path
    roles : mapping of str to Role
        By a key for each.
    needs : sequence of frozenset of str
        Each a set of roles that makes a scene complete; of the ways to read file names that one is taken which
        completes most scenes: words of roles at the end of names may or may not be parts of the scenes' names.
    containers : sequence of str
        Folders that are no part of a scene's name, such as the one that the archive unpacks to.

    Raises
    ------
    ImageError
        If it is no folder.
    """
    if not root.is_dir():
        found = "is a file" if root.exists() else "does not exist"
        raise ImageError(
            f"{root} {found}, expected the folder of the dataset; unpack its archive and give that."
        )
    files = list(_pictures(root))
    outer = SPLITS.get(_plain(root.resolve().name), "")
    whole, stripped = (_grouped(root, files, roles, containers, outer, strip) for strip in (False, True))
    return whole if _complete(whole, needs) >= _complete(stripped, needs) else stripped


def folders_in(root: Path, most: int = 8) -> str:
    """The folders directly in a folder, and those in them, as a list for people."""
    inner = sorted(path for path in root.glob("*") if path.is_dir())
    names = [f"{path.name}/" for path in inner]
    names += [f"{path.parent.name}/{path.name}/" for each in inner for path in sorted(each.glob("*/"))]
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "") or "no folder"


def listed_split(root: Path, roles: Mapping[str, Role], split: str) -> set[str] | None:
    """Keys of the scenes that `train.txt`, `test.txt` or `val.txt` names, one a line; None if there is no such file.

    Parameters
    ----------
    root : Path
        The folder that the lists lie in.
    roles : mapping of str to Role
        As in `find_scenes`.
    split : {"train", "test", "val"}
    """
    path = root / f"{split}.txt"
    if not path.is_file():
        return None
    keys = set()
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if words := line.split():
            name = PurePath(words[0].replace("\\", "/"))
            name = name.with_suffix("") if name.suffix.lower() in PICTURES else name
            keys |= {_place(name, roles, (), strip).key for strip in (False, True)}
    return keys


@dataclass(frozen=True)
class _Place:
    role: str
    rank: int
    key: str
    split: str


def _pictures(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and name.lower().endswith(PICTURES):
                yield Path(folder, name)


def _grouped(
    root: Path,
    files: Sequence[Path],
    roles: Mapping[str, Role],
    containers: Sequence[str],
    outer: str,
    strip: bool,
) -> list[Scene]:
    scenes: dict[tuple[str, str], Scene] = {}
    for path in files:
        place = _place(path.relative_to(root).with_suffix(""), roles, containers, strip)
        if place.role:
            split = place.split or outer
            scene = scenes.setdefault((split, place.key), Scene(place.key, split))
            scene.add(place.role, place.rank, path)
    return sorted(scenes.values(), key=lambda scene: scene.key)


def _complete(scenes: Sequence[Scene], needs: Sequence[frozenset[str]]) -> int:
    return sum(any(need <= scene.files.keys() for need in needs) for scene in scenes)


def _place(name: PurePath, roles: Mapping[str, Role], containers: Sequence[str], strip: bool) -> _Place:
    """Role, scene and split of a file by its path in the dataset, without its suffix."""
    words = {word: (key, rank) for key, role in roles.items() for rank, word in enumerate(role.words)}
    role, rank, split = "", 0, ""
    kept: list[str] = []
    for folder in reversed(name.parts[:-1]):
        plain = _plain(folder)
        if not role and plain in words:
            role, rank = words[plain]
        elif plain in SPLITS:
            split = split or SPLITS[plain]
        elif plain not in containers:
            kept.insert(0, folder)
    pieces = re.split(r"[_\-\s.]+", name.name)
    if not role and pieces[-1].lower() in words:
        role, rank = words[pieces.pop().lower()]
    least = 0 if kept else 1  # a name of which nothing is left is the scene's own
    while strip and len(pieces) > least and pieces[-1].lower() in words:
        pieces.pop()
    return _Place(role, rank, "_".join([*kept, *pieces]) or name.name, split)


def _plain(name: str) -> str:
    return re.sub(r"[_\-\s]+", "", name).lower()
