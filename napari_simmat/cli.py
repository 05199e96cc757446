"""The command line: the same engine as the window, for scripts.

What is heavy (torch, napari) is imported inside the commands that need it, so that ``--help`` and ``info``
are quick.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_simmat import __version__
from napari_simmat._cli.options import (
    AdapterFile,
    AsJson,
    ChannelAxis,
    Dataset,
    Format,
    Limit,
    Mat,
    Modality,
    Mode,
    ModelFile,
    Overwrite,
    check_output,
    parse_box,
    parse_click,
)
from napari_simmat._cli.terminal import cancellable, note, progress, results, run
from napari_simmat.errors import SimmatError

if TYPE_CHECKING:
    from napari_simmat.images import DatasetItem
    from napari_simmat.models import Adapter, BaseModel

app = typer.Typer(
    name="napari-simmat",
    help="Segment multi-channel images with a Segment Anything Model that sees all channels.\n\n"
    "Without a command napari opens with the panel docked and files loaded: napari-simmat [PATH ...]",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``napari-simmat``; ends with exit status 0 (done), 1 (failed) or 2 (wrong usage)."""
    sys.exit(run(app, _with_command(list(sys.argv[1:] if arguments is None else arguments))))


def _with_command(arguments: list[str]) -> list[str]:
    """Files without a command are opened, as in ``napari-simmat scene.tif``."""
    first = arguments[0] if arguments else ""
    commands = {command.name for command in app.registered_commands}
    if first in commands or first in ("-h", "--help", "--version"):
        return arguments
    return ["open", *arguments]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(name="open", hidden=True)
def open_window(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATH", help="Images to load.")] = None,
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
) -> None:
    """Open napari with the panel docked and files loaded."""
    for path in paths or []:
        if not path.exists():
            commands = sorted(str(c.name) for c in app.registered_commands if not c.hidden)
            raise typer.BadParameter(
                f"{path} is neither a file nor one of the commands {', '.join(commands)}."
            )
    from napari_simmat._cli.window import plugin

    plugin().open_window(paths or [], modality=modality, channel_axis=channel_axis)


@app.command(name="demo")
def demo(
    headless: Annotated[
        bool, typer.Option("--headless", help="Open no window even if there is a display.")
    ] = False,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Headless: folder for picture and table.")
    ] = Path("napari-simmat-demo"),
    steps: Annotated[int, typer.Option(min=1, metavar="N", help="Headless: training steps.")] = 30,
    seed: Annotated[int, typer.Option(help="Headless: of the training.")] = 0,
) -> None:
    """Do the whole job on a bundled sample: click, correct, train, click better."""
    from napari_simmat._cli.window import has_display, plugin

    if not headless and has_display():
        plugin().run_demo()
        return
    from napari_simmat._cli.demo import run_headless

    run_headless(out, seed=seed, steps=steps)


@app.command(name="info")
def info(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="An image.")],
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    as_json: AsJson = False,
) -> None:
    """Show channels, wavelengths, units, modality and what the model will see."""
    from napari_simmat._cli.show import show_image
    from napari_simmat.images import open_image, profile_for

    with results(as_json) as give:
        image = open_image(path, modality=modality, channel_axis=channel_axis)
        profile = profile_for(image)
        give(
            {
                "path": str(path),
                "name": image.name,
                "shape": list(image.data.shape),
                "axes": "CYX",
                "dtype": str(image.data.dtype),
                "modality": image.modality,
                "channels": [vars(channel) for channel in image.channels],
                "pixel_size": image.pixel_size,
                "pixel_unit": image.pixel_unit,
                "assumptions": image.assumptions,
                "profile": profile.model_dump(),
            }
        )
    if not as_json:
        show_image(image, profile)


