"""Channels that are computed from others: what a modality really measures, for the model and for the screen.

Each formula states its unit and what a mirror image does to it. A mirror turns the plane of polarization: exchanging
left and right or up and down makes of its angle A the angle -A, and exchanging rows with columns makes it pi / 2 - A,
whichever way angles are counted. So sin 2A = S2 / (S0 DoLP) changes its sign in the first two and cos 2A =
S1 / (S0 DoLP) in the last.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_simmat.images.camera import Camera, default_camera
from napari_simmat.images.physics import depth as distances
from napari_simmat.images.physics import polarization, surface

__all__ = ["FORMULAS", "Formula", "Mirror"]

Planes = Sequence[NDArray[Any]]
Parameters = Mapping[str, float]
Mirror = Literal["rows", "columns", "both"]
Compute = Callable[[Planes, Parameters, Camera | None], NDArray[Any]]


@dataclass(frozen=True)
class Formula:
    """A way to compute one channel from others.

    Attributes
    ----------
    text : str
        One line for people.
    unit : str
        Of the result; empty for a ratio or where it is that of the input.
    inputs : tuple of str
        What each of the planes that it takes must be.
    compute : callable
        Planes (Y, X), parameters and the image's camera to a plane (Y, X), NaN where nothing was measured.
    parameters : mapping of str to float
        What the formula needs beside the planes, and what is taken where nobody says.
    limits : (float, float), optional
        The range that its values can have.
    is_signed : bool
        Whether a mirror changes its sign.
    mirrors : mapping
        For each mirror the formula of the channel that takes its place and its sign; None if the mirrored scene has
        another physics.
    """

    text: str
    unit: str
    inputs: tuple[str, ...]
    compute: Compute
    parameters: Mapping[str, float] = field(default_factory=dict)
    limits: tuple[float, float] | None = None
    is_signed: bool = False
    mirrors: Mapping[Mirror, tuple[str, float] | None] = field(default_factory=dict)

    def __call__(
        self, planes: Planes, parameters: Parameters | None = None, camera: Camera | None = None
    ) -> NDArray[Any]:
        """Its values (Y, X), with the usual parameters where none are given."""
        return self.compute(planes, {**self.parameters, **(parameters or {})}, camera)


FORMULAS: dict[str, Formula] = {}
"""Every formula by its name."""


def _add(
    key: str,
    text: str,
    inputs: tuple[str, ...],
    compute: Compute,
    *,
    unit: str = "",
    parameters: Mapping[str, float] | None = None,
    limits: tuple[float, float] | None = None,
    mirrors: tuple[tuple[str, float] | None, tuple[str, float] | None, tuple[str, float] | None]
    | None = None,
) -> None:
    rows, columns, both = mirrors or ((key, 1.0),) * 3
    effects: dict[Mirror, tuple[str, float] | None] = {"rows": rows, "columns": columns, "both": both}
    signed = any(effect is not None and effect[1] < 0 for effect in effects.values())
    FORMULAS[key] = Formula(text, unit, inputs, compute, dict(parameters or {}), limits, signed, effects)


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float32]:
    """Quotient where the denominator is positive, else 0; clipped to -1 ... 1."""
    upper, lower = polarization.as_exact(numerator, denominator)
    positive = lower > 0
    if positive.all():
        ratio = np.divide(upper, lower)
    else:
        ratio = np.divide(upper, lower, out=np.zeros_like(upper), where=positive)
        ratio[np.isnan(upper) | np.isnan(lower)] = np.nan
    clipped: NDArray[np.float32] = np.clip(ratio, -1.0, 1.0, out=ratio).astype(np.float32, copy=False)
    return clipped


def _normalised_difference(
    planes: Planes, parameters: Parameters, camera: Camera | None
) -> NDArray[np.float32]:
    a, b = (plane.astype(np.float64) for plane in planes)
    return _ratio(a - b, a + b)


def _double_angle(
    part: Callable[[NDArray[Any]], NDArray[Any]],
) -> Compute:
    def compute(planes: Planes, parameters: Parameters, camera: Camera | None) -> NDArray[np.float32]:
        s1, s2 = (plane.astype(np.float64) for plane in planes)
        angle = np.arctan2(s2, s1)
        # Without polarization there is no angle: 0 is in the middle of both of its components.
        return np.where((s1 == 0) & (s2 == 0), 0.0, part(angle)).astype(np.float32)

    return compute


def _camera(shape: tuple[int, ...], parameters: Parameters, known: Camera | None) -> Camera:
    """The image's own camera, else the one that the parameters describe, else `default_camera`."""
    rows, columns = shape
    if known is not None:
        return known
    focal = parameters["focal_length_px"]
    if focal <= 0:
        return default_camera((rows, columns))
    row, column = parameters["principal_row"], parameters["principal_column"]
    middle = None if np.isnan(row) or np.isnan(column) else (row, column)
    return Camera((focal, focal), middle)


