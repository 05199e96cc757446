"""The command line: the same engine as the window, for scripts.

What is heavy (torch, napari) is imported inside the commands that need it, so that ``--help`` and ``info``
are quick.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from napari_simmat import __version__
from napari_simmat._cli import (
    benchmark_commands,
    class_commands,
    dataset_commands,
    doctor_command,
    embed_command,
    image_commands,
    naming_commands,
    next_commands,
    replay_command,
)
from napari_simmat._cli.options import ChannelAxis, Modality, Part, SampleFormat, Slice, parse_slice
from napari_simmat._cli.terminal import run

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
    if first in _commands(hidden=True) or first in ("-h", "--help", "--version"):
        return arguments
    return ["open", *arguments]


def _commands(*, hidden: bool) -> list[str]:
    """Names of the commands and of groups of commands, in order."""
    single = [str(command.name) for command in app.registered_commands if hidden or not command.hidden]
    return sorted([*single, *(str(group.name) for group in app.registered_groups)])


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
    sample_format: SampleFormat = None,
    slice_: Slice = None,
    part: Part = None,
) -> None:
    """Open napari with the panel docked and files loaded."""
    for path in paths or []:
        if not path.exists():
            commands = ", ".join(_commands(hidden=False))
            raise typer.BadParameter(f"{path} is neither a file nor one of the commands {commands}.")
    from napari_simmat._cli.window import plugin

    window = plugin()
    index = None
    if slice_ is not None and paths:
        from napari_simmat.images import open_file

        index = parse_slice(slice_, open_file(paths[0], part=part).stack(channel_axis))
    window.open_window(
        paths or [],
        modality=modality,
        channel_axis=channel_axis,
        sample_format=sample_format,
        index=index,
        part=part,
    )


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


image_commands.register(app)
dataset_commands.register(app)
naming_commands.register(app)
embed_command.register(app)
doctor_command.register(app)
replay_command.register(app)
class_commands.register(app)
next_commands.register(app)
benchmark_commands.register(app)


if __name__ == "__main__":
    main()
