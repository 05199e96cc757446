"""What can go wrong, in words that a person can act on.

Every error that a user can cause is a `SimmatError`. Its text is one sentence that says what was found, what was
expected and what to do; the window and the command line show it as it is.
"""

from __future__ import annotations

from collections.abc import Sequence


class SimmatError(Exception):
    """Base of all errors whose text is meant for the user.

    Parameters
    ----------
    message : str
        The sentence. Names of files and words of parsers in it may hold line breaks and commands to a terminal, which
        become spaces.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__("".join(c if c.isprintable() else " " for c in str(message)))


class ImageError(SimmatError):
    """A file or an array is not an image that can be opened."""


class SeparateImagesError(ImageError):
    """Several files that have nothing to do with each other, where one image was looked for."""


class AmbiguousAxesError(ImageError):
    """An array whose channel axis cannot be known; the user is asked.

    Parameters
    ----------
    message : str
        The sentence for the user.
    shape : sequence of int
        Shape of the array as stored.
    axes : str
        Axis letters where the file names them, else an empty string.
    candidates : sequence of int
        Axes that could be the channel axis, most plausible first.
    """

    def __init__(self, message: str, *, shape: Sequence[int], axes: str, candidates: Sequence[int]) -> None:
        super().__init__(message)
        self.shape = tuple(shape)
        self.axes = axes
        self.candidates = tuple(candidates)


class PromptError(SimmatError):
    """A click, box or mask that the image cannot answer."""


class AdapterError(SimmatError):
    """An adapter that cannot be read, written or used with this image."""


class WeightsError(SimmatError):
    """Base weights that are missing, damaged or of another network."""


class TrainingError(SimmatError):
    """Corrections from which nothing can be learnt."""


class ExportError(SimmatError):
    """Labels that cannot be written in the wanted format."""


class Cancelled(SimmatError):
    """The user stopped what was running; nothing was changed."""


class ProjectError(SimmatError):
    """A project folder that cannot be read or written."""
