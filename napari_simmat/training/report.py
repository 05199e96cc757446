"""What a round of training tells of itself, and the adapter that comes out of it."""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from napari_simmat import __version__
from napari_simmat.inference import describe_device
from napari_simmat.models import Adapter, TrainingRun
from napari_simmat.training.memory import peak_rss_mb

TrainingReport = TrainingRun


@dataclass(frozen=True, eq=False)
class Run:
    """One training: what came out and what it took.

    Attributes
    ----------
    adapter : Adapter
        With the card of the one that it began from.
    losses : list of float
        Of each step.
    seconds : float
        That the steps took.
    parameters : int
        How many numbers were trained.
    watching : int
        Objects that decided when to stop, and nothing else.
    best_step : int or None
        The step whose weights were taken, where objects watched.
    device : str
        Where it was trained.
    note : str
        A sentence on what had to be done otherwise than was asked, if anything.
    """

    adapter: Adapter
    losses: list[float]
    seconds: float
    parameters: int
    watching: int = 0
    best_step: int | None = None
    device: str = ""
    note: str = ""

    def followed_by(self, later: Run) -> Run:
        """Both as one training."""
        best = later.best_step
        return replace(
            later,
            losses=[*self.losses, *later.losses],
            seconds=self.seconds + later.seconds,
            best_step=None if best is None else len(self.losses) + best,
            note=later.note or self.note,
        )

    def facts(self, *, began: float, device: str) -> dict[str, Any]:
        """Fields of a report that follow from the training; the round began at `began`, by `time.perf_counter`."""
        tenth = max(1, len(self.losses) // 10)
        return {
            "steps": len(self.losses),
            "best_step": self.best_step,
            "seconds": time.perf_counter() - began,
            "seconds_per_step": self.seconds / len(self.losses),
            "trainable_parameters": self.parameters,
            "loss_first": float(np.mean(self.losses[:tenth])),
            "loss_last": float(np.mean(self.losses[-tenth:])),
            "losses": tuple(round(v, 5) for v in self.losses),
            "peak_rss_mb": peak_rss_mb(),
            "device": describe_device(torch.device(device)),
            "watching": self.watching,
        }

    def version(self, report: TrainingReport) -> Adapter:
        """The adapter with its new name and the report in its history."""
        card = self.adapter.card
        return self.adapter.with_card(
            name=f"{self.adapter.profile.modality} {report.mode} {len(card.history) + 1}",
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            software=f"napari-simmat {__version__}",
            history=(*card.history, report),
        )
