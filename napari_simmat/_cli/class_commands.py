"""Classes of pixels, as commands: finetune-classes and paint; and what evaluate says of them."""

from __future__ import annotations

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
    Classes,
    Dataset,
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
from napari_simmat.errors import SimmatError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from threading import Event

    import numpy as np
    from numpy.typing import NDArray

    from napari_simmat.images import DatasetItem
    from napari_simmat.inference.proposing import Seen
    from napari_simmat.models import Adapter, BaseModel
    from napari_simmat.training.classes import ClassLesson


def finetune_classes(
    dataset: Dataset,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT.safetensors", help="Adapter to write.")],
    classes: Classes = None,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial", help="What has no class is unknown, not background, but right around objects."
        ),
    ] = False,
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Training steps; by default more for more images.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same classes.")] = 0,
    limit: Limit = None,
    adapter: AdapterFile = None,
    model: ModelFile = None,
    checkpoint: Checkpoint = None,
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    sample_format: SampleFormat = None,
    profile: Profile = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Learn the classes of a dataset's class images; the adapter gets them beside what it has learnt already."""
    if out.suffix.lower() != ".safetensors":
        raise typer.BadParameter(f"The adapter {out} is a safetensors file; its name ends in .safetensors.")
    refuse_profile_of_adapter(profile, adapter)
    check_output(out, overwrite)
    losses: list[float] = []
    with results(as_json) as give:
        with cancellable() as cancel, progress("training") as report:
            from napari_simmat.evaluation.class_maps import class_name_of
            from napari_simmat.images import chosen_profile
            from napari_simmat.images.class_names import colour_of
            from napari_simmat.inference import Segmenter
            from napari_simmat.inference.painting import HEAD
            from napari_simmat.inference.proposing import seen_by
            from napari_simmat.models import Adapter
            from napari_simmat.training.classes import learn_classes

            items = open_dataset_as_told(dataset, limit, modality, channel_axis, sample_format, classes)
            loaded = [(*item.load(), item.load_classes()) for item in items if item.classes_path is not None]
            if not loaded:
                raise SimmatError(
                    f"{dataset} has no class images; add them in classes/, or name them with --classes."
                )
            start, base = load_adapter(adapter), load_model(model, checkpoint)
            if start is None:
                wanted = chosen_profile(profile, loaded[0][0]) if profile is not None else None
                start = Adapter.untrained([image for image, _, _ in loaded], profile=wanted, base=base)
            found = _numbers_of([each for _, _, each in loaded if each is not None])
            names = [class_name_of(number, items[0].class_names) for number in found]
            lessons = [
                _lesson(
                    seen_by(Segmenter(image, adapter=start, model=base, keep=True)),
                    labels,
                    kinds,
                    found,
                    partial,
                )
                for image, labels, kinds in loaded
                if kinds is not None
            ]

            def step(done: int, total: int, loss: float) -> None:
                losses.append(loss)
                report(done, total, f"loss {loss:.3f}")

            head = learn_classes(
                lessons,
                names,
                [colour_of(name) for name in names],
                steps=steps,
                seed=seed,
                on_step=step,
                cancel=cancel,
            )
        start.with_head(HEAD, head).save(out)
        told: dict[str, Any] = {
            "out": str(out),
            "classes": names,
            "images": len(lessons),
            "steps": len(losses),
        }
        give({**told, "loss_first": losses[0], "loss_last": losses[-1]})
    if not as_json:
        print(f"{out}: {', '.join(names)}, learnt from {len(lessons)} images")


def paint(
    paths: ImagePaths,
    adapter: Annotated[
        Path, typer.Option("--adapter", metavar="FILE", help="Adapter that has learnt classes.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="OUT.tif", help="Class map to write; OUT.json names the numbers."
        ),
    ],
    model: ModelFile = None,
    checkpoint: Checkpoint = None,
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    sample_format: SampleFormat = None,
    slice_: Slice = None,
    part: Part = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Say for each pixel of an image which of the learnt classes it is."""
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise typer.BadParameter(f"The output {out} is a class map in TIFF; its name ends in .tif.")
    check_output(out, overwrite)
    check_output(out.with_name(f"{out.stem}.json"), overwrite)
    with results(as_json) as give:
        with cancellable():
            from napari_simmat._cli.image_commands import open_as_told
            from napari_simmat.exporters.class_map import write_class_map
            from napari_simmat.inference import Segmenter
            from napari_simmat.inference.painting import paint as paint_over
            from napari_simmat.inference.regions import refuse_large

            _, image = open_as_told(paths, modality, channel_axis, sample_format, slice_, part)
            refuse_large(image)
            segmenter = Segmenter(
                image, adapter=load_adapter(adapter), model=load_model(model, checkpoint), keep=True
            )
            note_of(segmenter)
            painted = paint_over(segmenter)
        write_class_map(
            painted.numbers, painted.names, dict(zip(painted.names, painted.colours, strict=True)), out
        )
        give({"out": str(out), "shares": painted.shares(), "device": segmenter.device_name})
    if not as_json:
        shares = ", ".join(f"{name} {100 * share:.1f} %" for name, share in painted.shares().items())
        print(f"{out}: {shares}")


def class_figures(
    items: Sequence[DatasetItem], adapter: Adapter, base: BaseModel | None, cancel: Event
) -> dict[str, Any] | None:
    """How good the painted classes of an adapter are on a dataset; None where that has no class images."""
    from napari_simmat.evaluation.class_maps import evaluate_classes

    listed = [item for item in items if item.classes_path is not None]
    if not listed:
        return None
    with progress("painted images") as report:
        found = evaluate_classes(
            ((*item.load(), item.load_classes()) for item in listed),
            adapter=adapter,
            class_names=listed[0].class_names,
            on_image=lambda done: report(done, len(listed), ""),
            cancel=cancel,
            base=base,
        )
    return found.model_dump()


def _numbers_of(classes: list[NDArray[np.int32]]) -> list[int]:
    import numpy as np

    found = set(np.concatenate([np.unique(each) for each in classes]).tolist()) - {0}
    if not found:
        raise SimmatError(
            "The class images hold nothing but 0; give each pixel of an object the number of its class."
        )
    return sorted(int(number) for number in found)


def _lesson(
    seen: Seen,
    labels: NDArray[np.int32],
    kinds: NDArray[np.int32],
    numbers: list[int],
    partial: bool,
) -> ClassLesson:
    """What one image teaches; objects without a class are unknown."""
    import numpy as np
    from scipy import ndimage

    from napari_simmat.training.classes import class_lesson

    objects = [((slice(0, labels.shape[0]), slice(0, labels.shape[1])), (labels > 0) & (kinds == 0), 0)]
    for place, number in enumerate(numbers, 1):
        parts, _ = ndimage.label(kinds == number)
        for k, box in enumerate(ndimage.find_objects(parts), 1):
            objects.append(((box[0], box[1]), np.asarray(parts[box] == k), place))
    return class_lesson(seen, objects, is_complete=not partial)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="finetune-classes")(finetune_classes)
    app.command(name="paint")(paint)
