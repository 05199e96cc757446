"""Leave one group out: train once for each set and seed, answer with all groups and without each, keep it as a file.

Three rows come of one training, so they have the same images, seed and number of steps:

======================  ================================================================================================
row                     what
======================  ================================================================================================
one model               one transfer layer and LoRA on all channels at once; a missing group is its mean, 0 after scaling
plain mean              an expert for each group, their embeddings averaged
experts                 the same experts and one for all together, fused by the gate
======================  ================================================================================================

The expert for all together is trained exactly as one model on all channels is, so it is that row by itself.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel as Model
from pydantic import ConfigDict, Field, ValidationError

from napari_simmat.atomic import write_atomically
from napari_simmat.errors import AdapterError, Cancelled, SimmatError
from napari_simmat.evaluation.experts.noise import NoiseScore, weights_under_noise
from napari_simmat.evaluation.metrics import iou
from napari_simmat.evaluation.protocol import check_labels, objects
from napari_simmat.images import ModalityProfile, MultiChannelImage, chosen_profile, profile_for
from napari_simmat.images.dataset import DatasetItem, open_dataset
from napari_simmat.images.samples import SAMPLES, sample_path
from napari_simmat.inference import Prompt, Segmenter
from napari_simmat.models import Adapter, BaseModel
from napari_simmat.models.experts import TOGETHER, Gate, member, put_together, without
from napari_simmat.training import Settings, finetune
from napari_simmat.training.clicks import first_click

__all__ = ["ROWS", "Plan", "Set", "Trial", "bundled_sets", "run_trials"]

ROWS = ("one model", "plain mean", "experts")

Tell = Callable[[int, int, str], None]
"""Told how many steps of work are done, of how many, and what is being done."""


@dataclass(frozen=True, eq=False)
class Set:
    """Images to learn from and images that judge.

    Attributes
    ----------
    name : str
    train, test : sequence of DatasetItem
    wanted_profile : str, optional
        The profile by its file or modality, which says the groups; by default that of the images.
    """

    name: str
    train: Sequence[DatasetItem]
    test: Sequence[DatasetItem]
    wanted_profile: str | None = None

    @cached_property
    def profile(self) -> ModalityProfile:
        """How its images become model input."""
        image = self.train[0].load()[0]
        wanted = self.wanted_profile
        return profile_for(image) if wanted is None else chosen_profile(wanted, image)

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of channels of its images."""
        return tuple(self.profile.groups)


class Plan(Model):
    """What all trials share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(description="Training steps of each member.")
    side: int = Field(description="Longest side at which images are seen, in pixels.")
    base_sha256: str = Field(description="Hash of the base model's file.")
    noisy_images: int = Field(description="Test images of each set that noise is added to.")


class Trial(Model):
    """One training and what came of it: the IoU after one click of each object of each test image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    set: str
    seed: int
    plan: Plan
    files: str = Field(description="Hash of the profile and of the names and sizes of the files of the set.")
    groups: tuple[str, ...]
    ious: dict[str, dict[str, list[list[float]]]] = Field(
        default={}, description="By row, by missing group ('' for none): IoUs of the objects of each image."
    )
    noise: list[NoiseScore] = Field(default=[], description="The gate's weight of a group that is noisy.")
    seconds: float = Field(default=0.0, description="Of the training.")


def bundled_sets() -> list[Set]:
    """The sample sets whose images have two or more groups of channels."""
    found = []
    for name in SAMPLES:
        if name.endswith("-train"):
            plain = name.removesuffix("-train")
            train, test = (open_dataset(sample_path(f"{plain}-{side}")) for side in ("train", "test"))
            one = Set(plain, train, test)
            if len(one.groups) > 1:
                found.append(one)
    return found


def run_trials(
    sets: Sequence[Set],
    seeds: Sequence[int],
    plan: Plan,
    out: Path,
    *,
    base: BaseModel,
    device: str | None = None,
    tell: Tell = lambda done, total, what: None,
    cancel: threading.Event | None = None,
) -> list[Trial]:
    """Run what has not been run: every set with the first seed, then with the next.

    Parameters
    ----------
    sets : sequence of Set
    seeds : sequence of int
    plan : Plan
    out : Path
        Folder of the results; trials and adapters that lie there are taken from there.
    base : BaseModel
        At the side of the plan.
    device, tell, cancel : optional

    Raises
    ------
    SimmatError
        A set has one group of channels only, or a file cannot be read or written.
    Cancelled
        What was finished is kept.
    """
    for one in sets:
        if len(one.groups) < 2:
            raise SimmatError(
                f"All channels of {one.name} are of one group ({one.groups[0]}), expected at least two, of which one "
                "can be missing; name groups in a profile and give it with --profile, or choose another dataset."
            )
    wanted = [(one, seed) for seed in seeds for one in sets]
    trials = []
    for k, (one, seed) in enumerate(wanted):

        def said(what: str, k: int = k, one: Set = one, seed: int = seed) -> None:
            if cancel is not None and cancel.is_set():
                raise Cancelled("The benchmark was cancelled; what was finished is kept.")
            tell(k, len(wanted), f"{one.name}, seed {seed}: {what}")

        trials.append(_run(one, seed, plan, out, base, device, said, cancel))
    tell(len(wanted), len(wanted), "done")
    return trials


