"""What the channels themselves say of each object: the only witness besides the model that no mask has to be drawn for.

A model that has never seen a sensor draws doubtful masks of what it shows, but the sensor's own numbers tell things
apart: leaves are bright in the near infrared, glass polarizes. So it is learnt from the clicks which values objects
have, a linear rule on each cell of the decoder's masks (mean and spread of every channel there, and the mean around it;
logistic regression, clicks against cells that nobody clicked on, both with half of the weight). What it takes for an
object, is nearest to its click and hangs together with it is the object's *likely* mask. Twice the rule is learnt anew,
from the masks that came of it, as in expectation maximisation. All is learnt from prompts alone.

Whether channels say anything is asked first: how often a click has a higher value than a random cell by a rule learnt
from other clicks. Where that is near a toss of a coin there is no likely mask, and the model is the only witness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_simmat.inference.frame import LOW
from napari_simmat.training.rough.pseudo import believe
from napari_simmat.training.rough.views import View, in_view_of, known_of, turned, valid_of
from napari_simmat.training.rough.windows import Shown
from napari_simmat.training.watch import Watch

LEAST_TOLD = 0.65
"""How often a click has to have a higher value than a random cell."""

_ROUNDS = 2  # of learning anew from the masks that came of it
_CELLS = 200  # of each kind that a window gives at most
_AROUND = 5  # cells
_RIDGE = 1e-3
_FOLDS = 2
_LEAST_CLICKS = 4


class _Rule:
    """A linear rule on the values of cells, learnt from some that are objects and some that mostly are not."""

    def __init__(self, objects: Tensor, others: Tensor) -> None:
        values = torch.cat([objects, others])
        self._mean, self._spread = values.mean(0), values.std(0) + 1e-4
        x = self._scaled(values)
        y = torch.cat([objects.new_ones(len(objects)), others.new_zeros(len(others))])
        weights = torch.where(y > 0, 0.5 / max(1, len(objects)), 0.5 / max(1, len(others)))
        self._slope = torch.zeros(x.shape[1], requires_grad=True)
        self._level = torch.zeros(1, requires_grad=True)
        optimiser = torch.optim.LBFGS([self._slope, self._level], max_iter=100, line_search_fn="strong_wolfe")

        def loss() -> float:
            optimiser.zero_grad()
            entropy = F.binary_cross_entropy_with_logits(
                x @ self._slope + self._level, y, weights, reduction="sum"
            )
            value = entropy + _RIDGE * self._slope.square().sum()
            value.backward()  # type: ignore[no-untyped-call]
            return float(value.detach())

        with torch.enable_grad():
            optimiser.step(loss)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def __call__(self, values: Tensor) -> Tensor:
        """Log-odds (h, w) of cells with values (F, h, w)."""
        return (self._scaled(values.flatten(1).T) @ self._slope + self._level).view(values.shape[1:])

    def _scaled(self, values: Tensor) -> Tensor:
        return ((values - self._mean) / self._spread).clamp(-4, 4)


class _Window:
    """What rules are learnt from and applied to in one window, seen without mirrors."""

    def __init__(self, views: Sequence[View]) -> None:
        self.views = views
        first = views[0]
        self.scene, self.shown = first.window.scene, first.window.objects
        cpu = torch.device("cpu")
        shape = first.plain.shape[-2:]
        self.values = cell_values(first.window.x, (shape[0], shape[1]))
        self.known = known_of(self.shown, cpu)
        self.valid = valid_of(first.window, shape, cpu)
        self.clicked = (self.known == 1) & self.valid
        self.own = _own_cells(self.shown, self.known, self.valid)

    @property
    def elsewhere(self) -> Tensor:
        """Cells (h, w) that nobody clicked on."""
        return self.valid & ~self.clicked.any(0)

    def drawn(self, cells: Tensor, rng: np.random.Generator) -> Tensor:
        """Values (N, F) of some of these cells."""
        places = cells.flatten().nonzero()[:, 0]
        if len(places) > _CELLS:
            places = places[torch.from_numpy(rng.choice(len(places), _CELLS, replace=False))]
        return self.values.flatten(1).T[places]

    def likely(self, rule: _Rule) -> Tensor:
        """Masks (N, h, w): what the rule takes for an object, is this one's and hangs together with what is known."""
        told = rule(self.values) > 0
        found = [
            _together(np.asarray(told & own), np.asarray(known == 1))
            for own, known in zip(self.own, self.known, strict=True)
        ]
        return torch.from_numpy(np.stack(found)) & self.valid


def with_likely(
    windows: Sequence[Sequence[View]], *, seed: int, watch: Watch, device: torch.device
) -> list[list[View]]:
    """The same views with the likely masks of their objects, as far as the channels say something.

    Parameters
    ----------
    windows : sequence of sequence of View
        Each window in all its views, the first one without mirrors.
    seed : int
    watch : Watch
    device : torch.device
        Where the masks go.
    """
    seen = [_Window(views) for views in windows if len(views[0].window.objects)]
    if not seen or not do_channels_tell(seen, seed):
        return [list(views) for views in windows]
    rng = np.random.default_rng((seed, 2))
    objects = [each.clicked.any(0) for each in seen]
    others = [each.elsewhere for each in seen]
    likely: list[Tensor] = []
    for number in range(1 + _ROUNDS):
        watch.check()
        rule = _learnt(seen, objects, others, rng)
        likely = [each.likely(rule) for each in seen]
        if number == _ROUNDS:
            break
        objects, others = [], []
        for each, masks in zip(seen, likely, strict=True):
            believed, any_answer = _agreed(each, masks)
            told = rule(each.values) > 0
            objects.append((each.clicked.any(0) | believed) & each.valid)
            others.append(each.elsewhere & ~(any_answer & told))
    masks_of = {id(each.views): masks for each, masks in zip(seen, likely, strict=True)}
    return [
        [
            replace(view, likely=in_view_of(masks_of[id(views)], view).to(device))
            if id(views) in masks_of
            else view
            for view in views
        ]
        for views in windows
    ]


