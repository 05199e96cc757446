"""NYU Depth v2: 1,449 indoor scenes in colour and depth, with classes and instances, in one file.

N. Silberman, D. Hoiem, P. Kohli and R. Fergus, Indoor segmentation and support inference from RGBD images, ECCV 2012. The
labelled set is `nyu_depth_v2_labeled.mat` (MATLAB 7.3, which is HDF5 with its axes the other way round): `images`
480 x 640 x 3 x N, `depths` in metres with gaps filled in, `labels` (0 is unlabelled) and `instances`, 480 x 640 x N each.
Which scenes are for training (795) and for the test (654) says `splits.mat` of the same authors, by `trainNdxs` and
`testNdxs`, counted from 1.

An object is what shares class and instance number, in one piece or not; unlabelled pixels are none. The camera is that of
`camera_params.m` in the authors' toolbox (colour camera; its principal point counts pixels from 1).

Three channels are HHA (S. Gupta et al., ECCV 2014) in physical units: one over depth, which is proportional to horizontal
disparity, height above the floor, and angle with gravity, for a camera that was held level; the angles of the camera's
accelerometer are not used. They are plain channels, as the benchmark has them. The product's own way is depth alone
(`aims:nyu:1`) with the profile "depth-hha", which computes the same and knows that a room is not turned upside down.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.aims.item import AimsDataset, AimsItem, Loaded, Split
from napari_simmat.images.aims.regions import numbered
from napari_simmat.images.camera import Camera
from napari_simmat.images.files.contents import kind_of
from napari_simmat.images.files.mat_file import read_numbers, variables_of
from napari_simmat.images.image import Channel, MultiChannelImage
from napari_simmat.images.physics.depth import metres_where_measured
from napari_simmat.images.physics.derived import FORMULAS
from napari_simmat.images.raw import reason, require_size
from napari_simmat.images.roles import COLOURS, EIGHT_BITS, GRAVITY

__all__ = ["NYU"]

LAYOUT = (
    "a folder with nyu_depth_v2_labeled.mat and splits.mat, or the first of these with the other beside it"
)
SCENES = ("nyu_depth_v2_labeled.mat", "nyu_depth_v2_labelled.mat", "nyu_labeled.mat")
SPLITS = ("splits.mat", "split.mat")
INDICES = {"train": "trainNdxs", "test": "testNdxs"}
MAPS = ("images", "depths", "labels", "instances")

CAMERA = Camera((519.46961112127485, 518.85790117450188), (252.73616633400465, 324.58244941119034))
SHAPE = (480, 640)
"""Rows and columns that the camera belongs to."""

MOST_NAMES = 65535
"""Classes are numbered in 16 bits."""

HHA = ("inverse depth", "height", "angle with gravity")


def _open(path: Path, channels: int, split: Split, limit: int | None) -> list[AimsItem]:
    scenes, splits = _files(path)
    count = _length(scenes)
    indices = _indices(splits, INDICES[split], count)
    names = _names(scenes)
    return [
        AimsItem(
            f"{index + 1:05d}",
            scenes,
            scenes,
            class_names=names,
            read=partial(_read, scenes, channels, index),
            read_classes=partial(_read_classes, scenes, index),
        )
        for index in indices[:limit]
    ]


def _files(path: Path) -> tuple[Path, Path]:
    folder = path if path.is_dir() else path.parent
    try:
        there = {each.name.lower(): each for each in sorted(folder.iterdir()) if each.is_file()}
    except OSError:
        there = {}
    scenes = path if path.is_file() else next((there[name] for name in SCENES if name in there), None)
    splits = next((there[name] for name in SPLITS if name in there), None)
    if scenes is None or splits is None:
        listed = ", ".join(list(there)[:6]) + (", ..." if len(there) > 6 else "") or "no file"
        lacking = SPLITS[0] if scenes is not None else SCENES[0]
        raise ImageError(
            f"{folder} has no {lacking} (found {listed}), expected {LAYOUT}; both are on the page of NYU Depth v2."
        )
    return scenes, splits


def _length(path: Path) -> int:
    """How many scenes the file holds."""
    import h5py

    if kind_of(path) != "hdf5":
        raise ImageError(
            f"{path.name} is no MATLAB 7.3 file, expected nyu_depth_v2_labeled.mat as published; get the file again."
        )
    try:
        with h5py.File(path, "r") as file:
            found = {name: dataset for name in MAPS if (dataset := _dataset(file, name)) is not None}
            shapes = {name: dataset.shape for name, dataset in found.items()}
            for dataset in found.values():
                require_size(path, dataset.shape[1:], dataset.dtype.itemsize)
    except (OSError, RuntimeError) as error:
        raise _damaged(path, error) from error
    missing = [name for name in MAPS if name not in shapes]
    counts = {shape[0] for shape in shapes.values() if shape}
    sides = {shape[-2:] for shape in shapes.values()}
    ranks = [len(shapes.get(name, ())) for name in MAPS]
    if missing or len(counts) != 1 or len(sides) != 1 or ranks != [4, 3, 3, 3]:
        told = ", ".join(f"{name} {shape[::-1]}" for name, shape in shapes.items()) or "none of its maps"
        raise ImageError(
            f"{path.name} holds {told}, expected images (rows, columns, 3, N) and depths, labels and instances (rows, "
            "columns, N); get the labelled set of NYU Depth v2."
        )
    return int(counts.pop())


def _dataset(file: Any, name: str) -> Any:
    """An array that lies in the file itself; None where there is none, for links could name any file of the machine."""
    import h5py

    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return None
    found = file[name]
    is_own = isinstance(found, h5py.Dataset) and not found.external and not found.is_virtual
    return found if is_own else None


def _names(path: Path) -> dict[int, str]:
    """Names of the classes, counted from 1, as far as the file holds them: texts that an array of references names."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            dataset = _dataset(file, "names")
            cells = dataset[()].ravel()[:MOST_NAMES] if dataset is not None else ()
            texts = ["".join(map(chr, np.asarray(file[cell][()]).ravel().tolist())) for cell in cells]
    except (OSError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from error
    return dict(enumerate(texts, start=1))


def _indices(path: Path, name: str, count: int) -> list[int]:
    """Scenes of a split, counted from 0, in their order in the file."""
    try:
        if kind_of(path) == "hdf5":
            import h5py

            with h5py.File(path, "r") as file:
                dataset = _dataset(file, name)
                found = np.asarray(dataset[()]) if dataset is not None else None
        else:
            variables = {variable.name: variable for variable in variables_of(path)}
            found = read_numbers(path, variables[name]) if name in variables else None
    except ImageError:
        raise
    except Exception as error:  # parsers raise anything at all on damaged files
        raise _damaged(path, error) from error
    if found is None or not found.size:
        raise ImageError(
            f"{path.name} holds no {name}, expected the numbers of its scenes; get splits.mat again."
        )
    indices = np.sort(found.ravel().astype(np.int64)) - 1
    if indices[0] < 0 or indices[-1] >= count:
        raise ImageError(
            f"{path.name} names scenes {indices[0] + 1} to {indices[-1] + 1} in {name}, but there are {count}; both "
            "files must be of the same set."
        )
    return [int(index) for index in indices]


def _read(path: Path, channels: int, index: int) -> Loaded:
    colours, depth, labels, instances = _maps(path, index, MAPS)
    metres = metres_where_measured(depth.T)
    camera = CAMERA if metres.shape == SHAPE else None
    objects = numbered(labels.T, instances.T, where=labels.T > 0)
    parts: list[NDArray[Any]] = []
    described: tuple[Channel, ...] = ()
    if channels in (4, 6):
        parts += [plane.T.astype(np.float32) for plane in colours]
        described += tuple(Channel(colour, unit=EIGHT_BITS, role=colour) for colour in COLOURS)
    if channels in (1, 4):
        parts.append(metres)
        described += (Channel("depth", unit="m", role="depth"),)
    else:
        parts += [FORMULAS[key]([metres], camera=camera) for key in HHA]
        described += tuple(
            Channel(key, unit=FORMULAS[key].unit, role=role)
            for key, role in zip(HHA, ("", *GRAVITY), strict=True)
        )
    image = MultiChannelImage(
        np.stack(parts),
        described,
        modality={1: "depth", 3: "generic"}.get(channels, "rgb+x"),
        source=path,
        name=f"{path.stem} {index + 1:05d}",
        camera=camera,
        facts={"part": f"scene {index + 1}"},
        assumptions=("The camera was taken to be held level.",) if channels in (3, 6) else (),
    )
    return image, objects


def _read_classes(path: Path, index: int) -> NDArray[np.int32]:
    return np.ascontiguousarray(_maps(path, index, ("labels",))[0].T, np.int32)


def _maps(path: Path, index: int, names: tuple[str, ...]) -> list[NDArray[Any]]:
    """Maps of one scene with their axes in the order of the file: columns before rows."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return [np.asarray(file[name][index]) for name in names]
    except (OSError, KeyError, RuntimeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ImageError:
    return ImageError(
        f"{path.name} is a damaged or unusual MATLAB file ({reason(error)}); get the file again."
    )


NYU = AimsDataset(
    "aims:nyu",
    "NYU Depth v2, labelled set (Silberman, Hoiem, Kohli and Fergus, ECCV 2012)",
    LAYOUT,
    {
        1: "depth",
        3: "HHA: one over depth, height and angle with gravity",
        4: "red, green, blue and depth",
        6: "red, green, blue and HHA",
    },
    4,
    _open,
)
