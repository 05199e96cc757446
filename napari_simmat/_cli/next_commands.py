"""What to click next, as commands: propose, review, and all masks of an image for `segment --everything`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_simmat._cli.dataset_commands import open_as_told as open_dataset_as_told
from napari_simmat._cli.missing import note_of
from napari_simmat._cli.models import load_adapter, load_model, refuse_profile_of_adapter
from napari_simmat._cli.options import (
    AdapterFile,
    AsJson,
    ChannelAxis,
    Checkpoint,
    ImagePaths,
    Limit,
    Modality,
    ModelFile,
    Overwrite,
    Part,
    Profile,
    SampleFormat,
    Slice,
    check_output,
)
from napari_simmat._cli.terminal import cancellable, progress, results
from napari_simmat.errors import Cancelled, SimmatError

if TYPE_CHECKING:
    from threading import Event

    import numpy as np
    from numpy.typing import NDArray

    from napari_simmat.images import MultiChannelImage
    from napari_simmat.inference import Segmenter
    from napari_simmat.inference.proposing import Proposal

_TABLES = (".csv", ".json")
_LABELS = (".tif", ".tiff")


def propose(
    paths: ImagePaths,
    like: Annotated[
        list[Path],
        typer.Option(
            metavar="DATASET|LABELS",
            help="Objects to look for others like: a folder with images/ and instances/, or a label image of this "
            "image. Repeat it for more.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="OUT", help="Clicks as .csv or .json, or masks as a label image .tif."
        ),
    ],
    complete: Annotated[
        bool, typer.Option("--complete", help="The labels have all objects: what has none is background.")
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, metavar="S", help="Score from which to propose; as found best without it."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, metavar="N", help="Training steps.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same proposals.")] = 0,
    limit: Limit = None,
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
    """Learn from labelled objects where others like them are, and propose a click for each.

    A label image that is given with --like teaches of this very image; its objects are not proposed again.
    """
    if out.suffix.lower() not in (*_TABLES, *_LABELS):
        raise typer.BadParameter(
            f"The output {out} is a table or labels; its name ends in .csv, .json or .tif."
        )
    refuse_profile_of_adapter(profile, adapter)
    check_output(out, overwrite)
    with results(as_json) as give:
        with cancellable() as cancel, progress("training") as report:
            from napari_simmat._cli.image_commands import open_as_told
            from napari_simmat.images import chosen_profile, open_labels
            from napari_simmat.inference import Segmenter, proposing
            from napari_simmat.inference.regions import refuse_large
            from napari_simmat.training.proposals import learn_to_propose, lesson_of

            _, image = open_as_told(paths, modality, channel_axis, sample_format, slice_, part)
            refuse_large(image)
            wanted = chosen_profile(profile, image) if profile is not None else None
            learnt, base = load_adapter(adapter), load_model(model, checkpoint)

            def look(at: MultiChannelImage) -> Segmenter:
                return Segmenter(at, adapter=learnt, profile=wanted, model=base, keep=True)

            segmenter, lessons, taken = look(image), [], None
            note_of(segmenter)
            for path in like:
                if path.is_dir():
                    for item in open_dataset_as_told(path, limit, modality, channel_axis, sample_format):
                        other, labels = item.load()
                        lessons.append(lesson_of(look(other), labels, is_complete=complete))
                else:
                    labels = _labels_of(image, open_labels(path), path)
                    lessons.append(lesson_of(segmenter, labels, is_complete=complete))
                    taken = labels > 0 if taken is None else taken | (labels > 0)
            proposer = learn_to_propose(
                lessons,
                steps=steps,
                threshold=threshold,
                seed=seed,
                on_step=lambda step, total, loss: report(step, total, f"loss {loss:.3f}"),
                cancel=cancel,
            )
            found = proposing.propose(segmenter, proposer, taken=taken)
        _write(found, image, out)
        give(
            {
                "out": str(out),
                "learnt_from": proposer.objects,
                "threshold": proposer.threshold,
                "proposals": [_row(k, each) for k, each in enumerate(found, 1)],
                "device": segmenter.device_name,
            }
        )
    if not as_json:
        print(f"{out}: {len(found)} proposals, learnt from {proposer.objects} objects")


def review(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="DATASET | PATH ...", help="A labelled dataset, or an image with --labels."),
    ],
    labels: Annotated[
        Path | None, typer.Option(metavar="LABELS", help="The label image of the image; 0 is background.")
    ] = None,
    limit: Limit = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the prompts; same seed, same ranking.")] = 0,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="So many objects are printed.")] = 20,
    adapter: AdapterFile = None,
    model: ModelFile = None,
    checkpoint: Checkpoint = None,
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    sample_format: SampleFormat = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Rank labelled objects by how uncertain they are: what to look at again.

    Each is asked for again by other clicks in it and by boxes a little smaller and larger; where the masks differ much
    from the label, the label or the model is wrong. And its inside is compared with what surrounds it in all channels:
    where these tell no difference, its border is in doubt.
    """
    refuse_profile_of_adapter(profile, adapter)
    if labels is None and len(paths) > 1:
        raise typer.BadParameter("Give one DATASET, or an image with --labels.")
    with results(as_json) as give:
        with cancellable() as cancel, progress("images") as report:
            from napari_simmat._cli.image_commands import open_as_told
            from napari_simmat.evaluation.review import review as rank
            from napari_simmat.images import open_labels

            items: Iterator[Any]
            if labels is None:
                listed = open_dataset_as_told(paths[0], limit, modality, channel_axis, sample_format)
                total, items = len(listed), (item.load() for item in listed)
            else:
                _, image = open_as_told(paths, modality, channel_axis, sample_format, None, None)
                total, items = 1, iter([(image, open_labels(labels))])
            found = rank(
                items,
                adapter=load_adapter(adapter),
                profile=profile,
                seed=seed,
                on_image=lambda done: report(done, total, ""),
                cancel=cancel,
                base=load_model(model, checkpoint),
            )
        give(found.model_dump())
    if not as_json:
        for each in found.objects[:top]:
            print(f"{each.doubt:.3f}  {each.image}  object {each.label}  at y = {each.y:g}, x = {each.x:g}")
        if len(found.images) > 1:
            print("Images, the most uncertain first:")
            for one in found.images[:top]:
                print(f"{one.doubt:.3f}  {one.image}  {one.objects} objects")


