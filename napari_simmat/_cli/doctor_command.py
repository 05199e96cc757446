"""`napari-simmat doctor`: what is installed, what is kept and whether it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_simmat._cli.options import AsJson
from napari_simmat._cli.terminal import progress, results
from napari_simmat.errors import SimmatError

if TYPE_CHECKING:
    from napari_simmat.doctor import Examination
    from napari_simmat.journal.checkup import Checkup


def doctor(
    projects: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PROJECT]...", help="Project folders (NAME.simmat) to look at; all known ones without."
        ),
    ] = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Remove damaged files that can be made again; of damaged projects make new ones of all that is whole "
            "in them. What was damaged is put aside, never deleted.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show versions, devices and folders, and check everything that is kept; for reports of problems."""
    with results(as_json) as give:
        from napari_simmat.doctor import examine

        with progress("doctor") as report:
            found = examine(projects=projects or (), repair=repair, progress=report)
        give(found.model_dump())
    if not as_json:
        print(_text(found))
    if found.problems:
        raise SimmatError(
            found.problems[0]
            if len(found.problems) == 1
            else f"{len(found.problems)} problems were found, see above."
        )


def _text(found: Examination) -> str:
    lines = [", ".join(f"{name} {number}" for name, number in found.versions.items())]
    products = ", ".join(f"{name} {ms:.1f} ms" for name, ms in found.products_ms.items())
    lines += [f"Computes with {found.device}; at hand: {', '.join(found.devices)}. A product: {products}."]
    lines += [f"Embedded model: {found.model}"]
    for folder in found.folders:
        most = "" if folder.most_megabytes is None else f" of at most {folder.most_megabytes:,.0f}"
        lines.append(f"{folder.path} ({folder.what}): {folder.files} files, {folder.megabytes:,.1f}{most} MB")
    lines += [_project(each) for each in found.projects]
    lines += [f"Repaired: {sentence}" for each in found.projects for sentence in each.repaired]
    lines += [f"Removed: {path}" for path in found.removed]
    lines += [f"Problem: {problem}" for problem in found.problems] or ["No problems were found."]
    return "\n".join(lines)


def _project(project: Checkup) -> str:
    kept = (
        _counted(project.objects, "object"),
        _counted(project.gestures, "gesture"),
        _counted(project.adapters, "adapter"),
        _counted(project.snapshots, "snapshot"),
    )
    is_open = ", open in a window" if project.is_open else ""
    return f"{project.folder}: {', '.join(kept)}, {project.megabytes:,.1f} MB{is_open}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="doctor")(doctor)
