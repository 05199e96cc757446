"""The main job on a bundled sample, as a script that a terminal or a window plays step by step.

It plays a person who knows the true objects: clicks on one, corrects with further clicks, takes the brush where that
does not help, accepts, trains, and looks at what one click gives before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_simmat.annotator import Annotator
from napari_simmat.errors import PromptError
from napari_simmat.evaluation.metrics import iou
from napari_simmat.images import MultiChannelImage, open_dataset, sample_path
from napari_simmat.training import first_click, next_click

CLICKS = 4
GOOD = 0.9
"""The person clicks so often, or until the mask is this good, then takes the brush."""

STEPS = 30
"""Training steps that are enough for this sample."""

Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]
Scene = tuple[MultiChannelImage, Labels]


@dataclass(frozen=True, eq=False)
class Answered:
    """What one click on an object gave.

    Attributes
    ----------
    image : str
        Name of the scene.
    label : int
        The object in the scene's true labels.
    click : tuple of float
        (y, x).
    mask : (Y, X) bool array
    iou : float
    """

    image: str
    label: int
    click: tuple[float, float]
    mask: Mask
    iou: float


class Demo:
    """Annotates two training scenes, trains, annotates a third, and compares one-click masks on test scenes.

    Parameters
    ----------
    annotator : Annotator
    show : callable
        Brings an image before the annotator, at once or in a while.
    say : callable
        Is told in a sentence what was done.
    seed, steps : int
        Of the training.
    tests : int, optional
        Number of test scenes; all by default.
    """

    def __init__(
        self,
        annotator: Annotator,
        *,
        show: Callable[[MultiChannelImage], None],
        say: Callable[[str], None],
        seed: int = 0,
        steps: int = STEPS,
        tests: int | None = None,
    ) -> None:
        self.annotator = annotator
        self.before: list[Answered] = []
        self.after: list[Answered] = []
        self.test = [item.load() for item in open_dataset(sample_path("camouflage-test"), limit=tests)]
        self._scenes = [item.load() for item in open_dataset(sample_path("camouflage-train"), limit=3)]
        self._show = show
        self._say = say
        self._seed = seed
        self._steps = steps
        self._image: MultiChannelImage | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the annotator has done what the last step asked for, so that the next one may come."""
        if self._image is None:
            return True
        annotator = self.annotator
        is_open = annotator.image is not None and annotator.image.content_key() == self._image.content_key()
        return is_open and annotator.segmenter is not None and not annotator.is_busy

    def play(self) -> Iterator[str]:
        """The steps; each gives a word on what is going on. Take the next one when `is_ready`.

        Raises
        ------
        PromptError
            If somebody else clicked in between, so that there is nothing to accept.
        """
        yield from self._one_click_each(self.before)
        self._say(f"Untrained, one click on each test object: mean IoU {mean_iou(self.before):.2f}.")
        yield from self._annotate_all("Untrained", self._scenes[:2])
        known = len(self.annotator.reports)
        self.annotator.deep(seed=self._seed, steps=self._steps)
        yield "training"
        for report in self.annotator.reports[known:]:
            self._say(f"Trained {report.steps} steps in {report.seconds:.0f} s on {report.device}.")
            self._say(report.reason)
        yield from self._annotate_all("Trained", self._scenes[2:])
        yield from self._one_click_each(self.after)
        before, after = mean_iou(self.before), mean_iou(self.after)
        self._say(
            f"One click on each test object: mean IoU {before:.2f} before training, {after:.2f} after it."
        )

    def _open(self, image: MultiChannelImage) -> Iterator[str]:
        self._image = image
        self._show(image)
        yield f"opening {image.name}"

    def _one_click_each(self, answers: list[Answered]) -> Iterator[str]:
        total = sum(len(objects_of(truth)) for _, truth in self.test)
        for image, truth in self.test:
            yield from self._open(image)
            for label in objects_of(truth):
                wanted = truth == label
                click = first_click(wanted)
                self.annotator.click(*click)
                yield f"one click on test object {len(answers) + 1} of {total}"
                mask = self._shown()
                answers.append(Answered(image.name, label, click, mask, iou(mask, wanted)))
                self.annotator.clear()

    def _annotate_all(self, who: str, scenes: list[Scene]) -> Iterator[str]:
        objects = clicks = brushed = 0
        for image, truth in scenes:
            yield from self._open(image)
            for label in objects_of(truth):
                wanted = truth == label
                self.annotator.click(*first_click(wanted))
                objects, clicks, used = objects + 1, clicks + 1, 1
                yield f"object {objects}, click 1"
                while used < CLICKS and iou(self._shown(), wanted) < GOOD:
                    correction = next_click(wanted, self._shown())
                    if correction is None:
                        break
                    self.annotator.click(*correction)
                    clicks, used = clicks + 1, used + 1
                    yield f"object {objects}, click {used}"
                brushed += self._accept(wanted)
                yield f"object {objects} accepted"
        self._say(f"{who}: {objects} objects took {clicks} clicks, and {brushed} of them the brush.")

    def _accept(self, wanted: Mask) -> bool:
        """Accept the mask, and paint it right where it is not good. Whether that was necessary."""
        annotator = self.annotator
        label = annotator.accept()
        if label is None or annotator.book is None:
            raise PromptError("There is no mask to accept; the demo ends here.")
        drawn = annotator.labels == label
        if iou(drawn, wanted) >= GOOD:
            return False
        annotator.book.target.data_setitem(np.nonzero(drawn & ~wanted), 0)
        annotator.book.target.data_setitem(np.nonzero(wanted), label)
        annotator.sync_labels()
        return True

    def _shown(self) -> Mask:
        if self.annotator.answer is None:
            raise PromptError("The clicks were taken away; the demo ends here.")
        return self.annotator.answer.mask


def objects_of(truth: Labels) -> list[int]:
    """The labels that are there, without background."""
    return [int(n) for n in np.unique(truth) if n]


def mean_iou(answers: list[Answered]) -> float:
    """Mean over objects."""
    return float(np.mean([answer.iou for answer in answers]))