@app.command(name="segment")
def segment(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="An image.")],
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
    adapter: AdapterFile = None,
    model: ModelFile = None,
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Segment one object by clicks or a box."""
    points = [parse_click(text) for text in click or []]
    corners = parse_box(box) if box is not None else None
    if (prompt is None) == (not points and corners is None):
        raise typer.BadParameter("Give at least one --click or a --box, or else a --prompt.")
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise typer.BadParameter(f"The output {out} is a label image in TIFF; its name ends in .tif.")
    check_output(out, overwrite)
    from napari_simmat._cli.show import tell_assumptions
    from napari_simmat.exporters import export
    from napari_simmat.images import open_image

    with results(as_json) as give:
        with cancellable():
            image = open_image(path, modality=modality, channel_axis=channel_axis)
            from napari_simmat._cli.prompt import clicked, recorded
            from napari_simmat.inference import Segmenter

            asked = recorded(prompt) if prompt is not None else clicked(points, corners, candidate)
            segmenter = Segmenter(image, adapter=_adapter(adapter), model=_model(model))
            answer = segmenter.answer(asked)
            mask = answer.mask()
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


@app.command(name="finetune")
def finetune(
    dataset: Dataset,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT.safetensors", help="Adapter to write.")],
    mode: Annotated[Mode, typer.Option(help="deep: through the whole encoder. quick: seconds.")] = Mode.deep,
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Training steps; the mode's own without it.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(min=0.0, help="The mode's own without it.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same adapter.")] = 0,
    limit: Limit = None,
    adapter: AdapterFile = None,
    mat: Annotated[
        Mat, typer.Option(help="Transfer layer to begin with; paper: as published.")
    ] = Mat.default,
    model: ModelFile = None,
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Train an adapter on a folder of labelled images."""
    if out.suffix.lower() != ".safetensors":
        raise typer.BadParameter(f"The adapter {out} is a safetensors file; its name ends in .safetensors.")
    check_output(out, overwrite)
    with results(as_json) as give:
        with cancellable() as cancel, progress("training") as report:
            items = [item.load() for item in _dataset(dataset, limit, modality, channel_axis)]
            from napari_simmat.training import finetune as train

            trained = train(
                items,
                mode=mode.value,
                steps=steps,
                learning_rate=learning_rate,
                seed=seed,
                start=_adapter(adapter),
                mat=mat.value,
                on_step=lambda step, total, loss: report(step, total, f"loss {loss:.3f}"),
                cancel=cancel,
                base=_model(model),
            )
        trained.save(out)
        last = trained.card.history[-1].model_dump()
        give({"out": str(out), **last})
    if not as_json:
        print(f"{out}: {last['reason']}")


@app.command(name="evaluate")
def evaluate(
    dataset: Dataset,
    adapter: AdapterFile = None,
    clicks: Annotated[int, typer.Option(min=1, max=20, metavar="N", help="Clicks on each object.")] = 1,
    limit: Limit = None,
    model: ModelFile = None,
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    as_json: AsJson = False,
) -> None:
    """Measure how good masks are after 1 to N simulated clicks on each labelled object."""
    with results(as_json) as give:
        with cancellable() as cancel, progress("images") as report:
            items = _dataset(dataset, limit, modality, channel_axis)
            from napari_simmat.evaluation import evaluate as measure

            scores = measure(
                (item.load() for item in items),
                adapter=_adapter(adapter),
                clicks=clicks,
                on_image=lambda done: report(done, len(items), ""),
                cancel=cancel,
                base=_model(model),
            ).model_dump()
        give(scores)
    if not as_json:
        from napari_simmat._cli.show import show_scores

        show_scores(scores)


@app.command(name="export")
def export_labels(
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="A label image: 0 is background.")],
    image: Annotated[Path, typer.Option(metavar="PATH", help="The image that was labelled.")],
    format: Annotated[Format, typer.Option(help="What to write.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="File to write.")],
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write labels in a format of other programs, or as a table of measurements."""
    check_output(out, overwrite)
    from napari_simmat._cli.show import tell_assumptions
    from napari_simmat.exporters import export
    from napari_simmat.images import open_image, open_labels

    with results(as_json) as give:
        picture = open_image(image, modality=modality, channel_axis=channel_axis)
        count = export(open_labels(labels), picture, format.value, out)
        give({"out": str(out), "format": format.value, "objects": count})
    if not as_json:
        print(f"{out}: {count} objects")
    tell_assumptions(picture)


def _dataset(
    folder: Path, limit: int | None, modality: str | None, channel_axis: int | None
) -> list[DatasetItem]:
    from napari_simmat.images import open_dataset

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        items = open_dataset(folder, limit=limit, modality=modality, channel_axis=channel_axis)
    for warning in told:
        note(f"Note: {warning.message}")
    return items


def _adapter(path: Path | None) -> Adapter | None:
    if path is None:
        return None
    from napari_simmat.models import Adapter

    return Adapter.load(path)


def _model(path: Path | None) -> BaseModel | None:
    if path is None:
        return None
    from napari_simmat.models import load_base_model

    return load_base_model(path)


if __name__ == "__main__":
    main()
