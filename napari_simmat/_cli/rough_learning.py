"""What `finetune --labels rough` does: adapt to images of which only prompts are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from napari_simmat._cli.terminal import cancellable, progress, results

if TYPE_CHECKING:
    from napari_simmat.models import Adapter, BaseModel


def refuse_beside_rough(given: Mapping[str, bool]) -> None:
    """Refuse options that mean nothing without masks.

    Raises
    ------
    typer.BadParameter
        Names the first one that was given.
    """
    for name, is_given in given.items():
        if is_given:
            raise typer.BadParameter(f"{name} does nothing beside --labels rough; leave it out.")


def adapt_as_told(
    dataset: Path,
    out: Path,
    *,
    reading: dict[str, Any],
    profile: str | None,
    mode: Literal["quick", "deep"],
    strategy: str,
    learning_rate: float | None,
    steps: int | None,
    seed: int,
    robust: bool,
    check: bool,
    start: Callable[[], Adapter | None],
    mat: str,
    base: Callable[[], BaseModel | None],
    as_json: bool,
) -> None:
    """Train on the prompts of a dataset and write the adapter.

    `reading` are the options of `open_rough`; `start` and `base` load what was named.
    """
    with results(as_json) as give:
        with cancellable() as cancel, progress("training") as report:
            from napari_simmat.images import chosen_profile
            from napari_simmat.models import Adapter
            from napari_simmat.training.rough import RoughSettings, adapt_from_rough, open_rough

            plain = RoughSettings()
            settings = RoughSettings(
                steps=steps,
                learning_rate=plain.learning_rate if learning_rate is None else learning_rate,
                seed=seed,
                robust=robust,
                check=check,
            )
            labels = open_rough(dataset, **reading)
            first, model = start(), base()
            if first is None:
                images = [each.image for each in labels]
                wanted = None if profile is None else chosen_profile(profile, images[0])
                first = Adapter.untrained(images, profile=wanted, mat=mat, base=model)
            adapter, told = adapt_from_rough(
                labels,
                start=first,
                mode=mode,
                strategy=strategy,
                settings=settings,
                on_step=lambda step, total, loss: report(step, total, f"loss {loss:.3f}"),
                cancel=cancel,
                base=model,
            )
        if not told.kept:
            adapter = adapter.with_card(history=(*adapter.card.history, told))
        adapter.save(out)
        give({"out": str(out), **told.model_dump()})
    if not as_json:
        print(f"{out}: {told.reason}")
