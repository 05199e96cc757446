"""Reflectance from what the sensor counted: by a factor in the header, or by white and dark references.

R = (raw - dark) / (white - dark), for each column and band, as of a push-broom camera whose columns see through
pixels of their own; references are means over their lines. (Specim, "Hyperspectral data calibration"; Yuen and
Richardson, Imaging Sci. J. 58, 241, 2010.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.dask_later import da, is_lazy
from napari_simmat.images.image import Channel, loaded

__all__ = ["Reflectance", "mean_line"]


@dataclass(frozen=True)
class Reflectance:
    """How the stored values of one image become reflectance, 0 to 1 for all but mirrors and glare.

    Parameters
    ----------
    scale : float
        What a reflectance of 1 is stored as, where the file holds reflectance already.
    white, dark : ndarray, shape (C, 1, X) or (C, 1, 1), optional
        Mean lines of a white tile and of the closed shutter; dark is 0 where it is not given.
    white_dark : ndarray, optional
        The closed shutter at the exposure of `white`, where that is another one.
    exposures : float
        Exposure time of `white` divided by that of the image.
    said : str
        What was done to the values, without its full stop.
    """

    scale: float = 1.0
    white: NDArray[Any] | None = None
    dark: NDArray[Any] | None = None
    white_dark: NDArray[Any] | None = None
    exposures: float = 1.0
    said: str = "The values became reflectance"

    def __call__(self, array: Any, channels: Sequence[Channel]) -> tuple[Any, tuple[Channel, ...]]:
        """Reflectance of an image.

        Parameters
        ----------
        array : ndarray or dask array, shape (C, Y, X)
            As stored. A lazy array stays lazy.
        channels : sequence of Channel

        Returns
        -------
        array : float32, same shape
            NaN where white and dark are equal: a dead pixel measures nothing.
        channels : tuple of Channel
            With the unit "reflectance".

        Raises
        ------
        ImageError
            If the references have other channels or columns.
        """
        references = [r for r in (self.white, self.dark, self.white_dark) if r is not None]
        for reference in references:
            if reference.shape[0] != array.shape[0] or reference.shape[2] not in (1, array.shape[2]):
                raise ImageError(
                    f"A reference has {reference.shape[0]} bands and {reference.shape[2]} columns but the image "
                    f"{array.shape[0]} and {array.shape[2]}; take references of the same settings or move them away."
                )
        named = tuple(replace(channel, unit="reflectance") for channel in channels)
        if self.white is None:
            return self._scaled(array), named
        dark = np.float32(0.0) if self.dark is None else self.dark.astype(np.float32)
        below_white = dark if self.white_dark is None else self.white_dark.astype(np.float32)
        span = np.asarray(self.white.astype(np.float32) - below_white)
        gain = np.full(span.shape, np.nan, np.float32)
        np.divide(np.float32(self.exposures), span, out=gain, where=span > 0)
        if is_lazy(array):
            gain, dark = _like(gain, array), _like(dark, array)
        return (array.astype(np.float32) - dark) * gain, named

    def _scaled(self, array: Any) -> Any:
        """Division in single precision, as `spectral` does it: equal to the last bit."""
        with np.errstate(over="ignore"):  # what is not measured may be as large as numbers are
            return array.astype(np.float32) / np.float32(self.scale)


def _like(reference: Any, array: da.Array) -> Any:
    """A reference in blocks that go with those of the image."""
    if reference.ndim == 0:
        return reference
    columns = array.chunks[2] if reference.shape[2] > 1 else (1,)
    lazy = da.from_array(reference, chunks=(array.chunks[0], (1,), columns))  # type: ignore[no-untyped-call]
    return lazy


def mean_line(array: Any) -> NDArray[np.float32]:
    """Mean over the lines of a reference cube.

    Parameters
    ----------
    array : ndarray or dask array, shape (C, Y, X)

    Returns
    -------
    ndarray of float32, shape (C, 1, X)
    """
    return loaded(array.mean(axis=1, keepdims=True, dtype=np.float64)).astype(np.float32)
