"""`napari-simmat replay PROJECT`: do everything once more, and see whether the same comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_simmat._cli.options import AsJson
from napari_simmat._cli.terminal import cancellable, progress, results
from napari_simmat.errors import Cancelled, ProjectError


def replay(
    project: Annotated[Path, typer.Argument(metavar="PROJECT", help="Project folder, NAME.simmat.")],
    image: Annotated[
        Path | None, typer.Option("--image", metavar="FILE", help="The image, where it lies elsewhere now.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Repeat all gestures of a project without a window, and compare the labels with those in it, bit for bit.

    Clicks are answered and trainings done anew; what was painted by hand is taken from the journal. The project is not
    changed.
    """
    with results(as_json) as give:
        with cancellable() as cancel, progress("gestures") as report:
            from napari_simmat.replay import replay as repeat

            found = repeat(project, image=image, progress=report, is_cancelled=cancel.is_set)
            if cancel.is_set():
                raise Cancelled("Cancelled; nothing was changed.")
        give({"images": [each.model_dump() for each in found], "same": all(each.same for each in found)})
    if not as_json:
        for each in found:
            verdict = "the same labels, bit for bit" if each.same else "other labels"
            print(
                f"{each.image}: {each.gestures} gestures, {each.accepted} masks and {each.trainings} trainings anew, "
                f"{each.objects} objects: {verdict}."
            )
            for remark in (*each.differences, *each.not_repeated):
                print(f"  {remark}")
    if not all(each.same for each in found):
        raise ProjectError("Something else came of it than is written in the project, see above.")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="replay")(replay)
