"""What `finetune --align` does before there are labels, or where there are none."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_simmat._cli.terminal import Report, note

if TYPE_CHECKING:
    from napari_simmat.models import Adapter, BaseModel


def align_as_told(
    dataset: Path,
    *,
    reading: dict[str, Any],
    profile: str | None,
    start: Adapter | None,
    mat: str,
    steps: int | None,
    seed: int,
    base: BaseModel | None,
    report: Report,
    cancel: threading.Event,
) -> Adapter:
    """The adapter after learning from the images without labels; the report is the last of its history.

    `reading` are the options of `open_images`.
    """
    from napari_simmat.images import chosen_profile
    from napari_simmat.images.unlabelled import open_images
    from napari_simmat.training import align

    images = open_images(dataset, **reading)
    wanted = None if profile is None or start is not None else chosen_profile(profile, images[0])
    adapter, told = align(
        images,
        start=start,
        profile=wanted,
        mat=mat,
        steps=steps,
        seed=seed,
        on_step=lambda step, total, loss: report(step, total, f"aligning, distance {loss:.3f}"),
        cancel=cancel,
        base=base,
    )
    note(f"Aligned: {told.reason}")
    return adapter if told.kept else adapter.with_card(history=(*adapter.card.history, told))
