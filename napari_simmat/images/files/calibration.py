"""Calibration of a stereo camera from the file beside its images."""

from __future__ import annotations

import math
import re
from pathlib import Path

from napari_simmat.images.camera import Camera

__all__ = ["calibration_beside", "middlebury_camera"]

MOST_BYTES = 64 << 10
RIGHT = re.compile(r"(?:disp|depth|im|image|view)_?1(?!\d)|right", re.IGNORECASE)

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


def calibration_beside(path: Path, shape: tuple[int, int]) -> tuple[Camera | None, str]:
    """The camera of a disparity or depth image, from `calib.txt` or `<name>_calib.txt` in its folder.

    Parameters
    ----------
    path : Path
        The image.
    shape : tuple of int
        Its rows and columns.

    Returns
    -------
    camera : Camera or None
        None where there is no such file or it does not fit.
    sentence : str
        What was done with it; empty where there is none.
    """
    for name in (f"{path.stem}_calib.txt", "calib.txt"):
        file = path.parent / name
        try:
            if not file.is_file() or file.stat().st_size > MOST_BYTES:
                continue
            words = file.read_text("utf-8", errors="replace")
        except OSError:
            continue
        camera, problem = middlebury_camera(words, shape, right=RIGHT.search(path.stem) is not None)
        if camera is None:
            return None, f"{name} beside it was left out: {problem}."
        return camera, f"Focal length and baseline of the stereo camera were taken from {name}."
    return None, ""


def middlebury_camera(
    words: str, shape: tuple[int, int], *, right: bool = False
) -> tuple[Camera | None, str]:
    """The camera that a calibration file of the Middlebury stereo benchmark describes.

    Lines such as `cam0=[f 0 cx; 0 f cy; 0 0 1]`, `doffs=31.086`, `baseline=193.001` (millimetres), `width=2964`
    (https://vision.middlebury.edu/stereo/data/scenes2014/).

    Parameters
    ----------
    words : str
        The file.
    shape : tuple of int
        Rows and columns of the image that it should fit.
    right : bool
        Whether the image is from the right camera, `cam1`.

    Returns
    -------
    camera : Camera or None
    problem : str
        Why there is none.
    """
    lines = (line.partition("=") for line in words.splitlines())
    entries = {key.strip(): value.strip() for key, equals, value in lines if equals}
    matrix = [float(number) for number in re.findall(_NUMBER, entries.get("cam1" if right else "cam0", ""))]
    if len(matrix) != 9:
        return None, "it has no camera matrix of nine numbers"
    baseline, offset = _number(entries, "baseline"), _number(entries, "doffs")
    if not (all(map(math.isfinite, (*matrix, baseline))) and min(matrix[0], matrix[4], baseline) > 0):
        return None, "its focal length or baseline is not positive, or a number is missing"
    told = tuple(_number(entries, side) for side in ("height", "width"))
    if all(math.isfinite(side) for side in told) and told != shape:
        return (
            None,
            f"it is for an image of {told[1]:g} x {told[0]:g} pixels, but this one has {shape[1]} x {shape[0]}",
        )
    return (
        Camera(
            (matrix[4], matrix[0]),
            (matrix[5], matrix[2]),
            baseline_m=baseline / 1000,
            disparity_offset_px=offset if math.isfinite(offset) else 0.0,
        ),
        "",
    )


def _number(entries: dict[str, str], key: str) -> float:
    value = entries.get(key, "")
    return float(value) if re.fullmatch(_NUMBER, value) else math.nan