def segment_everything(
    segmenter: Segmenter, grid: int | None, cancel: Event
) -> tuple[NDArray[np.int32], list[Proposal]]:
    """A label image of everything in an image, and what it was made of.

    Raises
    ------
    SimmatError
        Nothing was found.
    Cancelled
    """
    from napari_simmat.inference.everything import GRID, everything

    def step(done: int, total: int) -> None:
        if cancel.is_set():
            raise Cancelled("Cancelled; nothing was written.")
        report(done, total, "")

    with progress("clicks") as report:
        found = everything(segmenter, grid=grid or GRID, on_step=step)
    if not found:
        raise SimmatError(
            "The model finds no object that it is sure of, so nothing was written; click on one."
        )
    return _painted(found, segmenter.image.shape), found


def _labels_of(image: MultiChannelImage, labels: NDArray[np.int32], path: Path) -> NDArray[np.int32]:
    if labels.shape != image.shape:
        raise SimmatError(
            f"The labels {path.name} are {labels.shape}, the image is {image.shape} (rows, columns); give labels of "
            "this image, or a dataset."
        )
    return labels


def _painted(found: Sequence[Proposal], shape: tuple[int, int]) -> NDArray[np.int32]:
    """Labels (Y, X), each number the place in the list; of pixels in several masks the surest has them."""
    import numpy as np

    labels = np.zeros(shape, np.int32)
    for number, each in reversed(list(enumerate(found, 1))):
        labels[each.window][each.crop] = number
    return labels


def _row(number: int, proposal: Proposal) -> dict[str, Any]:
    y, x = proposal.point
    return {"number": number, "y": y, "x": x, "score": round(proposal.score, 4), "area": proposal.area}


def _write(found: Sequence[Proposal], image: MultiChannelImage, out: Path) -> None:
    from napari_simmat.atomic import write_atomically
    from napari_simmat.exporters import export

    rows = [_row(k, each) for k, each in enumerate(found, 1)]
    if out.suffix.lower() == ".json":
        write_atomically(out, (json.dumps(rows, indent=1) + "\n").encode())
    elif out.suffix.lower() == ".csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, ["number", "y", "x", "score", "area"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(out, text.getvalue().encode())
    elif found:
        export(_painted(found, image.shape), image, "tiff", out)
    else:
        raise SimmatError(
            "Nothing was found that is like these objects, so nothing was written; give more of them, or a lower "
            "--threshold."
        )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="propose")(propose)
    app.command(name="review")(review)
