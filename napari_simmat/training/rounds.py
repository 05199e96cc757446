"""One round of learning: split, train, judge, keep or roll back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import nn

from napari_simmat.errors import TrainingError
from napari_simmat.inference import device_choice, first_that_fits
from napari_simmat.models import AdaptedSam, Adapter, BaseModel, Strategy, load_base_model
from napari_simmat.models.experts import Gate
from napari_simmat.training.corrections import Correction, Corrections
from napari_simmat.training.experts import steps_of, train_experts, with_experts
from napari_simmat.training.fusing import WINDOWS, fuse
from napari_simmat.training.gate import Split, one_click_iou
from napari_simmat.training.interactive import Interactive
from napari_simmat.training.method import Method, Rates
from napari_simmat.training.paper import Paper
from napari_simmat.training.recipes import Mode, Recipe, recipe_for
from napari_simmat.training.regularisers import gated, halves, tokens
from napari_simmat.training.report import Run, TrainingReport
from napari_simmat.training.scenes import TOO_SMALL, learnable
from napari_simmat.training.settings import RecipeName, Settings
from napari_simmat.training.stopping import Stopping, watchers, window_iou
from napari_simmat.training.trainer import Turn, train
from napari_simmat.training.watch import Watch

METHODS: dict[RecipeName, Method] = {"interactive": Interactive(), "paper": Paper()}

NO_GATE = "Kept without a check, as was asked for: no object was held out."

_AFTERWARDS = 3 / 8  # steps with all of a few objects, for each step without those that judged
_MOST_WINDOWS = 6  # that are looked at to decide when to stop


def learn(
    mode: Mode,
    given: Corrections | Sequence[Correction],
    start: Adapter | None,
    settings: Settings,
    watch: Watch,
    base: BaseModel | None,
    device: str | None,
    *,
    gate: bool = True,
) -> tuple[Adapter, TrainingReport]:
    """Split, train, judge, keep or roll back; see `napari_simmat.training.quick` for parameters and errors."""
    began = time.perf_counter()
    settings.check()
    recipe = recipe_for(mode, settings.strategy)
    base = load_base_model() if base is None else base
    accepted = list(given)
    corrections = Corrections(c for c in accepted if learnable(c, base.sam.side))
    _check(mode, len(accepted), len(corrections), settings)
    where = device or device_choice()
    if start is None:
        start = Adapter.untrained([group[0].image for group in corrections.by_image()], base=base)
    for group in corrections.by_image():
        start.fits(group[0].image)
    present, start = start, recipe.begin(start, base, settings.seed)
    start = with_experts(start, settings, [group[0].image for group in corrections.by_image()], base)
    split = recipe.split(corrections) if gate else None
    learnt_from = list(corrections) if split is None else split.learn
    first, afterwards = _steps(recipe, settings, split, learnt_from)
    task = _Task(
        recipe,
        start,
        settings,
        first,
        settings.learning_rate or METHODS[settings.recipe].learning_rate(recipe, settings),
        settings.learning_rate or METHODS[settings.recipe].transfer_rate(recipe, settings),
        watch,
        base,
        where,
    )
    watch.total = steps_of(start, first) + steps_of(start, afterwards)

    run = task.train(learnt_from)
    before = after = None
    if split is not None:
        before_it = present if start.card.members else start
        before, after = task.judge(before_it, split.judge), task.judge(run.adapter, split.judge)
    kept = before is None or after is None or after >= before
    if kept and afterwards:
        learnt_from = list(corrections)
        run = run.followed_by(task.going_on(run.adapter, afterwards).train(learnt_from))
    held_out = 0 if split is None else len(split.judge)
    report = TrainingReport(
        **run.facts(began=began, device=run.device or where),
        mode=mode,
        strategy=str(recipe.strategy),
        recipe=settings.recipe,
        options=settings.chosen(),
        learning_rate=task.learning_rate,
        seed=settings.seed,
        images=len(Corrections(learnt_from).by_image()),
        objects=len(learnt_from) - run.watching,
        held_out=held_out,
        held_out_before=before,
        held_out_after=after,
        kept=kept,
        reason=(_verdict(kept, before, after, held_out, afterwards) if gate else NO_GATE) + run.note,
    )
    return (run.version(report) if kept else present), report


@dataclass(frozen=True, eq=False)
class _Task:
    """One training of a round; steps and learning rates are settled."""

    recipe: Recipe
    start: Adapter
    settings: Settings
    steps: int
    learning_rate: float
    transfer_rate: float
    watch: Watch
    base: BaseModel
    device: str

    @property
    def method(self) -> Method:
        return METHODS[self.settings.recipe]

    def train(self, corrections: Sequence[Correction]) -> Run:
        """One training on some corrections; where a GPU has too little memory, with fewer clicks a step or on the CPU."""
        most = self.recipe.prompts
        ways = [(self.device, most)]
        if torch.device(self.device).type != "cpu":
            ways += [(self.device, max(1, most // 4)), ("cpu", most)]
        done = self.watch.done
        run, way = first_that_fits([partial(self._train, corrections, done, *each) for each in ways])
        device, prompts = ways[way]
        return replace(run, device=device, note=_fallen_back(device, prompts) if way else "")

    def _train(self, corrections: Sequence[Correction], done: int, device: str, prompts: int) -> Run:
        self.watch.done = done
        if self.start.card.members:
            return self._train_experts(corrections, device, prompts)
        rng = np.random.default_rng(self.settings.seed)
        settings, method = self.settings, self.method
        model = self.recipe.build(self.start, self.base.on(device), settings.seed)
        trained = self.recipe.unfreeze(model)
        stops = method.early_stopping if settings.early_stopping is None else settings.early_stopping
        averaged = method.ema if settings.ema is None else settings.ema
        watching: list[Correction] = []
        with ExitStack() as stack:
            if settings.split_half:
                first, second = _both(halves(corrections))
                gates = stack.enter_context(gated(model, trained))
                small = [*tokens(model, trained), *gates]
                if not small:
                    raise TrainingError(
                        f"The strategy {str(self.recipe.strategy)!r} trains nothing that the second half could learn, "
                        "expected LoRA updates or the decoder's tokens; choose another strategy, or train without halves."
                    )
                weights = [p for p in trained if all(p is not other for other in small)]
                turns = [self._turn(model, weights, first, rng), self._turn(model, small, second, rng)]
                trained, watching = [*trained, *gates], second if stops else []
            else:
                learnt, watching = watchers(corrections) if stops else (corrections, [])
                turns = [self._turn(model, trained, learnt, rng)]
            stopping = self._stopping(model, trained, watching) if watching else None
            began = time.perf_counter()
            losses = train(
                model,
                turns,
                method,
                steps=self.steps,
                rates=self._rates(model, trained),
                prompts=prompts,
                rng=rng,
                watch=self.watch,
                l2=settings.l2,
                adversarial=settings.adversarial,
                averaged=averaged,
                stopping=stopping,
            )
            seconds = time.perf_counter() - began
        return Run(
            self.start.replaced(model=model, card=self.recipe.card(self.start.card)),
            losses,
            seconds,
            sum(p.numel() for p in trained),
            0 if settings.split_half else len(watching),
            None if stopping is None else stopping.best_step,
        )

    def _train_experts(self, corrections: Sequence[Correction], device: str, prompts: int) -> Run:
        def alone(start: Adapter, strategy: Strategy) -> Run:
            task = replace(self, start=start, recipe=type(self.recipe)(strategy))
            return task._train(corrections, self.watch.done, device, prompts)

        def together(adapter: Adapter, gate: Gate) -> list[float]:
            return fuse(
                adapter,
                gate,
                corrections,
                windows=min(WINDOWS, self.steps),
                prompts=prompts,
                rng=np.random.default_rng(self.settings.seed),
                watch=self.watch,
                base=self.base.on(device),
            )

        return train_experts(self.start, self.recipe.strategy, alone, together)

    def judge(self, adapter: Adapter, held_out: Sequence[Correction]) -> float:
        """One-click IoU of the objects that were held out."""
        return one_click_iou(adapter, held_out, base=self.base, device=self.device, watch=self.watch)

    def going_on(self, adapter: Adapter, steps: int) -> _Task:
        """The training after this one, from what came out of it."""
        settings = self.settings
        return replace(self, start=adapter, steps=steps, settings=settings.with_(seed=settings.seed + 1))

    def _rates(self, model: AdaptedSam, trained: Sequence[nn.Parameter]) -> Rates:
        """The learning rate of the transfer layer, and that of all else."""
        own = {id(p) for p in model.mat.parameters()}
        transfer = [p for p in trained if id(p) in own]
        return [
            (transfer, self.transfer_rate),
            ([p for p in trained if id(p) not in own], self.learning_rate),
        ]

    def _turn(
        self,
        model: AdaptedSam,
        parameters: Sequence[nn.Parameter],
        corrections: Sequence[Correction],
        rng: np.random.Generator,
    ) -> Turn:
        return Turn(parameters, self.method.sampler(self.recipe, model, self.start, corrections, rng))

    def _stopping(
        self, model: AdaptedSam, parameters: Sequence[nn.Parameter], watching: Sequence[Correction]
    ) -> Stopping:
        rng = np.random.default_rng(self.settings.seed)  # its own: whether anybody watches changes no sample
        draw = self.method.sampler(self.recipe, model, self.start, watching, rng)
        samples = [draw(rng) for _ in range(min(_MOST_WINDOWS, len(watching)))]
        return Stopping(parameters, lambda: window_iou(model, samples), self.steps)


def _fallen_back(device: str, prompts: int) -> str:
    how = "on the CPU" if device == "cpu" else f"with {prompts} clicks a step"
    return f" The GPU had too little memory, so it was trained {how}."


def _both(parts: tuple[list[Correction], list[Correction]]) -> tuple[list[Correction], list[Correction]]:
    if not all(parts):
        raise TrainingError(
            "There is one object to learn from, expected at least two for two halves; accept another one, or train "
            "without halves."
        )
    return parts


def _steps(
    recipe: Recipe, settings: Settings, split: Split | None, learnt_from: Sequence[Correction]
) -> tuple[int, int]:
    """Steps of the training that is judged, and of what follows it with all of a few objects.

    As many in all as were asked for, if somebody did.
    """
    is_of_few = split is not None and split.is_of_few
    if settings.steps is not None:
        first = max(1, round(settings.steps / (1 + _AFTERWARDS))) if is_of_few else settings.steps
        return first, settings.steps - first
    images = len(Corrections(learnt_from).by_image())
    first = METHODS[settings.recipe].steps(recipe, settings, objects=len(learnt_from), images=images)
    return first, max(1, round(_AFTERWARDS * first)) if is_of_few else 0


def _check(mode: Mode, accepted: int, large: int, settings: Settings) -> None:
    if not accepted:
        raise TrainingError("There are no objects to learn from; accept an object first.")
    if not large:
        raise TrainingError(TOO_SMALL)
    if mode == "quick" and settings.recipe == "paper":
        raise TrainingError(
            "The recipe 'paper' trains through the whole encoder, which the mode 'quick' does not; use Deep."
        )
    if mode == "quick" and settings.adversarial:
        raise TrainingError(
            "The adversarial step is taken in the output of the transfer layer, which the mode 'quick' does not look at; "
            "use Deep or leave it out."
        )


def _verdict(kept: bool, before: float | None, after: float | None, held_out: int, afterwards: int) -> str:
    if before is None or after is None:
        return "Kept without a check: with a single object nothing can be held out; accept another one."
    objects = f"{held_out} object{'s' if held_out != 1 else ''} held out"
    numbers = f"one-click IoU {before:.3f} before, {after:.3f} after ({objects})"
    if not kept:
        return f"Rolled back: {numbers}."
    more = ", then learnt from, too" if afterwards else ""
    return f"Kept: {numbers[:-1]}{more})."
