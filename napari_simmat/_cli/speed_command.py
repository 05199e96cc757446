"""`napari-simmat benchmark speed`: how fast it is on this machine, beside stock segment-anything on the same weights."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_simmat._cli.dataset_commands import open_as_told
from napari_simmat._cli.models import load_model, weights_of
from napari_simmat._cli.options import AsJson, ChannelAxis, Checkpoint, Modality, ModelFile, SampleFormat
from napari_simmat._cli.terminal import Report, cancellable, note, progress, results
from napari_simmat._cli.window import has_display
from napari_simmat.errors import Cancelled, SimmatError

if TYPE_CHECKING:
    from napari_simmat.evaluation.speed import GrowthRow, WindowFigures
    from napari_simmat.models import BaseModel

_WINDOW = "napari_simmat.plugin.responsiveness"
_OBJECTS = (1, 10, 100, 1000, 5000)
_WHOLE_OBJECTS = 200
_OUT = Path("napari-simmat-speed")
_NO_DISPLAY = (
    "The window was not measured: there is no display. Where there is none, a virtual one will do: xvfb-run -a "
    "napari-simmat benchmark speed."
)
_NO_NAPARI = (
    "The window was not measured: napari or its Qt binding is missing; install them with: pip install "
    '"napari-simmat[all]"'
)
_OTHER_MODEL = "The window was not measured: it works with the embedded model."


def speed(
    dataset: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATASET]",
            help="Folder with images/ and instances/ that share file stems; the bundled images without it.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Folder for speed.json, speed.md and plots."),
    ] = None,
    runs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Encodings, at least; 10 or more for figures to be told.")
    ] = 10,
    whole: Annotated[
        bool,
        typer.Option(
            "--report",
            help="Also how cost grows with image size, channels, objects and corrections, and plots; half an hour or "
            f"more. Written to {_OUT} if --out does not say where.",
        ),
    ] = False,
    window: Annotated[bool, typer.Option(help="Measure a real window, too.")] = True,
    model: ModelFile = None,
    checkpoint: Checkpoint = None,
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    sample_format: SampleFormat = None,
    as_json: AsJson = False,
) -> None:
    """Measure how fast it is here, beside stock segment-anything with the same weights, in turns."""
    folder = out if out is not None else _OUT if whole else None
    if folder is not None and folder.exists() and not folder.is_dir():
        raise SimmatError(f"{folder} is a file; name a folder for the results.")
    with (
        results(as_json) as give,
        cancellable() as cancel,
        tempfile.TemporaryDirectory(prefix="napari-simmat-speed-") as home,
    ):
        items = (
            None if dataset is None else open_as_told(dataset, None, modality, channel_axis, sample_format)
        )
        base = load_model(model, checkpoint)
        from napari_simmat.evaluation.speed import OBJECTS, benchmark_speed
        from napari_simmat.evaluation.speed.plots import write_plots
        from napari_simmat.evaluation.speed.table import table, write_report

        with progress("measurements") as report:
            objects = _WHOLE_OBJECTS if whole else OBJECTS
            found = benchmark_speed(
                items, runs=runs, objects=objects, base=base, progress=report, cancel=cancel
            )
        environment = _of_its_own(Path(home))
        has_window = window and _can_have_window(base)
        if has_window and (measured := _window(runs, environment, cancel)) is not None:
            found = found.with_window(measured)
        if whole:
            weights = weights_of(model, checkpoint)
            with progress("growth") as report:
                rows = _growth(weights, has_window, environment, cancel, report)
            found = found.model_copy(update={"growth": rows})
        if folder is not None:
            _make(folder)
            write_report(found, folder)
            if whole:
                write_plots(found, folder)
        give(found.model_dump())
    if not as_json:
        print(table(found))
    if folder is not None:
        note(f"Figures{', table and plots' if whole else ' and table'} are in {folder}.")


def _of_its_own(home: Path) -> dict[str, str]:
    """Variables with which nothing of the user's is read or written: journal, caches, napari's settings."""
    from napari_simmat.folders import HOME_VARIABLE

    return {HOME_VARIABLE: str(home), "NAPARI_CONFIG": str(home / "napari.yaml")}


def _can_have_window(base: BaseModel | None) -> bool:
    """Whether there is a window to measure; says why not."""
    from napari_simmat.models import load_base_model

    if not has_display():
        note(_NO_DISPLAY)
        return False
    if find_spec("napari") is None or find_spec("qtpy") is None:
        note(_NO_NAPARI)
        return False
    if base is not None and base.sha256 != load_base_model().sha256:
        note(_OTHER_MODEL)
        return False
    return True


def _window(runs: int, environment: Mapping[str, str], cancel: threading.Event) -> WindowFigures | None:
    """A window in a process of its own, so that it cannot take anything down."""
    from napari_simmat.evaluation.speed import WindowFigures, run_child

    note(f"Working in a window, with up to {_OBJECTS[-1]:,} objects.")
    arguments = ["window", str(runs), str(_OBJECTS[-1])]
    try:
        told = run_child(_WINDOW, arguments, cancel=cancel, environment=environment)
    except Cancelled:
        raise
    except SimmatError as error:
        note(f"The window was not measured. {error}")
        return None
    return WindowFigures.model_validate(told)


def _growth(
    checkpoint: Path | None,
    has_window: bool,
    environment: Mapping[str, str],
    cancel: threading.Event,
    report: Report,
) -> list[GrowthRow]:
    from napari_simmat.evaluation.speed import GROWTH, GROWTH_MODULE, grow

    plan = {**GROWTH, **({"objects": _OBJECTS} if has_window else {})}
    total, done = sum(map(len, plan.values())), 0

    def count(remark: str) -> None:
        nonlocal done
        done += 1
        report(done, total, remark)

    rows: list[GrowthRow] = []
    for what, values in plan.items():
        in_window = what == "objects"
        rows += grow(
            what,
            values,
            module=_WINDOW if in_window else GROWTH_MODULE,
            checkpoint=None if in_window else checkpoint,
            environment=environment,
            cancel=cancel,
            done=count,
        )
    return rows


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SimmatError(
            f"The folder {folder} cannot be made ({error.strerror}); choose another one."
        ) from error
