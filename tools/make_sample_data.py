"""Make everything in `sample_data/` anew: `python tools/make_sample_data.py [FOLDER]`.

Needs no network: the motorcycle comes with scikit-image, all other scenes come from `napari_simmat.images.simulate`.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from skimage import data

from napari_simmat.images import Channel, MultiChannelImage, as_image
from napari_simmat.images.simulate import (
    CAMOUFLAGE_SETS,
    GLASS_SETS,
    METAMER_SETS,
    PARTS_FOCAL_LENGTH,
    PARTS_SETS,
    REFLECTANCE_SCALE,
    SEEDLING_SETS,
    WARM_SETS,
    WAVELENGTHS,
    camouflage_scene,
    field_scene,
    glass_scene,
    herd_scene,
    painting_scene,
    parts_scene,
)

DISPARITY_STEPS = 32  # per pixel; finer than the ground truth is exact, and it compresses to two thirds

# Of the pair as scikit-image states it.
MOTORCYCLE_CAMERA = {
    "focal_length_px": [994.978, 994.978],
    "principal_point": [254.877, 311.193],
    "baseline_m": 0.193001,
    "disparity_offset_px": 31.086,
}


def main(folder: Path) -> None:
    """Write all samples into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_motorcycle(folder / "motorcycle.tif")
    bundled = (CAMOUFLAGE_SETS, GLASS_SETS, METAMER_SETS, WARM_SETS, PARTS_SETS, SEEDLING_SETS)
    for sets in bundled:
        write_sets(folder, sets, WRITERS[next(iter(sets)).removesuffix("-train")])


def write_sets(
    folder: Path, sets: dict[str, range], write: Callable[[Path, int], NDArray[np.uint16]]
) -> None:
    """Write the images of some datasets, one for each seed, and the labels that `write` returns."""
    for name, seeds in sets.items():
        for part in ("images", "instances"):
            (folder / name / part).mkdir(parents=True, exist_ok=True)
        for seed in seeds:
            instances = write(folder / name / "images" / f"{seed:02}", seed)
            Image.fromarray(instances).save(folder / name / "instances" / f"{seed:02}.png", optimize=True)


def motorcycle() -> MultiChannelImage:
    """The left picture of the stereo pair and its disparity in pixels; NaN where none was measured."""
    left, _, disparity = data.stereo_motorcycle()  # type: ignore[no-untyped-call]
    disparity = np.where(np.isfinite(disparity), disparity, np.nan)
    disparity = np.rint(disparity * DISPARITY_STEPS) / DISPARITY_STEPS
    planes: NDArray[Any] = np.concatenate([np.moveaxis(left, -1, 0), disparity[None]]).astype(np.float32)
    return as_image(planes, channel_axis=0, names=["red", "green", "blue", "disparity"], name="motorcycle")


def write_motorcycle(path: Path) -> None:
    """Write the motorcycle with the calibration of its cameras."""
    image = motorcycle()
    write_described(
        path,
        image.data,
        modality="rgb+x",
        channel_names=[channel.name for channel in image.channels],
        camera=MOTORCYCLE_CAMERA,
    )


def write_camouflage(stem: Path, seed: int) -> NDArray[np.uint16]:
    """Write printed sheets in foliage."""
    image, instances = camouflage_scene(seed)
    write_ome(stem.with_suffix(".tif"), image)
    return instances


def write_field(stem: Path, seed: int) -> NDArray[np.uint16]:
    """Write seedlings in red and near infrared."""
    image, instances = field_scene(seed)
    write_ome(stem.with_suffix(".tif"), image)
    return instances


def write_glass(stem: Path, seed: int) -> NDArray[np.uint16]:
    """Write the raw frame of a polarization camera."""
    mosaic, instances = glass_scene(seed)
    write_described(
        stem.with_suffix(".tif"), mosaic, modality="polarization", sample_format="mosaic 90-45-135-0"
    )
    return instances


def write_herd(stem: Path, seed: int) -> NDArray[np.uint16]:
    """Write a thermal picture in hundredths of a kelvin."""
    counts, instances = herd_scene(seed)
    write_described(
        stem.with_suffix(".tif"), counts, modality="thermal", sample_format="centikelvin", unit="0.01 K"
    )
    return instances


def write_parts(stem: Path, seed: int) -> NDArray[np.uint16]:
    """Write a depth picture as PNG in millimetres, with its camera in the text chunk that is made for descriptions."""
    depth, instances = parts_scene(seed)
    middle = [(n - 1) / 2 for n in depth.shape]
    focal_length = [PARTS_FOCAL_LENGTH, PARTS_FOCAL_LENGTH]
    text = PngImagePlugin.PngInfo()
    text.add_text(
        "Description",
        json.dumps(
            {
                "modality": "depth",
                "sample_format": "millimetres",
                "unit": "mm",
                "camera": {"focal_length_px": focal_length, "principal_point": middle},
            }
        ),
    )
    Image.fromarray(depth).save(stem.with_suffix(".png"), optimize=True, pnginfo=text)
    return instances


def write_painting(stem: Path, seed: int) -> NDArray[np.uint16]:
    """Write a hyperspectral cube as ENVI file, interleaved by line."""
    cube, instances = painting_scene(seed)
    np.moveaxis(cube, 0, 1).tofile(stem.with_suffix(".img"))
    bands, lines, samples = cube.shape
    nearest = [WAVELENGTHS.index(wavelength) + 1 for wavelength in (610, 550, 460)]
    header = {
        "description": "{Retouched painting, simulated: reflectance after division by a white reference}",
        "samples": samples,
        "lines": lines,
        "bands": bands,
        "header offset": 0,
        "file type": "ENVI Standard",
        "data type": 1,
        "interleave": "bil",
        "byte order": 0,
        "reflectance scale factor": REFLECTANCE_SCALE,
        "default bands": _listed(nearest),
        "wavelength units": "Nanometers",
        "wavelength": _listed(list(WAVELENGTHS)),
        "fwhm": _listed([10] * bands),
    }
    text = "ENVI\n" + "".join(f"{key} = {value}\n" for key, value in header.items())
    stem.with_suffix(".hdr").write_text(text, encoding="ascii", newline="\n")
    return instances


def _listed(values: list[int]) -> str:
    return "{" + ", ".join(str(value) for value in values) + "}"


def write_described(path: Path, array: NDArray[Any], **metadata: Any) -> None:
    """Write a TIFF whose description says in JSON what the numbers mean, losslessly compressed."""
    tifffile.imwrite(
        path,
        array,
        photometric="minisblack",
        compression="zlib",
        compressionargs={"level": 9},
        predictor=3 if array.dtype.kind == "f" else 2,
        rowsperstrip=array.shape[-2],
        metadata={"axes": "CYX"[-array.ndim :], **metadata},
    )


def write_ome(path: Path, image: MultiChannelImage) -> None:
    """Write an OME-TIFF with channel names and wavelengths, losslessly compressed."""
    tifffile.imwrite(
        path,
        image.data,
        ome=True,
        photometric="minisblack",
        compression="zlib",
        compressionargs={"level": 9},
        predictor=2,
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


WRITERS = {
    "camouflage": write_camouflage,
    "glass": write_glass,
    "metamers": write_painting,
    "warm": write_herd,
    "parts": write_parts,
    "seedlings": write_field,
}
"""What writes one scene of each set, given where (without a suffix) and its seed."""


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "sample_data")
