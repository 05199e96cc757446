"""Rough labels as files: `DATASET/prompts/STEM.json`, beside the images of the same stem.

One object of JSON for each image, all coordinates as row and column (y, x) in image pixels, pixel centres at integers:

    {"format": "napari-simmat prompts 1",
     "objects": [
       {"points": [[120, 88, 1], [131, 60, 0]]},
       {"box": [10, 20, 60, 90], "scribbles": [{"sign": 1, "path": [[30, 40], [44, 52]]}]},
       {"polygon": [[5, 5], [5, 40], [50, 30]]}]}

A point is y, x and its sign: 1 the object (also where there is no third number), 0 not the object.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_simmat.atomic import write_atomically
from napari_simmat.errors import TrainingError
from napari_simmat.images.image import stem_of
from napari_simmat.images.readers import open_image
from napari_simmat.images.unlabelled import image_paths
from napari_simmat.training.rough.labels import RoughLabels, RoughObject, Scribble

__all__ = ["FOLDER", "FORMAT", "open_rough", "read_prompts", "write_prompts"]

FOLDER = "prompts"
FORMAT = "napari-simmat prompts 1"

_KEYS = ("points", "box", "scribbles", "polygon")
_MOST_BYTES = 64 * 2**20


def read_prompts(path: str | os.PathLike[str]) -> tuple[RoughObject, ...]:
    """Objects of a file.

    Raises
    ------
    TrainingError
        It is missing, damaged or says something else; one sentence says what.
    """
    file = Path(path)
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise TrainingError(
                f"{file.name} is larger than {_MOST_BYTES >> 20} MB, expected a file of prompts."
            )
        told = json.loads(file.read_bytes())
    except OSError as error:
        raise TrainingError(
            f"{file} cannot be read ({error.strerror}); give an existing file of prompts."
        ) from error
    except (ValueError, RecursionError) as error:
        raise TrainingError(
            f"{file.name} is no JSON ({str(error)[:80]}); write it as the documentation says."
        ) from error
    if (
        not isinstance(told, dict)
        or told.get("format") != FORMAT
        or not isinstance(told.get("objects"), list)
    ):
        raise TrainingError(
            f"{file.name} is no file of prompts of this version of napari-simmat; expected an object of JSON with "
            f'"format": "{FORMAT}" and a list "objects".'
        )
    objects = []
    for number, each in enumerate(told["objects"], start=1):
        try:
            objects.append(_object(each))
        except TrainingError as error:
            raise TrainingError(f"Object {number} in {file.name}: {error}") from error
    return tuple(objects)


def write_prompts(path: str | os.PathLike[str], objects: Sequence[RoughObject]) -> None:
    """Write objects to a file; its folder is made where it is missing.

    Raises
    ------
    TrainingError
        It cannot be written.
    """
    file = Path(path)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(
            f"The folder {file.parent} cannot be made ({error.strerror}); choose another one."
        ) from error
    told = {"format": FORMAT, "objects": [to_dict(each) for each in objects]}
    write_atomically(file, (json.dumps(told, indent=1) + "\n").encode(), error=TrainingError)


def open_rough(
    folder: str | os.PathLike[str],
    *,
    limit: int | None = None,
    modality: str | None = None,
    channel_axis: int | None = None,
    sample_format: str | None = None,
) -> list[RoughLabels]:
    """The images of a dataset that have a file of prompts with at least one object, in the order of their stems.

    Parameters
    ----------
    folder : path
        Has the folders `images` and `prompts`.
    limit, modality, channel_axis, sample_format
        As in `napari_simmat.images.open_dataset`.

    Raises
    ------
    ImageError
        There are no images, or one cannot be read.
    TrainingError
        There are no prompts, or a file of them is no such file.
    """
    place = Path(folder) / FOLDER
    paths = {stem_of(path): path for path in image_paths(folder)}
    files = {file.stem: file for file in sorted(place.glob("*.json"))} if place.is_dir() else {}
    both = [stem for stem in sorted(paths) if stem in files]
    if not both:
        raise TrainingError(
            f"In {place} no file STEM.json has the name of an image in images/ ({len(paths)} there); write the prompts "
            "of each image to such a file."
        )
    found: list[RoughLabels] = []
    for stem in both:
        objects = read_prompts(files[stem])
        if objects and (limit is None or len(found) < limit):
            image = open_image(
                paths[stem], modality=modality, channel_axis=channel_axis, sample_format=sample_format
            )
            found.append(RoughLabels(image, objects))
    return found


def to_dict(each: RoughObject) -> dict[str, Any]:
    """An object as plain data."""
    told: dict[str, Any] = {}
    if each.points:
        told["points"] = [[y, x, sign] for (y, x), sign in zip(each.points, each.signs, strict=True)]
    if each.box is not None:
        told["box"] = list(each.box)
    if each.scribbles:
        told["scribbles"] = [{"sign": s.sign, "path": [list(p) for p in s.path]} for s in each.scribbles]
    if each.polygon:
        told["polygon"] = [list(p) for p in each.polygon]
    return told


def from_dict(told: Any) -> RoughObject:
    """What `to_dict` gave.

    Raises
    ------
    TrainingError
        It is something else.
    """
    return _object(told)


def _object(told: Any) -> RoughObject:
    if not isinstance(told, dict):
        raise TrainingError(f"got {str(told)[:40]!r}, expected {{...}} with {', '.join(_KEYS)}.")
    if other := sorted(set(told) - set(_KEYS)):
        raise TrainingError(f"got the key {other[0]!r}, expected {', '.join(_KEYS)}.")
    points = told.get("points", [])
    if not isinstance(points, list) or not all(isinstance(p, list) and len(p) in (2, 3) for p in points):
        raise TrainingError(f"got the points {str(points)[:60]}, expected a list of [y, x, sign].")
    scribbles = told.get("scribbles", [])
    if not isinstance(scribbles, list) or not all(
        isinstance(s, dict) and set(s) <= {"sign", "path"} and "path" in s for s in scribbles
    ):
        raise TrainingError(f"got the scribbles {str(scribbles)[:60]}, expected a list of {{sign, path}}.")
    return RoughObject(
        points=tuple(tuple(p[:2]) for p in points),
        signs=tuple(p[2] if len(p) == 3 else 1 for p in points),
        box=told.get("box"),
        scribbles=tuple(Scribble(s["path"], s.get("sign", 1)) for s in scribbles),
        polygon=told.get("polygon", ()),
    )
