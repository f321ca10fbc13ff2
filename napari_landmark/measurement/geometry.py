"""Geometry of points and lines of many images at once.

Points are (..., ndim) arrays of mm, or of square pixels, in array axis order ([y, x] or [z, y, x]). What is not
defined, such as the direction of a line through one point, is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_PARALLEL = 1e-9  # sine of the angle between lines that have no intersection


@dataclass(frozen=True, eq=False)
class Lines:
    """Directed lines.

    Parameters
    ----------
    point : (..., ndim) array
        A point of each.
    direction : (..., ndim) array
        Of length one.
    """

    point: Array
    direction: Array


def line_through(start: Array, end: Array) -> Lines:
    """Lines from one point to another; NaN where both are the same."""
    return Lines(start, unit(end - start))


def unit(vectors: Array) -> Array:
    """Vectors of length one; NaN for one of length zero."""
    with np.errstate(invalid="ignore", divide="ignore"):
        lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
        return np.where(lengths > 0, vectors / lengths, np.nan)


def projection(points: Array, lines: Lines) -> Array:
    """Feet of the perpendiculars from points to lines."""
    along = np.sum((points - lines.point) * lines.direction, axis=-1, keepdims=True)
    return lines.point + along * lines.direction


def perpendicular(points: Array, lines: Lines) -> Lines:
    """Lines through points, perpendicular to others.

    In pictures the direction is that of the line turned by 90 degrees to the left, as displayed. In volumes the line
    meets the other one, from the point to the foot, and is NaN where the point is on it.
    """
    if points.shape[-1] == 2:
        # To the left of (dx, dy) with y downwards is (dy, -dx), in array axis order (-dx, dy).
        turned = np.stack([-lines.direction[..., 1], lines.direction[..., 0]], axis=-1)
        return Lines(points, turned)
    return line_through(points, projection(points, lines))


def intersection(first: Lines, second: Lines) -> Array:
    """Points where two lines of a picture meet; NaN where they are parallel."""
    sine = cross(first.direction, second.direction)
    with np.errstate(invalid="ignore", divide="ignore"):
        along = cross(second.point - first.point, second.direction) / sine
    along = np.where(np.abs(sine) > _PARALLEL, along, np.nan)
    return first.point + along[..., None] * first.direction


def circle_centre(points: Sequence[Array]) -> Array:
    """Centres of the circles through three points, or nearest to more of a picture.

    The latter by algebraic least squares (Kasa 1976). NaN where the points are on a line.
    """
    stacked = np.stack(points, axis=-2)
    mean = stacked.mean(axis=-2, keepdims=True)
    local = stacked - mean
    if stacked.shape[-1] == 3:
        return _circumcentre(stacked)
    matrix = np.concatenate([2 * local, np.ones((*local.shape[:-1], 1))], axis=-1)
    squares = np.sum(local**2, axis=-1)
    normal = np.swapaxes(matrix, -1, -2) @ matrix
    right = np.swapaxes(matrix, -1, -2) @ squares[..., None]
    # Points on a line, or NaN, have no circle.
    spread = np.linalg.eigvalsh(np.nan_to_num(np.swapaxes(local, -1, -2) @ local))
    valid = np.isfinite(squares).all(axis=-1) & (spread[..., 0] > 1e-12 * np.maximum(spread[..., -1], 1e-300))
    safe = np.where(valid[..., None, None], normal, np.eye(3))
    centre = np.linalg.solve(safe, np.where(valid[..., None, None], right, 0.0))[..., :2, 0]
    return np.where(valid[..., None], centre + mean[..., 0, :], np.nan)


def _circumcentre(triangles: Array) -> Array:
    """Centres of the circles through three points of space."""
    a, b, c = (triangles[..., number, :] for number in range(3))
    u, v = a - c, b - c
    normal = np.cross(u, v)
    area = np.sum(normal**2, axis=-1, keepdims=True)
    size = np.sum(u**2, axis=-1, keepdims=True) * np.sum(v**2, axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        offset = np.cross(
            np.sum(u**2, axis=-1, keepdims=True) * v - np.sum(v**2, axis=-1, keepdims=True) * u, normal
        ) / (2 * area)
    return np.where(area > 1e-12 * size, c + offset, np.nan)


def cross(first: Array, second: Array) -> Array:
    """Cross products x1 y2 - y1 x2 of vectors of pictures; positive where the second turns clockwise as displayed."""
    return first[..., 1] * second[..., 0] - first[..., 0] * second[..., 1]


def angle_between(first: Array, second: Array) -> Array:
    """Angles between two directions in degrees, 0 to 180."""
    # By both norms: exact for small angles and for those near 180 degrees, where the arc cosine is not.
    with np.errstate(invalid="ignore"):
        difference = np.linalg.norm(first - second, axis=-1)
        total = np.linalg.norm(first + second, axis=-1)
        return np.degrees(2 * np.arctan2(difference, total))


def signed_angle(first: Array, second: Array) -> Array:
    """Angles from one direction to another in a picture in degrees, counterclockwise as displayed, -180 to 180."""
    with np.errstate(invalid="ignore"):
        return np.degrees(np.arctan2(-cross(first, second), np.sum(first * second, axis=-1)))


def distance_to_line(points: Array, lines: Lines) -> Array:
    """Distances of points from lines."""
    return np.linalg.norm(points - projection(points, lines), axis=-1)


def signed_distance_to_line(points: Array, lines: Lines) -> Array:
    """Distances of points from lines of a picture; positive to the left of the line's direction, as displayed."""
    return -cross(lines.direction, points - lines.point)