def _run(
    one: Set,
    seed: int,
    plan: Plan,
    out: Path,
    base: BaseModel,
    device: str | None,
    said: Callable[[str], None],
    cancel: threading.Event | None,
) -> Trial:
    trial = Trial(set=one.name, seed=seed, plan=plan, files=_files(one), groups=one.groups)
    key = hashlib.sha256(trial.model_dump_json().encode()).hexdigest()[:10]
    path = out / f"{one.name}_seed{seed}_{key}.json"
    try:
        return Trial.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        pass
    adapter = _trained(one, seed, plan, path.with_suffix(".safetensors"), base, device, said, cancel)
    ious: dict[str, dict[str, list[list[float]]]] = {row: {} for row in ROWS}
    for image, labels in _loaded(one.test):
        said(f"judging {image.name}")
        targets = [(mask, Prompt().with_point(*first_click(mask))) for _, mask in objects(labels)]
        for row, lacking, segmenter in _conditions(adapter, image, base, device):
            found = [iou(segmenter.answer(prompt).mask(), mask) for mask, prompt in targets]
            ious[row].setdefault(lacking, []).append(found)
    noise: list[NoiseScore] = []
    for image, _ in _loaded(one.test[: plan.noisy_images]):
        said(f"noise in {image.name}")
        noise += weights_under_noise(adapter, image, base=base, device=device, seed=seed)
    history = adapter.card.history
    done = trial.model_copy(update={"ious": ious, "noise": noise, "seconds": history[-1].seconds})
    write_atomically(path, done.model_dump_json(indent=1).encode(), error=SimmatError)
    return done


def _trained(
    one: Set,
    seed: int,
    plan: Plan,
    path: Path,
    base: BaseModel,
    device: str | None,
    said: Callable[[str], None],
    cancel: threading.Event | None,
) -> Adapter:
    try:
        return Adapter.load(path)
    except AdapterError:
        pass
    adapter = finetune(
        [item.load() for item in one.train],
        settings=Settings(experts=True, steps=plan.steps, seed=seed),
        profile=one.profile,
        gate=False,
        on_step=lambda step, total, loss: said(f"training {step}/{total}"),
        cancel=cancel,
        base=base,
        device=device,
    )
    adapter.save(path)
    return Adapter.load(path)


def _conditions(
    adapter: Adapter, image: MultiChannelImage, base: BaseModel, device: str | None
) -> Iterator[tuple[str, str, Segmenter]]:
    """Each row with all groups and without each; what was encoded for one is there for the others."""
    groups = adapter.profile.groups
    one = member(adapter, TOGETHER)
    averaged = put_together(adapter, {name: member(adapter, name) for name in groups}, Gate(list(groups)))
    for lacking in ("", *groups):
        left = [lacking] if lacking else []
        blank = groups[lacking] if lacking else ()
        yield ROWS[0], lacking, Segmenter(image, adapter=one, blank=blank, model=base, device=device)
        yield ROWS[1], lacking, Segmenter(image, adapter=without(averaged, left), model=base, device=device)
        yield ROWS[2], lacking, Segmenter(image, adapter=without(adapter, left), model=base, device=device)


def _loaded(items: Sequence[DatasetItem]) -> Iterator[tuple[MultiChannelImage, NDArray[np.int32]]]:
    for item in items:
        image, labels = item.load()
        check_labels(image, labels)
        yield image, labels


def _files(one: Set) -> str:
    told = [
        (side, item.stem, path.stat().st_size)
        for side, items in (("train", one.train), ("test", one.test))
        for item in items
        for path in (item.image_path, item.instances_path)
        if path.is_file()
    ]
    return hashlib.sha256(repr((one.profile.model_dump_json(), told)).encode()).hexdigest()[:16]
