"""What a user shows the model, from options or from a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from napari_simmat.errors import PromptError
from napari_simmat.inference import Prompt


def clicked(
    points: Sequence[tuple[float, float, int]],
    box: tuple[float, float, float, float] | None,
    candidate: int | None,
) -> Prompt:
    """A prompt from clicks (row, column, sign) in their order, a box, and a choice among the three masks."""
    return Prompt(
        points=tuple((y, x) for y, x, _ in points),
        labels=tuple(sign for _, _, sign in points),
        box=box,
        candidate=candidate,
    )


def recorded(path: Path) -> Prompt:
    """A prompt as `Prompt.to_dict` and the journal write it.

    Raises
    ------
    PromptError
        If the file cannot be read or is none.
    """
    try:
        prompt = Prompt.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise PromptError(f"Could not read {path} ({error.strerror}); choose an existing file.") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise PromptError(
            f"{path.name} is no prompt ({error}), expected a JSON object with points, labels and box."
        ) from error
    if prompt.is_empty:
        raise PromptError(f"{path.name} holds neither points nor a box, expected at least one of them.")
    return prompt
