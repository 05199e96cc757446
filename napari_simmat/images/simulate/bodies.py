"""Solid bodies on a table, seen along parallel rays: where each ray meets them, and the normal there.

Coordinates are (a, b, h): along the table to the right, along the table away from the camera, above the table. A ray
is the point `origin` plus `height` times `towards`, the unit vector to the camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Body", "Ellipsoid", "Facets", "Rod"]

Floats = NDArray[np.float64]


class Body(Protocol):
    """Something that rays can meet."""

    def met(self, origin: Floats, towards: Floats) -> tuple[Floats, Floats]:
        """Distance along each ray to the visible surface, -inf where it is missed, and the unit normal there.

        Parameters
        ----------
        origin : ndarray, shape (3, ...)
            Where the ray meets the table.
        towards : ndarray, shape (3,)
            Unit vector to the camera.

        Returns
        -------
        distance : ndarray
            0 or more above the table.
        normal : ndarray, shape (3, ...)
            Finite everywhere; means nothing where the ray misses.
        """
        ...


@dataclass(frozen=True)
class Ellipsoid:
    """A drop, lens or pebble: the part above the table of an ellipsoid.

    Parameters
    ----------
    centre : (float, float, float)
        (a, b, h); below the table for a cap that meets it at less than a right angle.
    axes : (float, float, float)
        Half axes, the third one upright.
    turn : float
        Of the first half axis in the table's plane, radians.
    """

    centre: tuple[float, float, float]
    axes: tuple[float, float, float]
    turn: float = 0.0

    def met(self, origin: Floats, towards: Floats) -> tuple[Floats, Floats]:
        """As in `Body`: the larger root of a quadratic equation."""
        to_sphere = _turned(self.turn) / np.array(self.axes)[:, None]
        start = np.tensordot(to_sphere, origin - _column(self.centre, origin), 1)
        step = to_sphere @ towards
        distance = _sphere(start, step)
        surface = start + np.where(np.isfinite(distance), distance, 0.0) * _column(step, start)
        return _above(distance), _unit(np.tensordot(to_sphere.T, surface, 1))


@dataclass(frozen=True)
class Rod:
    """The part above the table of a rod with round ends, lying parallel to the table.

    Parameters
    ----------
    centre : (float, float, float)
        (a, b, h).
    radius, half_length : float
        `half_length` is that of the straight part.
    turn : float
        Of its axis in the table's plane, radians.
    """

    centre: tuple[float, float, float]
    radius: float
    half_length: float
    turn: float = 0.0

    def met(self, origin: Floats, towards: Floats) -> tuple[Floats, Floats]:
        """As in `Body`: the outermost of a cylinder and two spheres."""
        turned = _turned(self.turn)
        start = np.tensordot(turned, origin - _column(self.centre, origin), 1) / self.radius
        step = turned @ towards / self.radius
        half = self.half_length / self.radius
        across = np.array([0.0, 1.0, 1.0])
        shaft = _sphere(start * _column(across, start), step * across)
        within = np.abs(start[0] + np.where(np.isfinite(shaft), shaft, 0.0) * step[0]) <= half
        distance = np.where(within, shaft, -np.inf)
        for end in (-half, half):
            ball = _sphere(start - _column((end, 0.0, 0.0), start), step)
            outside = (start[0] + np.where(np.isfinite(ball), ball, 0.0) * step[0]) * np.sign(end) > half
            distance = np.maximum(distance, np.where(outside, ball, -np.inf))
        surface = start + np.where(np.isfinite(distance), distance, 0.0) * _column(step, start)
        surface[0] -= np.clip(surface[0], -half, half)
        return _above(distance), _unit(np.tensordot(turned.T, surface, 1))


@dataclass(frozen=True)
class Facets:
    """A convex body with flat faces on the table: a bevelled pane, a prism.

    Parameters
    ----------
    normals : ndarray, shape (n, 3)
        Unit normals of the faces.
    distances : ndarray, shape (n,)
        Of the faces' planes from `centre`.
    centre : (float, float, float)
        (a, b, h).
    """

    normals: Floats
    distances: Floats
    centre: tuple[float, float, float]

    def met(self, origin: Floats, towards: Floats) -> tuple[Floats, Floats]:
        """As in `Body`: the ray is inside between the last face that it enters and the first that it leaves."""
        start = origin - _column(self.centre, origin)
        nearest = np.full(start.shape[1:], np.inf)
        farthest = np.zeros(start.shape[1:])
        normal = np.zeros(start.shape)
        normal[2] = 1.0
        for face, offset in zip(self.normals, self.distances, strict=True):
            rise, room = float(face @ towards), offset - np.tensordot(face, start, 1)
            if abs(rise) < 1e-9:
                nearest = np.where(room < 0, -np.inf, nearest)
                continue
            at = room / rise
            if rise > 0:
                normal = np.where(at < nearest, _column(face, start), normal)
                nearest = np.minimum(nearest, at)
            else:
                farthest = np.maximum(farthest, at)
        return np.where(nearest > farthest, nearest, -np.inf), normal


def _turned(turn: float) -> Floats:
    c, s = np.cos(turn), np.sin(turn)
    return np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])


def _sphere(start: Floats, step: Floats) -> Floats:
    """The larger t with |start + t step| = 1, -inf where there is none."""
    a = float(step @ step)
    b = np.tensordot(step, start, 1)
    root = b**2 - a * (np.sum(start**2, axis=0) - 1.0)
    return np.where(root > 0, (np.sqrt(np.maximum(root, 0.0)) - b) / a, -np.inf)


def _above(distance: Floats) -> Floats:
    return np.where(distance > 0, distance, -np.inf)


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.sqrt(np.sum(vectors**2, axis=0)), 1e-12))


def _column(vector: Floats | tuple[float, ...], like: Floats) -> Floats:
    return np.asarray(vector, float).reshape(-1, *(1,) * (like.ndim - 1))
