"""The prompt of the object at hand, with its own undo and redo."""

from __future__ import annotations

from dataclasses import replace

from napari_simmat.inference import Prompt


class PromptHistory:
    """A prompt and the ones before and after it.

    Choosing another candidate is part of the current prompt and no step of its own: undo goes click by click.
    """

    def __init__(self) -> None:
        self.current = Prompt()
        self._before: list[Prompt] = []
        self._after: list[Prompt] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is a click or box to take back."""
        return bool(self._before)

    @property
    def can_redo(self) -> bool:
        """Whether a click or box was taken back that can come again."""
        return bool(self._after)

    def push(self, prompt: Prompt) -> None:
        """A new click or box."""
        self._before.append(self.current)
        self._after.clear()
        self.current = prompt

    def choose(self, candidate: int | None) -> None:
        """Another candidate of the same clicks."""
        self.current = replace(self.current, candidate=candidate)

    def undo(self) -> bool:
        """Take the last click or box back; False if there is none."""
        if not self._before:
            return False
        self._after.append(self.current)
        self.current = self._before.pop()
        return True

    def redo(self) -> bool:
        """Bring back what was taken back; False if there is nothing."""
        if not self._after:
            return False
        self._before.append(self.current)
        self.current = self._after.pop()
        return True

    def clear(self) -> None:
        """Start the next object."""
        self.current = Prompt()
        self._before.clear()
        self._after.clear()
