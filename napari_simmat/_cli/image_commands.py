"""The commands that look at one image: info, segment, export, profile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_simmat._cli.missing import note_of
from napari_simmat._cli.models import (
    load_adapter,
    load_model,
    refuse_nameless_model,
    refuse_profile_of_adapter,
)
from napari_simmat._cli.next_commands import segment_everything
from napari_simmat._cli.options import (
    AdapterFile,
    AsJson,
    ChannelAxis,
    Checkpoint,
    Format,
    ImagePaths,
    Modality,
    ModelFile,
    Overwrite,
    Part,
    Profile,
    SampleFormat,
    Slice,
    check_output,
    parse_box,
    parse_click,
    parse_slice,
)
from napari_simmat._cli.terminal import cancellable, note, results
from napari_simmat.errors import SimmatError

if TYPE_CHECKING:
    from napari_simmat.images import MultiChannelImage, Opened
    from napari_simmat.models import BaseModel


def open_as_told(
    paths: Sequence[Path],
    modality: str | None,
    channel_axis: int | None,
    sample_format: str | None,
    slice_: str | None,
    part: str | None,
) -> tuple[Opened, MultiChannelImage]:
    """Open an image as the options say."""
    from napari_simmat.images import open_file

    opened = open_file(paths[0] if len(paths) == 1 else paths, part=part)
    index = parse_slice(slice_, opened.stack(channel_axis)) if slice_ is not None else None
    return opened, opened.image(
        modality=modality, channel_axis=channel_axis, sample_format=sample_format, index=index
    )


def info(
    paths: ImagePaths,
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    sample_format: SampleFormat = None,
    slice_: Slice = None,
    part: Part = None,
    profile: Profile = None,
    everything: Annotated[
        bool, typer.Option("--all", help="List every channel, also of long images.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show channels, wavelengths, units, modality and what the model will see."""
    from napari_simmat._cli.show import show_image, statistics_of
    from napari_simmat.images import chosen_profile, profile_for

    with results(as_json) as give:
        opened, image = open_as_told(paths, modality, channel_axis, sample_format, slice_, part)
        shown = profile_for(image) if profile is None else chosen_profile(profile, image)
        give(
            {
                "path": " ".join(map(str, paths)),
                "name": image.name,
                "shape": list(image.data.shape),
                "axes": "CYX",
                "dtype": str(image.data.dtype),
                "modality": image.modality,
                "channels": [vars(channel) for channel in image.channels],
                "statistics": statistics_of(image),
                "pixel_size": image.pixel_size,
                "pixel_unit": image.pixel_unit,
                "assumptions": image.assumptions,
                "facts": dict(image.facts),
                "camera": vars(image.camera) if image.camera is not None else None,
                "stack": opened.stack(channel_axis),
                "parts": opened.parts,
                "sample_formats": opened.sample_formats(channel_axis),
                "is_lazy": image.is_lazy,
                "profile": shown.model_dump(),
            }
        )
    if not as_json:
        show_image(image, shown, opened.sample_formats(channel_axis), everything=everything)


