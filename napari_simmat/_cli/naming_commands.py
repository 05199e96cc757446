"""Names for masks: `teach`, `name`, and what `segment --text` does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_simmat._cli.image_commands import open_as_told
from napari_simmat._cli.missing import note_of
from napari_simmat._cli.models import load_adapter, load_model
from napari_simmat._cli.options import (
    AdapterFile,
    AsJson,
    ChannelAxis,
    Checkpoint,
    Limit,
    Modality,
    ModelFile,
    Overwrite,
    Part,
    SampleFormat,
    Slice,
    check_output,
)
from napari_simmat._cli.terminal import cancellable, note, progress, results
from napari_simmat.errors import Cancelled, SimmatError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_simmat.images import MultiChannelImage
    from napari_simmat.inference import Segmenter
    from napari_simmat.models import Adapter, BaseModel

NameList = Annotated[
    str, typer.Option("--names", metavar="A,B,C", help="What objects may be called, with commas between.")
]


def teach(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATASET|IMAGE ...",
            help="A folder with images/, and instances/ where there are masks; or images, each on its own.",
        ),
    ],
    clip: Annotated[
        Path,
        typer.Option("--clip", metavar="PATH", help="The teacher: a folder or a checkpoint of OpenCLIP."),
    ],
    names: NameList,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT.safetensors", help="Adapter to write.")],
    adapter: AdapterFile = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Steps of the head; from the number of images without it."),
    ] = None,
    encoder: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="So many more steps in which the late part of the encoder learns, too, while masks are kept.",
        ),
    ] = 0,
    keep: Annotated[
        float, typer.Option(min=0.0, help="Weight of keeping masks as they are, with --encoder.")
    ] = 10.0,
    automatic: Annotated[
        bool, typer.Option(help="Learn from the model's own masks where an image has few or none.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Same seed, same adapter.")] = 0,
    limit: Limit = None,
    model: ModelFile = None,
    checkpoint: Checkpoint = None,
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    sample_format: SampleFormat = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Teach an adapter names for masks, from a CLIP that you have; nothing is asked from the network.

    The teacher sees the colours of each image, or the picture that is shown of it first. The adapter keeps the text
    embeddings of the names, so naming needs no CLIP.
    """
    check_output(out, overwrite)
    reading = {"modality": modality, "channel_axis": channel_axis, "sample_format": sample_format}
    with results(as_json) as give:
        with cancellable() as cancel, progress("names") as report:
            from napari_simmat.inference import Segmenter
            from napari_simmat.models import Adapter
            from napari_simmat.training.naming import Schedule, automatic_masks, load_teacher, view_of
            from napari_simmat.training.naming import teach as learn

            teacher = load_teacher(clip)
            base, start = load_model(model, checkpoint), load_adapter(adapter)
            pupils = _pupils(paths, limit, reading)
            if start is None:
                start = Adapter.untrained([image for image, _ in pupils], base=base)
            for number, (image, masks) in enumerate(pupils):
                if cancel.is_set():
                    raise Cancelled("Cancelled; nothing was written.")
                report(number, len(pupils), f"regions of {image.name}")
                start.fits(image)
                if automatic and len(masks) < 4:
                    masks += automatic_masks(Segmenter(image, adapter=start, model=base))
            plan = Schedule.usual(len(pupils), steps=steps, encoder=encoder, keep=keep)
            view = view_of(pupils[0][0])
            note(f"The teacher {teacher.name} sees {view}.")
            made, told = learn(
                pupils,
                teacher,
                names.split(","),
                start=start,
                schedule=plan,
                seed=seed,
                on_step=lambda step, total, loss: report(step, total, f"distance {loss:.3f}"),
                cancel=cancel,
                base=base,
            )
        made.save(out)
        give({"out": str(out), "view": view, "teacher": teacher.name, **told.model_dump(exclude={"losses"})})
    if not as_json:
        print(f"{out}: {told.reason}")


