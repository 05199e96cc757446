"""The scenes of one split that have all their files, and words for people where there are none."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_simmat.errors import ImageError
from napari_simmat.images.aims.item import Split
from napari_simmat.images.aims.scenes import Role, Scene, find_scenes, folders_in, listed_split

__all__ = ["Form", "scenes_of"]

FIFTH = 5
"""Of a dataset without a split every so manieth scene is for the test."""

STACK = 4  # from here to who called `open_aims`


@dataclass(frozen=True)
class Form:
    """The folder form of a dataset.

    Parameters
    ----------
    name : str
        As users write it, such as "aims:nir".
    text : str
        What is expected, to be read after "expected ".
    roles : mapping of str to Role
        What the files of a scene can be.
    containers : tuple of str
        Folders that its archive unpacks to, in small letters without blanks, underscores and hyphens.
    has_split : bool
        Whether its authors published a split.
    """

    name: str
    text: str
    roles: Mapping[str, Role]
    containers: tuple[str, ...] = ()
    has_split: bool = True


def scenes_of(
    root: Path, form: Form, needs: Sequence[frozenset[str]], split: Split, limit: int | None
) -> list[Scene]:
    """The complete scenes of a split in the order of their names.

    The split is told by folders called train and test or by lists `train.txt` and `test.txt`; where there is no test,
    val is it. Scenes of a dataset that never had a split are for the test if they are the fifth, tenth, ... in the
    order of names.

    Parameters
    ----------
    root : Path
    form : Form
    needs : sequence of frozenset of str
        Sets of roles; one of them makes a scene complete.
    split : {"train", "test"}
    limit : int, optional
        Only so many, the first ones.

    Raises
    ------
    ImageError
        If there is no such scene: with what was found and what was expected.

    Warns
    -----
    UserWarning
        If scenes of the split are left out because files are missing.
    """
    found = find_scenes(root, form.roles, needs, form.containers)
    known = {scene.split for scene in found}
    parts = ("test", "val") if split == "test" else ("train",)
    if known & {"train", "test", "val"}:
        part = next((part for part in parts if part in known), "")
        chosen = [scene for scene in found if part and scene.split == part]
    else:
        chosen = _listed(root, form, found, parts, needs, split)
    complete = [scene for scene in chosen if _is_complete(scene, needs)]
    if not complete:
        raise ImageError(_nothing(root, form, found, chosen, needs, split))
    partial = [scene for scene in chosen if not _is_complete(scene, needs)]
    if partial:
        listed = ", ".join(scene.key for scene in partial[:3]) + (", ..." if len(partial) > 3 else "")
        warnings.warn(
            f"{len(partial)} scenes of {form.name} in {root.name} have no {_missing(partial, form, needs)} and are left "
            f"out: {listed}",
            stacklevel=STACK,
        )
    twice = {scene.key for scene in found if scene.split != complete[0].split}
    for scene in complete:
        if scene.key in twice:  # so that scenes of all splits together have names of their own
            scene.key = f"{scene.split}_{scene.key}"
    return complete[:limit]


def _listed(
    root: Path,
    form: Form,
    found: Sequence[Scene],
    parts: Sequence[str],
    needs: Sequence[frozenset[str]],
    split: Split,
) -> list[Scene]:
    """The scenes that a list names; where the dataset has no split, those of the other list's rest or the fixed fifth."""
    for part in parts:
        keys = listed_split(root, form.roles, part)
        if keys is not None:
            return [scene for scene in found if scene.key in keys]
    if form.has_split:
        return []
    for part in ("train",) if split == "test" else ("test", "val"):
        keys = listed_split(root, form.roles, part)
        if keys is not None:
            return [scene for scene in found if scene.key not in keys]
    complete = [scene for scene in found if _is_complete(scene, needs)]
    chosen = [scene for i, scene in enumerate(complete, 1) if (i % FIFTH == 0) == (split == "test")]
    return chosen + [scene for scene in found if not _is_complete(scene, needs)]


def _is_complete(scene: Scene, needs: Sequence[frozenset[str]]) -> bool:
    return any(need <= scene.files.keys() for need in needs)


def _missing(partial: Sequence[Scene], form: Form, needs: Sequence[frozenset[str]]) -> str:
    """What incomplete scenes lack, by the set of roles that comes nearest."""
    lacking: dict[str, None] = {}
    for scene in partial:
        nearest = min((need - scene.files.keys() for need in needs), key=len)
        lacking |= dict.fromkeys(sorted(nearest))
    return " or ".join(form.roles[key].text for key in lacking)


def _nothing(
    root: Path,
    form: Form,
    found: Sequence[Scene],
    chosen: Sequence[Scene],
    needs: Sequence[frozenset[str]],
    split: Split,
) -> str:
    expected = f"expected {form.text}"
    if not found:
        return f"{root} holds nothing of {form.name} (found {folders_in(root)}), {expected}."
    if not chosen:
        parts = {scene.split for scene in found} - {""}
        told = f"scenes of {' and '.join(sorted(parts))} only" if parts else "no split"
        return (
            f"{root} has no scenes for {split!r}: found {told} in {folders_in(root)}, {expected}; a folder or list of "
            f"names called {split} tells which scenes they are."
        )
    counts = {key: sum(key in scene.files for scene in chosen) for key in form.roles}
    nearest = max(needs, key=lambda need: sum(counts[key] > 0 for key in need) / len(need))
    told = ", ".join(f"{counts[key]} of {role.text}" for key, role in form.roles.items() if key in nearest)
    return (
        f"No scene of {form.name} in {root} has all its files for {split!r}: found {told}, {expected}; files of one "
        "scene share its name."
    )