def _smoothed(depth: NDArray[Any], sigma: float) -> NDArray[np.float64]:
    """Depth with less noise, by a Gaussian over inverse depth, which is linear over the image of a plane.

    Only what was measured takes part, and what was not stays NaN.
    """
    inverse = distances.inverse_depth(depth).astype(np.float64)
    measured = np.isfinite(inverse)
    if sigma > 0:
        from scipy.ndimage import gaussian_filter  # half a second that most images do not need

        weight = gaussian_filter(measured.astype(np.float64), sigma)
        summed = gaussian_filter(np.where(measured, inverse, 0.0), sigma)
        inverse = np.divide(summed, weight, out=np.full(depth.shape, np.nan), where=measured)
    return np.asarray(np.divide(1.0, inverse, out=np.full(depth.shape, np.nan), where=measured))


class _Last:
    """The normals of the depth that was asked for last, for its components are asked for one after the other.

    As long as the depth is the same array, and one that nobody can write to, as those of an image are.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth: weakref.ref[NDArray[Any]] | None = None
        self._how: tuple[object, ...] = ()
        self._found: NDArray[np.float32] | None = None

    def __call__(self, depth: NDArray[Any], sigma: float, camera: Camera) -> NDArray[np.float32]:
        how = (sigma, camera)
        with self._lock:  # who asks for the second component meanwhile waits for the first one's
            found = self._found
            if found is None or self._depth is None or self._depth() is not depth or self._how != how:
                found = surface.normals(_smoothed(depth, sigma), camera)
                if not depth.flags.writeable:
                    self._depth, self._how = weakref.ref(depth, self._forget), how
                    self._found = found
            return found

    def _forget(self, gone: weakref.ref[NDArray[Any]]) -> None:
        if self._depth is gone:
            self._depth = self._found = None


_normals = _Last()


def _normal(component: int) -> Compute:
    def compute(planes: Planes, parameters: Parameters, camera: Camera | None) -> NDArray[np.float32]:
        (depth,) = planes
        if min(depth.shape) < 2:  # no surface to lean
            return np.where(np.isfinite(depth), float(component == 2), np.nan).astype(np.float32)
        found = _normals(depth, parameters["smoothing_px"], _camera(depth.shape, parameters, camera))
        return np.asarray(found[component])

    return compute


def _height(planes: Planes, parameters: Parameters, camera: Camera | None) -> NDArray[np.float32]:
    return surface.height(planes[0], _camera(planes[0].shape, parameters, camera))


def _angle_with_gravity(planes: Planes, parameters: Parameters, camera: Camera | None) -> NDArray[np.float32]:
    (depth,) = planes
    if min(depth.shape) < 2:
        return np.where(np.isfinite(depth), np.pi / 2, np.nan).astype(np.float32)
    return surface.angle_with_gravity(
        _smoothed(depth, parameters["smoothing_px"]), _camera(depth.shape, parameters, camera)
    )


def _fixed(key: str) -> tuple[str, float]:
    return key, 1.0


def _minus(key: str) -> tuple[str, float]:
    return key, -1.0


STOKES = ("S0", "S1", "S2")

_add("value", "the channel itself", ("any channel",), lambda planes, *_: planes[0])
_add(
    "normalised difference",
    "(a - b) / (a + b), such as NDVI from near infrared and red",
    ("a", "b"),
    _normalised_difference,
    limits=(-1.0, 1.0),
)
_add(
    "dolp",
    "degree of linear polarization, sqrt(S1² + S2²) / S0",
    STOKES,
    lambda planes, *_: polarization.dolp(*planes),
    limits=(0.0, 1.0),
)
_add(
    "aolp",
    "angle of linear polarization, atan2(S2, S1) / 2; periodic, so the model sees its sine and cosine instead",
    ("S1", "S2"),
    lambda planes, *_: polarization.aolp(*planes),
    unit="rad",
    limits=(-np.pi / 2, np.pi / 2),
    mirrors=(None, None, None),
)
_add(
    "s1/s0",
    "S1 / S0: polarized along the columns' axis (+) or across it (-)",
    ("S1", "S0"),
    lambda planes, *_: _ratio(*planes),
    limits=(-1.0, 1.0),
    mirrors=(_fixed("s1/s0"), _fixed("s1/s0"), _minus("s1/s0")),
)
_add(
    "s2/s0",
    "S2 / S0: polarized along one diagonal (+) or the other (-)",
    ("S2", "S0"),
    lambda planes, *_: _ratio(*planes),
    limits=(-1.0, 1.0),
    mirrors=(_minus("s2/s0"), _minus("s2/s0"), _fixed("s2/s0")),
)
_add(
    "cos 2aolp",
    "cosine of twice the angle of linear polarization",
    ("S1", "S2"),
    _double_angle(np.cos),
    limits=(-1.0, 1.0),
    mirrors=(_fixed("cos 2aolp"), _fixed("cos 2aolp"), _minus("cos 2aolp")),
)
_add(
    "sin 2aolp",
    "sine of twice the angle of linear polarization",
    ("S1", "S2"),
    _double_angle(np.sin),
    limits=(-1.0, 1.0),
    mirrors=(_minus("sin 2aolp"), _minus("sin 2aolp"), _fixed("sin 2aolp")),
)

# For images that do not tell their camera. No focal length: `default_camera`; no principal point: the middle.
PINHOLE = {"focal_length_px": 0.0, "principal_row": float("nan"), "principal_column": float("nan")}
# The step of a depth camera's numbers is often as large as that from pixel to pixel of a slanted surface.
SURFACE = {**PINHOLE, "smoothing_px": 1.5}

_add(
    "inverse depth",
    "one over depth; even steps of it are even steps of disparity",
    ("depth",),
    lambda planes, *_: distances.inverse_depth(planes[0]),
    unit="1/m",
)
_add(
    "relief",
    "how much nearer than its surroundings, so that a tilted floor vanishes and what stands on it stays",
    ("depth",),
    lambda planes, parameters, _: distances.relief(planes[0], parameters["surroundings"]),
    unit="1/m",
    parameters={"surroundings": 0.1},
)
_add(
    "normal x",
    "how far the surface faces right (+) or left (-)",
    ("depth",),
    _normal(0),
    parameters=SURFACE,
    limits=(-1.0, 1.0),
    mirrors=(_fixed("normal x"), _minus("normal x"), _fixed("normal y")),
)
_add(
    "normal y",
    "how far the surface faces down (+) or up (-)",
    ("depth",),
    _normal(1),
    parameters=SURFACE,
    limits=(-1.0, 1.0),
    mirrors=(_minus("normal y"), _fixed("normal y"), _fixed("normal x")),
)
_add(
    "normal z",
    "how far the surface faces the camera",
    ("depth",),
    _normal(2),
    parameters=SURFACE,
    limits=(-1.0, 1.0),
)
_add(
    "height",
    "height above the lowest hundredth of the points, for a camera held level",
    ("depth",),
    _height,
    unit="m",
    parameters=PINHOLE,
    mirrors=(None, _fixed("height"), None),
)
_add(
    "angle with gravity",
    "angle between the surface's normal and the vertical, for a camera held level: 0 floor, pi / 2 wall",
    ("depth",),
    _angle_with_gravity,
    unit="rad",
    parameters=SURFACE,
    limits=(0.0, float(np.pi)),
    mirrors=(None, _fixed("angle with gravity"), None),
)
_add(
    "measured",
    "1 where there is a measurement, else 0",
    ("any channel",),
    lambda planes, *_: np.isfinite(planes[0]).astype(np.float32),
    limits=(0.0, 1.0),
)
