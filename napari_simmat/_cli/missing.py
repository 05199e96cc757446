"""Groups of channels that an adapter of experts is not to look at, or that images lack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from napari_simmat._cli.terminal import note

if TYPE_CHECKING:
    from napari_simmat.images import DatasetItem
    from napari_simmat.inference import Segmenter
    from napari_simmat.models import Adapter

Missing = Annotated[
    str | None,
    typer.Option(
        "--missing",
        metavar="GROUP[,GROUP]",
        help="Answer as if these groups of channels were not there; for an adapter of experts (finetune --experts).",
    ),
]


def adapter_without(adapter: Adapter | None, missing: str | None) -> Adapter | None:
    """The adapter that does not look at some groups.

    Raises
    ------
    AdapterError
        There is no adapter of experts, no such group, or none would be left.
    """
    if missing is None:
        return adapter
    if adapter is None:
        raise typer.BadParameter("Only an adapter of experts knows groups; give one with --adapter.")
    from napari_simmat.models.experts import without

    return without(adapter, [name for name in missing.split(",") if name.strip()])


def note_of(segmenter: Segmenter) -> None:
    """Say what people are to be told of how an image is looked at: that groups lack, or that memory was too small."""
    if segmenter.note:
        note(f"Note: {segmenter.note}")


def note_what_lacks(adapter: Adapter | None, item: DatasetItem) -> None:
    """Say once what the first image lacks of an adapter's groups."""
    if adapter is not None and adapter.card.members:
        from napari_simmat.models.experts import missing_in_words

        told = missing_in_words(adapter, item.load()[0])
        if told:
            note(f"Note: {told}")
