"""How to learn from rough labels, as one value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["RoughSettings"]


@dataclass(frozen=True, kw_only=True)
class RoughSettings:
    """How to learn from rough labels.

    Attributes
    ----------
    steps : int, optional
        By default from the number of windows.
    learning_rate : float
    seed : int
        Of everything random.
    anchor, prototypes, gate, clicks, channels : bool
        Parts that can be left out, to see what they are worth: the anchor loss, the prototype loss, the choice of objects
        to believe by the agreement of views, all that the user's clicks say beside being prompts, and what the channels
        say of objects.
    robust : bool
        Also let the embeddings of the degraded and of the clean view agree, for images of worse quality than those at
        hand (RobustSAM's idea, arXiv 2406.09627).
    check : bool
        Refuse prompts that do not fit their images better than those of others.
    judge : bool
        Roll back where masks keep less to what was said than before.
    windows : int
        Most windows that are looked at.
    """

    steps: int | None = None
    learning_rate: float = 1e-3
    seed: int = 0
    anchor: bool = True
    prototypes: bool = True
    gate: bool = True
    clicks: bool = True
    channels: bool = True
    robust: bool = False
    check: bool = True
    judge: bool = True
    windows: int = 40

    def told(self) -> dict[str, bool | int | float | str]:
        """What differs from the defaults, beside what a report tells anyway."""
        plain = asdict(RoughSettings())
        return {
            k: v
            for k, v in asdict(self).items()
            if k not in ("steps", "learning_rate", "seed") and v != plain[k]
        }

    @classmethod
    def self_training(cls, **others: Any) -> RoughSettings:
        """Plain self-training: the model's own answers, nothing that holds it."""
        return cls(
            anchor=False, prototypes=False, gate=False, clicks=False, channels=False, judge=False, **others
        )
