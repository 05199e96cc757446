"""The best, the median and the worst objects of a row, before and after training, as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.evaluation.accuracy.plots import figure, save
from napari_simmat.evaluation.accuracy.rows import UNTRAINED
from napari_simmat.evaluation.accuracy.trials import TRIALS, TrialResult
from napari_simmat.evaluation.protocol import segmenter_for
from napari_simmat.evaluation.scores import ObjectScore
from napari_simmat.images import profile_for, screen_rgb
from napari_simmat.images.dataset import DatasetItem
from napari_simmat.inference import Prompt, Segmenter
from napari_simmat.models import Adapter, BaseModel

__all__ = ["chosen_objects", "write_gallery", "write_gallery_of"]

_EACH = 3
_ROOM = 1.0  # of the object's size around it
_LEAST_SIDE = 64
_TRUTH, _ANSWER, _CLICK = "#ffffff", "#ff3df2", "#39ff14"


@dataclass(frozen=True)
class _Pair:
    before: ObjectScore
    after: ObjectScore


def chosen_objects(before: TrialResult, after: TrialResult) -> dict[str, list[_Pair]]:
    """The objects with the best, median and worst one-click IoU after training."""
    known = {(score.image_number, score.label): score for score in before.scores}
    pairs = sorted(
        (_Pair(known[score.image_number, score.label], score) for score in after.scores),
        key=lambda pair: pair.after.ious[0],
    )
    middle = max(0, min(len(pairs) // 2 - _EACH // 2, len(pairs) - _EACH))
    return {"best": pairs[::-1][:_EACH], "median": pairs[middle : middle + _EACH], "worst": pairs[:_EACH]}


def write_gallery_of(
    row: str,
    results: Sequence[TrialResult],
    items: Sequence[DatasetItem],
    out: Path,
    *,
    profile: str = "",
    base: BaseModel | None = None,
    device: str | None = None,
) -> Path | None:
    """The gallery of a row's first seed as `gallery.png`; None if its adapter was not kept.

    Parameters
    ----------
    row : str
        Its name.
    results : sequence of TrialResult
    items : sequence of DatasetItem
    out : Path
        Folder of the benchmark.
    profile : str
        Of the untrained model, as in `Plan`.
    base, device : optional

    Raises
    ------
    SimmatError
        A file cannot be read or written.
    """
    after = next((r for r in results if r.trial.row.name == row and r.trial.all_images), None)
    if after is None or after.adapter is None:
        return None
    before = next(r for r in results if r.trial.row.name == UNTRAINED and r.trial.seed == after.trial.seed)
    return write_gallery(
        before,
        after,
        {item.stem: item for item in items},
        Adapter.load(out / TRIALS / after.adapter),
        out / "gallery.png",
        profile=profile,
        base=base,
        device=device,
    )


def write_gallery(
    before: TrialResult,
    after: TrialResult,
    items: Mapping[str, DatasetItem],
    adapter: Adapter,
    path: Path,
    *,
    profile: str = "",
    base: BaseModel | None = None,
    device: str | None = None,
) -> Path:
    """Draw object, truth, click and answer before and after training.

    Parameters
    ----------
    before, after : TrialResult
        Of the untrained model and of the row, on the same test images.
    items : mapping of str to DatasetItem
    adapter : Adapter
        Of the row.
    path : Path
        PNG to write.
    profile : str
        Of the untrained model, as in `Plan`.
    base, device : optional

    Raises
    ------
    SimmatError
        A file cannot be read or written.
    """
    groups = chosen_objects(before, after)
    longest = max(len(pairs) for pairs in groups.values())
    made = figure(2.1 * 2 * longest, 2.25 * len(groups))
    axes = made.subplots(len(groups), 2 * longest, squeeze=False)
    test = after.trial.test
    stems = {test[pair.after.image_number] for pairs in groups.values() for pair in pairs}
    loaded = {stem: items[stem].load() for stem in sorted(stems)}
    segmenters: dict[tuple[str, bool], Segmenter] = {}
    for row, (title, pairs) in enumerate(groups.items()):
        for place in range(longest):
            left, right = axes[row][2 * place], axes[row][2 * place + 1]
            for each in (left, right):
                each.set_axis_off()
            if place >= len(pairs):
                continue
            pair = pairs[place]
            stem = test[pair.after.image_number]
            image, labels = loaded[stem]
            truth = labels == pair.after.label
            window = _window(truth)
            picture = screen_rgb(image, profile_for(image).display)[window]
            for axis, score, is_after in ((left, pair.before, False), (right, pair.after, True)):
                key = (stem, is_after)
                if key not in segmenters:
                    segmenters[key] = segmenter_for(
                        image,
                        adapter=adapter if is_after else None,
                        profile=profile or None,
                        base=base,
                        device=device,
                    )
                y, x, _ = score.clicks[0]
                answer = segmenters[key].answer(Prompt().with_point(y, x)).mask()
                _draw(
                    axis, picture, truth[window], answer[window], (y - window[0].start, x - window[1].start)
                )
                when = "after" if is_after else f"{title}: before"
                axis.set_title(f"{when} {score.ious[0]:.2f}", fontsize=9)
    made.suptitle(
        f"{after.trial.row.name}, one click. White: truth, magenta: answer, green: the click.", fontsize=9
    )
    return save(made, path)


def _draw(
    axis: Any,
    picture: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    answer: NDArray[np.bool_],
    click: tuple[float, float],
) -> None:
    axis.imshow(picture, cmap="gray" if picture.ndim == 2 else None, interpolation="nearest")
    for mask, colour in ((truth, _TRUTH), (answer, _ANSWER)):
        if mask.any() and not mask.all():
            axis.contour(mask.astype(float), levels=[0.5], colors=[colour], linewidths=1.2)
    axis.plot([click[1]], [click[0]], "o", color=_CLICK, markersize=4, markeredgecolor="black")


def _window(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Square around an object with room around it, as far as the image reaches."""
    found: Sequence[NDArray[np.intp]] = np.nonzero(mask)
    middle = [(int(axis.min()) + int(axis.max())) // 2 for axis in found]
    size = max(int(np.ptp(axis)) + 1 for axis in found)
    reach = max(_LEAST_SIDE, round(size * (1 + _ROOM))) // 2
    rows, columns = (
        slice(max(0, centre - reach), min(length, centre + reach))
        for centre, length in zip(middle, mask.shape, strict=True)
    )
    return rows, columns
