"""How to learn, beside what from: everything that an expert may set, as one value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from napari_simmat.errors import TrainingError

__all__ = ["Settings"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to learn.

    Attributes
    ----------
    steps : int, optional
        Optimiser steps; by default from the number of objects.
    learning_rate : float, optional
        By default the mode's own.
    seed : int
        Of everything random.
    """

    steps: int | None = None
    learning_rate: float | None = None
    seed: int = 0

    def with_(self, **changes: Any) -> Settings:
        """The same settings with some others; None changes nothing."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises
        ------
        TrainingError
        """
        if self.steps is not None and self.steps < 1:
            raise TrainingError(f"Got {self.steps} steps, expected at least 1.")
        if self.learning_rate is not None and not 0 < self.learning_rate < 1:
            raise TrainingError(
                f"Got the learning rate {self.learning_rate:g}, expected a number between 0 and 1."
            )
        if not 0 <= self.seed < 2**63:
            raise TrainingError(f"Got the seed {self.seed}, expected a number from 0 to 2**63 - 1.")
