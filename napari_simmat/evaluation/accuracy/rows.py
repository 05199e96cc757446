"""The rows of an accuracy benchmark: what is compared with what, written as `MAT/STRATEGY/RECIPE/OPTION=VALUE`."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from pydantic import BaseModel as Model
from pydantic import ConfigDict, Field

from napari_simmat.errors import SimmatError
from napari_simmat.models import TRANSFERS
from napari_simmat.models.strategies import STRATEGIES, Strategy
from napari_simmat.models.transfer import canonical_name
from napari_simmat.training import Settings

__all__ = ["DEFAULT_ROW", "GROUPS", "UNTRAINED", "Row", "parse_rows"]

UNTRAINED = "untrained"
DEFAULT_ROW = "mat/lora"

_LAYERS = tuple("conv-stack:3,3,64" if name.startswith("conv-stack") else name for name in TRANSFERS)
_TUNED = tuple(name for name in STRATEGIES if name != "scratch")
_PAPER_STRATEGIES = ("mat", "lora", "mlp", "prompt", "prefix", "decoder", "full")

GROUPS: dict[str, tuple[str, ...]] = {
    "default": (UNTRAINED, DEFAULT_ROW),
    "variants": (
        UNTRAINED,
        "mat/scratch",
        *(f"{layer}/{strategy}" for layer in _LAYERS for strategy in ("mat", "lora")),
    ),
    "strategies": (UNTRAINED, *(f"mat/{strategy}" for strategy in _TUNED)),
    "regularisers": (
        UNTRAINED,
        DEFAULT_ROW,
        f"{DEFAULT_ROW}/l2=0.1",
        f"{DEFAULT_ROW}/split_half=1",
        f"{DEFAULT_ROW}/adversarial=0.1",
        f"{DEFAULT_ROW}/ema=1",
        f"{DEFAULT_ROW}/early_stopping=1",
    ),
    "paper": (
        UNTRAINED,
        "mat-paper/scratch/paper",
        *(f"mat-paper/{strategy}/paper" for strategy in _PAPER_STRATEGIES),
        f"{DEFAULT_ROW}/paper",
        DEFAULT_ROW,
    ),
}
"""Lists of rows that have a name."""


class Row(Model):
    """One way to adapt the model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="As it was written, in the canonical form.")
    mat: str = Field(description="Transfer layer, a key of `TRANSFERS`.")
    strategy: str = Field(default="lora", description="What is trained beside it, a key of `STRATEGIES`.")
    recipe: str = Field(default="interactive", description="'interactive' or 'paper'.")
    options: dict[str, float] = Field(default={}, description="Further fields of the training's settings.")
    is_trained: bool = Field(default=True, description="Whether there is anything to train.")

    def settings(self, **changes: Any) -> Settings:
        """The training's settings, with steps, seed and the like from `changes`.

        Raises
        ------
        TrainingError
            The options make no sense.
        """
        booleans = {f.name for f in fields(Settings) if "bool" in str(f.type)}
        options = {k: bool(v) if k in booleans else v for k, v in self.options.items()}
        chosen = Settings(strategy=self.strategy, recipe=self.recipe, **options).with_(**changes)  # type: ignore[arg-type]
        chosen.check()
        return chosen


def parse_rows(texts: list[str] | tuple[str, ...]) -> list[Row]:
    """Rows from their texts or the names of groups of them, each once and in order.

    >>> [row.name for row in parse_rows(["default", "linear/mat"])]
    ['untrained', 'mat/lora', 'linear/mat']

    Raises
    ------
    SimmatError
        A text names no transfer layer, strategy, recipe or option that there is.
    """
    rows: dict[str, Row] = {}
    for text in texts:
        for each in GROUPS.get(text, (text,)):
            row = _parse(each)
            rows[row.name] = row
    if not rows:
        raise SimmatError(f"Got no rows; give some such as {DEFAULT_ROW}, or one of {', '.join(GROUPS)}.")
    return list(rows.values())


def _parse(text: str) -> Row:
    if text == UNTRAINED:
        return Row(name=UNTRAINED, mat="mat", is_trained=False)
    mat, *rest = text.split("/")
    mat = canonical_name(mat)
    strategy = (
        str(Strategy.parse(rest.pop(0))) if rest and rest[0].partition(":")[0] in STRATEGIES else "lora"
    )
    recipe = rest.pop(0) if rest and rest[0] in ("paper", "interactive") else "interactive"
    options = dict(map(lambda part: _option(part, text), rest))
    parts = [mat, strategy, *([recipe] if recipe != "interactive" else [])]
    parts += [f"{key}={value:g}" for key, value in options.items()]
    row = Row(
        name="/".join(parts),
        mat=mat,
        strategy=strategy,
        recipe=recipe,
        options=options,
        # The first three channels into a frozen encoder: nothing is left to train.
        is_trained=(mat, strategy) != ("zero-shot", "mat"),
    )
    row.settings()
    return row


def _option(part: str, text: str) -> tuple[str, float]:
    key, equals, value = part.partition("=")
    known = [f.name for f in fields(Settings) if f.name not in ("seed", "strategy", "recipe", "steps")]
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not equals or key not in known or number != number:
        raise SimmatError(
            f"Got the row {text!r} with the part {part!r}, expected MAT/STRATEGY/RECIPE/OPTION=NUMBER such as "
            f"{DEFAULT_ROW}/paper or {DEFAULT_ROW}/l2=0.1; options are {', '.join(known)}, "
            f"strategies {', '.join(STRATEGIES)}."
        )
    return key, number