def _pupils(
    paths: list[Path], limit: int | None, reading: dict[str, Any]
) -> list[tuple[MultiChannelImage, list[NDArray[np.bool_]]]]:
    """Images with the masks of their objects, where there are any."""
    import numpy as np

    from napari_simmat.images import open_dataset, open_image
    from napari_simmat.images.unlabelled import open_images
    from napari_simmat.inference.regions import refuse_large

    folder = paths[0]
    if len(paths) == 1 and (folder / "images").is_dir():
        if (folder / "instances").is_dir():
            loaded = [item.load() for item in open_dataset(folder, limit=limit, **reading)]
        else:
            loaded = [
                (each, np.zeros(each.shape, np.int32)) for each in open_images(folder, limit=limit, **reading)
            ]
    else:
        images = [open_image(path, **reading) for path in paths[:limit]]
        loaded = [(image, np.zeros(image.shape, np.int32)) for image in images]
    for image, _ in loaded:
        refuse_large(image)
    return [(image, [labels == n for n in np.unique(labels) if n > 0]) for image, labels in loaded]


def name(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The image that was labelled.")],
    labels: Annotated[
        Path, typer.Option("--labels", metavar="LABELS.tif", help="A label image: 0 is background.")
    ],
    adapter: Annotated[
        Path, typer.Option("--adapter", metavar="FILE", help="Adapter that was taught names.")
    ],
    names: Annotated[
        str | None,
        typer.Option("--names", metavar="A,B,C", help="Only these of the names that the adapter knows."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="So many names for each object.")] = 3,
    model: ModelFile = None,
    checkpoint: Checkpoint = None,
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    sample_format: SampleFormat = None,
    slice_: Slice = None,
    part: Part = None,
    as_json: AsJson = False,
) -> None:
    """Say what the objects of a label image may be called, the likeliest first, with the similarity of each."""
    with results(as_json) as give:
        with cancellable():
            import numpy as np

            from napari_simmat.images import open_labels
            from napari_simmat.inference import Segmenter
            from napari_simmat.inference.naming import Naming
            from napari_simmat.inference.regions import refuse_large

            _, picture = open_as_told([image], modality, channel_axis, sample_format, slice_, part)
            refuse_large(picture)
            found = open_labels(labels)
            if found.shape != picture.shape:
                raise SimmatError(
                    f"The labels are {found.shape}, the image {picture.name!r} is {picture.shape} (rows, columns); "
                    "give the labels of this image."
                )
            masks = {int(n): found == n for n in np.unique(found) if n > 0}
            if not masks:
                raise SimmatError(f"There is no object in {labels.name}, so there is nothing to name.")
            segmenter = Segmenter(
                picture, adapter=load_adapter(adapter), model=load_model(model, checkpoint), keep=True
            )
            note_of(segmenter)
            naming = Naming(segmenter)
            ranked = naming.rank(masks, [] if names is None else [n.strip() for n in names.split(",")])
        give(
            {
                "teacher": naming.names.config.teacher,
                "objects": [
                    {"label": each.label, "names": each.names[:top], "similarities": each.similarities[:top]}
                    for each in ranked
                ],
            }
        )
    if not as_json:
        for each in ranked:
            pairs = zip(each.names[:top], each.similarities[:top], strict=True)
            print(f"{each.label}: " + ", ".join(f"{found} ({similar:.2f})" for found, similar in pairs))


def segment_text(
    image: MultiChannelImage, text: str, adapter: Adapter | None, base: BaseModel | None
) -> tuple[NDArray[np.int32], list[float], Segmenter]:
    """Everything on an image that a text fits: a label image, the predicted IoU of each object, and who answered."""
    import numpy as np

    from napari_simmat.inference import Segmenter
    from napari_simmat.inference.by_text import prompts_by_text
    from napari_simmat.inference.naming import Naming
    from napari_simmat.inference.regions import refuse_large

    refuse_large(image)
    if adapter is None:
        raise SimmatError(
            "Segmenting by --text needs an --adapter that was taught names; make one with napari-simmat teach."
        )
    segmenter = Segmenter(image, adapter=adapter, model=base, keep=True)
    note_of(segmenter)
    labels, scores = np.zeros(image.shape, np.int32), list[float]()
    for prompt in prompts_by_text(Naming(segmenter), text.strip()):
        answer = segmenter.answer(prompt)
        mask = answer.mask() & (labels == 0)
        if mask.any():
            scores.append(answer.score)
            labels[mask] = len(scores)
    return labels, scores, segmenter


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="teach")(teach)
    app.command(name="name")(name)
