"""What is known of the camera that took an image."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from math import sqrt

__all__ = ["Camera", "default_camera"]


@dataclass(frozen=True)
class Camera:
    """Pinhole geometry, in pixels of the image.

    Parameters
    ----------
    focal_length_px : (float, float)
        Focal length along rows and columns.
    principal_point : (float, float), optional
        Row and column of the optical axis; the middle of the image where not given.
    baseline_m : float, optional
        Distance between the two cameras of a stereo pair, in metres.
    disparity_offset_px : float
        What is added to a disparity before depth is computed from it.
    """

    focal_length_px: tuple[float, float]
    principal_point: tuple[float, float] | None = None
    baseline_m: float | None = None
    disparity_offset_px: float = 0.0

    def __post_init__(self) -> None:
        if not all(0 < f < float("inf") for f in self.focal_length_px):
            raise ValueError(f"focal lengths {self.focal_length_px} must be positive")
        if self.baseline_m is not None and not 0 < self.baseline_m < float("inf"):
            raise ValueError(f"the baseline {self.baseline_m} m must be positive")
        if not all(map(math.isfinite, (*(self.principal_point or ()), self.disparity_offset_px))):
            raise ValueError("the principal point and the offset of disparities must be finite")

    def thinned(self, step: int) -> Camera:
        """The same camera for every so manieth pixel of a depth image."""
        along, across = self.focal_length_px
        axis = self.principal_point
        return replace(
            self,
            focal_length_px=(along / step, across / step),
            principal_point=None if axis is None else (axis[0] / step, axis[1] / step),
        )


def default_camera(shape: tuple[int, int]) -> Camera:
    """What is assumed of a depth camera that says nothing: 60 degrees wide along its longer side.

    Most depth cameras have 55 to 75 degrees. The optical axis goes through the middle of the image.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image.
    """
    focal = max(shape) / 2 * sqrt(3)  # half the side over tan(30 degrees)
    return Camera((focal, focal))