def segment(
    paths: ImagePaths,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="OUT.tif", help="Label image to write: 1 in the object.")
    ],
    click: Annotated[
        list[str] | None,
        typer.Option(metavar="Y,X[,0]", help="A click on the object, or off it with ,0. Repeat it in order."),
    ] = None,
    box: Annotated[str | None, typer.Option(metavar="Y0,X0,Y1,X1", help="A box around the object.")] = None,
    candidate: Annotated[
        int | None,
        typer.Option(min=0, max=2, help="Which of the three masks; the product's choice without it."),
    ] = None,
    prompt: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Instead: clicks, box and choices as JSON, as the journal has them."
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Instead: all objects that the model is sure of.")
    ] = False,
    grid: Annotated[
        int | None,
        typer.Option(min=1, max=128, metavar="N", help="With --everything: clicks along the longer side."),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            "--text",
            metavar="NAME",
            help="Instead: everything that this name fits, with an adapter that was taught names.",
        ),
    ] = None,
    adapter: AdapterFile = None,
    model: ModelFile = None,
    checkpoint: Checkpoint = None,
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    sample_format: SampleFormat = None,
    slice_: Slice = None,
    part: Part = None,
    profile: Profile = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Segment one object by clicks or a box, or everything, or all that a text fits."""
    points = [parse_click(each) for each in click or []]
    corners = parse_box(box) if box is not None else None
    clicks = bool(points) or corners is not None
    if [prompt is not None, clicks, everything, text is not None].count(True) != 1:
        raise typer.BadParameter(
            "Give at least one --click or a --box, or else a --prompt, --everything or a --text."
        )
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise typer.BadParameter(f"The output {out} is a label image in TIFF; its name ends in .tif.")
    refuse_profile_of_adapter(profile, adapter)
    refuse_nameless_model(model, checkpoint)
    check_output(out, overwrite)
    import numpy as np

    from napari_simmat._cli.show import tell_assumptions
    from napari_simmat.exporters import export
    from napari_simmat.images import chosen_profile

    with results(as_json) as give:
        with cancellable() as cancel:
            _, image = open_as_told(paths, modality, channel_axis, sample_format, slice_, part)
            wanted = chosen_profile(profile, image) if profile is not None else None
            if text is not None:
                _segment_text(image, text, adapter, load_model(model, checkpoint), out, give)
                return
            from napari_simmat._cli.prompt import clicked, recorded
            from napari_simmat.inference import Segmenter, region_around
            from napari_simmat.inference.regions import refuse_large

            if everything:
                refuse_large(image)
                whole = Segmenter(
                    image,
                    adapter=load_adapter(adapter),
                    profile=wanted,
                    model=load_model(model, checkpoint),
                    keep=True,
                )
                note_of(whole)
                labels, found = segment_everything(whole, grid, cancel)
                export(labels, image, "tiff", out)
                give({"out": str(out), "objects": len(found), "device": whole.device_name})
                if not as_json:
                    print(f"{out}: {len(found)} objects")
                return
            asked = recorded(prompt) if prompt is not None else clicked(points, corners, candidate)
            region = region_around(image, asked.points, asked.box)
            top, left, bottom, right = region or (0, 0, *image.shape)
            seen = image if region is None else image.window(*region)
            if region is not None:
                note(
                    f"Large image: the model looked at rows {top} to {bottom - 1} and columns {left} to {right - 1}, "
                    "around the first click or the box, as in the window."
                )
            segmenter = Segmenter(
                seen,
                adapter=load_adapter(adapter),
                profile=wanted,
                model=load_model(model, checkpoint),
                keep=True,
            )
            note_of(segmenter)
            answer = segmenter.answer(asked.shifted(-top, -left))
            mask = np.zeros(image.shape, bool)
            mask[top:bottom, left:right] = answer.mask()
        if not mask.any():
            raise SimmatError("The model finds no object there, so nothing was written; click elsewhere.")
        export(mask.astype("uint8"), image, "tiff", out)
        give(
            {
                "out": str(out),
                "area": int(mask.sum()),
                "score": answer.score,
                "candidate": answer.shown,
                "device": segmenter.device_name,
            }
        )
    if not as_json:
        print(f"{out}: {int(mask.sum())} pixels, predicted IoU {answer.score:.2f}")
    tell_assumptions(image)


def _segment_text(
    image: MultiChannelImage,
    text: str,
    adapter: Path | None,
    base: BaseModel | None,
    out: Path,
    give: Callable[[dict[str, Any]], None],
) -> None:
    from napari_simmat._cli.naming_commands import segment_text
    from napari_simmat.exporters import export

    labels, scores, segmenter = segment_text(image, text, load_adapter(adapter), base)
    if not scores:
        raise SimmatError(f"The model finds no {text!r} there, so nothing was written; try another name.")
    export(labels, image, "tiff", out)
    found = {"out": str(out), "objects": len(scores), "scores": scores, "device": segmenter.device_name}
    give({"text": text, **found})
    note(f"{out}: {len(scores)} objects for {text!r}")


def export_labels(
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="A label image: 0 is background.")],
    image: Annotated[Path, typer.Option(metavar="PATH", help="The image that was labelled.")],
    format: Annotated[Format, typer.Option(help="What to write.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="File to write.")],
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    sample_format: SampleFormat = None,
    slice_: Slice = None,
    part: Part = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write labels in a format of other programs, or as a table of measurements."""
    check_output(out, overwrite)
    from napari_simmat._cli.show import tell_assumptions
    from napari_simmat.exporters import export
    from napari_simmat.images import open_labels

    with results(as_json) as give:
        _, picture = open_as_told([image], modality, channel_axis, sample_format, slice_, part)
        count = export(open_labels(labels), picture, format.value, out)
        give({"out": str(out), "format": format.value, "objects": count})
    if not as_json:
        print(f"{out}: {count} objects")
    tell_assumptions(picture)


def profile(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH ...", help="An image whose built-in profile is wanted."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="JSON file to write.")
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Instead: the JSON schema that every profile obeys.")
    ] = False,
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    sample_format: SampleFormat = None,
    slice_: Slice = None,
    part: Part = None,
    overwrite: Overwrite = False,
) -> None:
    """Print or save how an image becomes model input, to be edited and used with --profile."""
    if schema == bool(paths):
        raise typer.BadParameter("Give an image, or --schema.")
    if out is not None:
        check_output(out, overwrite)
    import json

    from napari_simmat.atomic import write_atomically
    from napari_simmat.images import profile_for, profile_schema

    if not paths:
        text = json.dumps(profile_schema(), indent=2)
    else:
        _, image = open_as_told(paths, modality, channel_axis, sample_format, slice_, part)
        text = profile_for(image).model_dump_json(indent=2)
    if out is None:
        print(text)
    else:
        write_atomically(out, (text + "\n").encode())
        note(f"{out} was written.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="info")(info)
    app.command(name="segment")(segment)
    app.command(name="export")(export_labels)
    app.command(name="profile")(profile)