def cell_values(x: Tensor, shape: tuple[int, int]) -> Tensor:
    """What a rule sees of a window (C, H, W) in each cell: (3 C, h, w).

    The mean of each channel in the cell, its standard deviation there, and the mean of the cells around.
    """
    x = x.float().cpu()
    beyond = (0, shape[1] * LOW - x.shape[2], 0, shape[0] * LOW - x.shape[1])
    x = F.pad(x[None], beyond, mode="replicate")
    mean = F.avg_pool2d(x, LOW)
    spread = (F.avg_pool2d(x.square(), LOW) - mean.square()).clamp_min(0).sqrt()
    around = F.avg_pool2d(mean, _AROUND, 1, _AROUND // 2, count_include_pad=False)
    return torch.cat([mean, spread, around], 1)[0]


def do_channels_tell(seen: Sequence[_Window], seed: int) -> bool:
    """Whether a click has a higher value than a random cell often enough, by rules learnt from clicks on other objects.

    By chance it has in half of the cases, give or take 0.29 for one object and less for the mean of several, so that two
    standard deviations are asked for where there are few; of fewer than four objects nothing can be told.
    """
    rng = np.random.default_rng((seed, 3))
    clicked = {
        (each.scene, shown.number)
        for each in seen
        for shown, cells in zip(each.shown, each.clicked, strict=True)
        if bool(cells.any())
    }
    if len(clicked) < _LEAST_CLICKS:
        return False
    order = rng.permutation(len(clicked))
    part = {key: int(k) % _FOLDS for key, k in zip(sorted(clicked), order, strict=True)}
    shares: dict[tuple[int, int], list[float]] = {key: [] for key in clicked}
    for fold in range(_FOLDS):
        judges = [
            torch.tensor([part.get((each.scene, shown.number)) == fold for shown in each.shown])
            for each in seen
        ]
        rule = _learnt(
            seen,
            [each.clicked[~judging].any(0) for each, judging in zip(seen, judges, strict=True)],
            [each.elsewhere for each in seen],
            rng,
        )
        for each, judging in zip(seen, judges, strict=True):
            value = rule(each.values)
            elsewhere = value[each.elsewhere]
            for shown, cells, is_judged in zip(each.shown, each.clicked, judging, strict=True):
                if is_judged and bool(cells.any()) and len(elsewhere):
                    share = float((value[cells].mean() > elsewhere).float().mean())
                    shares[each.scene, shown.number].append(share)
    of_each = [float(np.mean(own)) for own in shares.values() if own]
    return bool(of_each) and float(np.mean(of_each)) >= max(LEAST_TOLD, 0.5 + 0.6 / len(of_each) ** 0.5)


def _learnt(
    seen: Sequence[_Window], objects: Sequence[Tensor], others: Sequence[Tensor], rng: np.random.Generator
) -> _Rule:
    return _Rule(
        torch.cat([each.drawn(cells, rng) for each, cells in zip(seen, objects, strict=True)]),
        torch.cat([each.drawn(cells, rng) for each, cells in zip(seen, others, strict=True)]),
    )


def _agreed(window: _Window, likely: Tensor) -> tuple[Tensor, Tensor]:
    """Cells (h, w) of what is believed of all objects, and of what any answer of the model covers."""
    first, *rest = window.views
    answers = [first.taught.cpu(), *(turned(each.taught, each, first).cpu() for each in rest)]
    found = believe(
        answers[0],
        first.taught_scores.cpu(),
        window.known,
        answers[1:],
        window.valid,
        gate=True,
        choose=True,
        likely=likely,
    )
    covered = torch.stack([each.flatten(0, 1).any(0) for each in answers]).any(0)
    return (found.masks & found.objects[:, None, None]).any(0), covered


def _own_cells(shown: Sequence[Shown], known: Tensor, valid: Tensor) -> Tensor:
    """Cells (N, h, w) that may be an object's: not known to be something else, and nearer to its points than to others'.

    A box or an outline says itself how far an object goes, so such objects take nothing from others.
    """
    rows, columns = np.indices(known.shape[1:])
    distances = np.full(known.shape, np.inf)
    for k, each in enumerate(shown):
        if each.box is None:
            positive = [p for p, sign in zip(each.points, each.signs, strict=True) if sign]
            cells = [((y + 0.5) / LOW - 0.5, (x + 0.5) / LOW - 0.5) for y, x in positive]
            distances[k] = np.min([np.hypot(rows - y, columns - x) for y, x in cells], axis=0)
    nearest = distances.min(axis=0)
    has_box = np.array([each.box is not None for each in shown])[:, None, None]
    return torch.from_numpy((distances <= nearest) | has_box) & (known != 0) & valid


def _together(told: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The part of a mask that hangs together with what is known of it; its largest part where nothing is."""
    mask = ndimage.binary_opening(told | known) | known
    parts, count = ndimage.label(mask)
    if known.any():
        own = np.unique(parts[known])
    else:
        own = np.array([1 + np.argmax(ndimage.sum_labels(mask, parts, range(1, count + 1)))] if count else [])
    together: NDArray[np.bool_] = np.isin(parts, own) & mask
    return together
