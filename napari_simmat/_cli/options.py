"""The options that commands share, and what is read out of them."""

from __future__ import annotations

import math
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from napari_simmat.errors import SimmatError


class Mode(StrEnum):
    """How to train."""

    quick = "quick"
    deep = "deep"


class Format(StrEnum):
    """What `export` writes."""

    coco = "coco"
    yolo = "yolo"
    geojson = "geojson"
    csv = "csv"
    tiff = "tiff"
    envi = "envi"
    classes = "classes"


# The tables in `models` would bring torch along, and --help must be quick; tests compare them.
TRANSFER_NAMES = (
    "mat",
    "mat-paper",
    "zero-shot",
    "linear",
    "linear+embedding",
    "new-embedding",
    "inflated",
    "gated",
    "conv-stack:K,N,D",
)
STRATEGY_NAMES = ("mat", "lora", "mlp", "prompt", "prefix", "decoder", "full", "scratch")
MODEL_NAMES = ("mobile_sam", "vit_b", "vit_l", "vit_h")

Modality = Annotated[
    str | None, typer.Option("--modality", metavar="M", help="What kind of image it is, if not as found.")
]
ChannelAxis = Annotated[
    int | None, typer.Option("--channel-axis", metavar="N", help="Axis of the channels, if not as found.")
]
SampleFormat = Annotated[
    str | None,
    typer.Option(
        "--sample-format", metavar="NAME", help="What the stored numbers mean; 'info' lists what fits."
    ),
]
Slice = Annotated[
    str | None,
    typer.Option("--slice", metavar="T=N,Z=N", help="Which slice of a stack, from 0; the first without it."),
]
Part = Annotated[
    str | None, typer.Option("--part", metavar="NAME", help="Which of several images or arrays in the file.")
]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="FILE|M",
        help="How the image becomes model input: a JSON file, or the built-in profile of a modality.",
    ),
]
ImagePaths = Annotated[
    list[Path],
    typer.Argument(
        metavar="PATH ...", help="An image: a file, a folder, or several files that are one together."
    ),
]
AdapterFile = Annotated[
    Path | None, typer.Option("--adapter", metavar="FILE", help="Adapter to use; untrained without one.")
]
ModelFile = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="FILE|NAME",
        help="Another model than the embedded one: a MobileSAM or SAM checkpoint, or one of "
        f"{', '.join(MODEL_NAMES)}, which is downloaded unless --checkpoint gives its file.",
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option("--checkpoint", metavar="FILE", help="The checkpoint of the model that --model names."),
]
Strategy = Annotated[
    str,
    typer.Option(
        "--strategy",
        metavar="NAME",
        help=f"What is trained beside the transfer layer: {', '.join(STRATEGY_NAMES)}. lora, mlp, prompt and prefix take "
        "a size, stages=late and decoder=no, such as lora:rank=8,stages=late or prefix:tokens=16.",
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Only the first N images.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output file if it is there.")]
Dataset = Annotated[
    Path, typer.Argument(metavar="DATASET", help="Folder with images/ and instances/ that share file stems.")
]

Classes = Annotated[
    Path | None,
    typer.Option(
        "--classes",
        metavar="DIR",
        help="Folder of label images with the class of each pixel, in DATASET or elsewhere, for results per class; "
        'DATASET/classes/ without it. A classes.json beside it names the numbers: {"1": "crop", "2": "weed"}.',
    ),
]


def parse_click(text: str) -> tuple[float, float, int]:
    """Row, column and sign (1 object, 0 background) of a click."""
    numbers = _numbers(text, (2, 3), "--click", "Y,X or Y,X,0")
    sign = numbers[2] if len(numbers) == 3 else 1
    if sign not in (0, 1):
        raise typer.BadParameter(
            f"--click {text} ends in {sign:g}; that number is 1 (object) or 0 (background)."
        )
    return numbers[0], numbers[1], int(sign)


def parse_box(text: str) -> tuple[float, float, float, float]:
    """Corners of a box, whichever two opposite ones were given."""
    y0, x0, y1, x1 = _numbers(text, (4,), "--box", "Y0,X0,Y1,X1")
    return min(y0, y1), min(x0, x1), max(y0, y1), max(x0, x1)


def parse_slice(text: str, stack: dict[str, int]) -> tuple[int, ...]:
    """Position along each axis of a stack: "Z=3", "T=0,Z=3", or "3" where there is one axis."""
    given: dict[str, int] = {}
    for part in text.split(","):
        letter, _, number = part.rpartition("=")
        letter = letter.strip().upper() or (next(iter(stack)) if len(stack) == 1 else "")
        if not number.strip().isdigit() or letter in given:
            raise typer.BadParameter(f"--slice {text!r} was given where T=N,Z=N is expected.")
        given[letter] = int(number)
    if given.keys() - stack.keys():
        axes = ", ".join(f"{letter} (0 to {n - 1})" for letter, n in stack.items())
        raise SimmatError(
            f"--slice {text} does not fit: the image {f'is a stack over {axes}' if axes else 'is no stack'}."
        )
    return tuple(given.get(letter, 0) for letter in stack)


def _numbers(text: str, counts: tuple[int, ...], option: str, expected: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in counts or not all(math.isfinite(number) for number in numbers):
        raise typer.BadParameter(f"{option} {text!r} was given where {expected} is expected.")
    return numbers


def check_output(out: Path, overwrite: bool) -> None:
    """Refuse before the work starts what could not be written when it is done."""
    if out.is_dir():
        raise SimmatError(f"{out} is a folder; name a file in it.")
    if out.exists() and not overwrite:
        raise SimmatError(
            f"{out} exists already and was left as it is; choose another name or add --overwrite."
        )
    if not out.parent.is_dir():
        raise SimmatError(f"There is no folder {out.parent}; create it first or choose another one.")
    try:
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise SimmatError(
            f"Nothing can be written in {out.parent} ({error.strerror}); choose another folder for {out.name}."
        ) from error
