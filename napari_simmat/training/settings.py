"""How to learn, beside what from: everything that an expert may set, as one value."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from napari_simmat.errors import AdapterError, TrainingError
from napari_simmat.models.strategies import Strategy

__all__ = ["RecipeName", "Settings"]

RecipeName = Literal["interactive", "paper"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to learn.

    Attributes
    ----------
    steps : int, optional
        Optimiser steps; by default from the number of objects, or of images.
    epochs : int, optional
        Passes over the images, for the recipe "paper"; by default its 51.
    learning_rate : float, optional
        By default the mode's or the recipe's own.
    seed : int
        Of everything random.
    strategy : str
        What is trained, as `napari_simmat.models.strategies` says, such as "lora" or "mlp:width=16".
    recipe : {"interactive", "paper"}
        "interactive": as people click, see `napari_simmat.training.interactive`; "paper": as SimMAT was trained, see
        `napari_simmat.training.paper`.
    ema : bool, optional
        Whether the result is the exponential moving average of the trained weights; by default the recipe's own choice.
    early_stopping : bool, optional
        Whether objects that are neither learnt from nor judged by decide when it is enough; by default the recipe's own
        choice.
    l2 : float
        Weight of the squared distance to the weights that training starts from, against forgetting. 0: none.
    split_half : bool
        Whether weights learn from one half of the corrections, and gates and tokens from the other.
    adversarial : float
        Size of a step against the model in the output of the transfer layer, which it learns to withstand; in standard
        deviations of the pictures that the base model was made for. 0: none.
    experts : bool
        Whether each group of channels gets a transfer layer and additions of its own, see
        `napari_simmat.training.experts`. What has experts goes on with them in any case.
    """

    steps: int | None = None
    epochs: int | None = None
    learning_rate: float | None = None
    seed: int = 0
    strategy: str = "lora"
    recipe: RecipeName = "interactive"
    ema: bool | None = None
    early_stopping: bool | None = None
    l2: float = 0.0
    split_half: bool = False
    adversarial: float = 0.0
    experts: bool = False

    def with_(self, **changes: Any) -> Settings:
        """The same settings with some others; None changes nothing."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def chosen(self) -> dict[str, Any]:
        """What differs from the defaults, beside steps, learning rate and seed, which a report tells anyway."""
        plain, told = asdict(Settings()), ("steps", "learning_rate", "seed", "strategy", "recipe")
        return {k: v for k, v in asdict(self).items() if k not in told and v != plain[k]}

    @property
    def can_be_quick(self) -> bool:
        """Whether quick training, which keeps the early features as they are, can learn so."""
        is_late = Strategy.parse(self.strategy).has_late_part
        return is_late and self.recipe == "interactive" and not self.adversarial

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
        try:
            Strategy.parse(self.strategy)
        except AdapterError as error:
            raise TrainingError(str(error)) from error
        if self.recipe not in get_args(RecipeName):
            raise TrainingError(f"Got the recipe {self.recipe!r}, expected 'interactive' or 'paper'.")
        self._check_epochs()
        if not 0 <= self.l2 <= 1000:
            raise TrainingError(f"Got the weight {self.l2:g} of L2, expected a number from 0 to 1000.")
        if not 0 <= self.adversarial <= 1:
            raise TrainingError(
                f"Got {self.adversarial:g} as the size of the adversarial step, expected a number from 0 to 1."
            )

    def _check_epochs(self) -> None:
        if self.epochs is None:
            return
        if self.epochs < 1:
            raise TrainingError(f"Got {self.epochs} epochs, expected at least 1.")
        if self.recipe != "paper":
            raise TrainingError(
                f"Epochs are counted by the recipe 'paper', got the recipe {self.recipe!r}; give steps instead."
            )
        if self.steps is not None:
            raise TrainingError(
                f"Got {self.epochs} epochs and {self.steps} steps, expected one of the two; leave one out."
            )
