"""The commands under `benchmark`: what is measured on labelled images to be compared and kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, overload

import typer

from napari_simmat._cli.accuracy_command import accuracy
from napari_simmat._cli.dataset_commands import open_as_told
from napari_simmat._cli.experts_command import experts
from napari_simmat._cli.models import load_adapter, load_model, refuse_profile_of_adapter
from napari_simmat._cli.names_benchmark import names
from napari_simmat._cli.next_benchmark import next_click
from napari_simmat._cli.options import (
    AdapterFile,
    AsJson,
    ChannelAxis,
    Checkpoint,
    Dataset,
    Limit,
    Modality,
    ModelFile,
    Profile,
    SampleFormat,
)
from napari_simmat._cli.rough_command import rough
from napari_simmat._cli.speed_command import speed
from napari_simmat._cli.terminal import cancellable, progress, results

if TYPE_CHECKING:
    from napari_simmat.evaluation.protocol import Item
    from napari_simmat.images import DatasetItem

app = typer.Typer(
    name="benchmark",
    help="Measure a model on labelled images: accuracy, channels, speed, what to click next, names.",
    no_args_is_help=True,
)


app.command(name="accuracy")(accuracy)
app.command(name="speed")(speed)
app.command(name="experts")(experts)
app.command(name="next")(next_click)
app.command(name="rough")(rough)
app.command(name="names")(names)


@app.command(name="channels")
def channels(
    dataset: Dataset,
    adapter: AdapterFile = None,
    tolerance: Annotated[
        float,
        typer.Option(
            min=0.0, metavar="IOU", help="Channels suffice if their mean IoU is this near to that of all."
        ),
    ] = 0.02,
    groups: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Leave out N runs of neighbouring channels instead of single ones; for cubes of many bands.",
        ),
    ] = None,
    limit: Limit = None,
    model: ModelFile = None,
    checkpoint: Checkpoint = None,
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    sample_format: SampleFormat = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Measure which channels the masks come from, and how few of them would do.

    Each channel is left out in turn: what the model sees of it is replaced by its mean over the image. The IoU is that
    of the mask after one click on the deepest point of each object. It shows what this model makes use of; a model
    that is trained without a channel may find the same in others.
    """
    refuse_profile_of_adapter(profile, adapter)
    with results(as_json) as give:
        with cancellable() as cancel, progress("embeddings") as report:
            items = open_as_told(dataset, limit, modality, channel_axis, sample_format)
            from napari_simmat.evaluation import attribute_channels

            found = attribute_channels(
                Loading(items),
                adapter=load_adapter(adapter),
                profile=profile,
                groups=groups,
                tolerance=tolerance,
                on_step=report,
                cancel=cancel,
                base=load_model(model, checkpoint),
            )
        give(found.model_dump())
    if not as_json:
        from napari_simmat._cli.show_channels import show_attribution

        show_attribution(found, trained=adapter is not None)


class Loading(Sequence["Item"]):
    """The images of a dataset, each read when it is looked at, so that one at a time is in memory."""

    def __init__(self, items: Sequence[DatasetItem]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        if isinstance(index, slice):
            return Loading(self._items[index])
        return self._items[index].load()


def register(root: typer.Typer) -> None:
    """Add the group of commands."""
    root.add_typer(app, name="benchmark")
