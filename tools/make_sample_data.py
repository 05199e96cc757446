"""Make everything in `sample_data/` anew: `python tools/make_sample_data.py [FOLDER]`.

Needs no network: the motorcycle comes with scikit-image, the camouflage scenes come from
`napari_simmat.images.simulate`.
"""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from napari_simmat.images import Channel, MultiChannelImage, as_image
from napari_simmat.images.simulate import CAMOUFLAGE_SETS, camouflage_scene

DISPARITY_STEPS = 32  # per pixel; finer than the ground truth is exact, and it compresses to two thirds


def main(folder: Path) -> None:
    """Write all samples into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "motorcycle.tif", motorcycle())
    for name, seeds in CAMOUFLAGE_SETS.items():
        for part in ("images", "instances"):
            (folder / name / part).mkdir(parents=True, exist_ok=True)
        for seed in seeds:
            image, instances = camouflage_scene(seed)
            write(folder / name / "images" / f"{seed:02}.tif", image)
            Image.fromarray(instances).save(folder / name / "instances" / f"{seed:02}.png", optimize=True)


def motorcycle() -> MultiChannelImage:
    """The left picture of the stereo pair and its disparity in pixels; NaN where none was measured."""
    left, _, disparity = data.stereo_motorcycle()  # type: ignore[no-untyped-call]
    disparity = np.where(np.isfinite(disparity), disparity, np.nan)
    disparity = np.rint(disparity * DISPARITY_STEPS) / DISPARITY_STEPS
    planes: NDArray[Any] = np.concatenate([np.moveaxis(left, -1, 0), disparity[None]]).astype(np.float32)
    return as_image(planes, channel_axis=0, names=["red", "green", "blue", "disparity"], name="motorcycle")


def write(path: Path, image: MultiChannelImage) -> None:
    """Write an OME-TIFF with channel names and wavelengths, losslessly compressed."""
    is_float = image.data.dtype.kind == "f"
    tifffile.imwrite(
        path,
        image.data,
        ome=True,
        photometric="minisblack",
        compression="zlib",
        compressionargs={"level": 9},
        predictor=3 if is_float else 2,
        rowsperstrip=image.shape[0],
        metadata={
            "axes": "CYX",
            "Channel": describe(image.channels),
            "UUID": str(uuid.uuid5(uuid.NAMESPACE_OID, image.name)),  # else a new one each time
        },
    )


def describe(channels: tuple[Channel, ...]) -> dict[str, list[Any]]:
    """Names and wavelengths as tifffile wants them for OME-XML."""
    described: dict[str, list[Any]] = {"Name": [channel.name for channel in channels]}
    if all(channel.wavelength_nm for channel in channels):
        described["EmissionWavelength"] = [channel.wavelength_nm for channel in channels]
        described["EmissionWavelengthUnit"] = ["nm"] * len(channels)
    return described


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "sample_data")
