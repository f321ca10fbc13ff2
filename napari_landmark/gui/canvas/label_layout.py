"""Placing names beside their marks so that no name covers another one or a mark."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

_DIRECTIONS = np.array([(math.sin(a), math.cos(a)) for a in np.deg2rad(np.arange(-30, 330, 30))])
_DISTANCES = (0.0, 12.0, 26.0, 44.0, 66.0, 92.0)  # pixels of the screen beyond the mark
_COVERED_NAME, _COVERED_MARK, _CUT = 250.0, 30.0, 400.0  # against one pixel of distance
_GAP = 2.0  # pixels between two names


def place_labels(
    points: ArrayLike, sizes: ArrayLike, *, reach: float, shape: tuple[float, float]
) -> NDArray[np.float64]:
    """Find places for names, in the order of importance.

    Each name takes the place that covers least, the nearest one of equals; names that found none are farther from
    their mark and want a line to it (Christensen, Marks & Shieber 1995, greedy in the order of the points).

    Parameters
    ----------
    points : (n, 2) array_like
        Marks [y, x] in pixels of the screen, the most important first.
    sizes : (n, 2) array_like
        Heights and widths of the names.
    reach : float
        Radius of a mark.
    shape : (float, float)
        Height and width of the canvas.

    Returns
    -------
    (n, 4) array
        Top, left, bottom and right of each name.
    """
    points = np.asarray(points, dtype=float).reshape(-1, 2)
    sizes = np.asarray(sizes, dtype=float).reshape(-1, 2)
    placed = np.empty((len(points), 4))
    marks = np.concatenate([points - reach, points + reach], axis=1)
    for number, (point, size) in enumerate(zip(points, sizes, strict=True)):
        boxes, distances = _candidates(point, size, reach)
        near = np.abs(points - point).max(axis=1) < _DISTANCES[-1] + reach + size.max() + sizes.max()
        cost = distances.copy()
        cost += _COVERED_MARK * _overlaps(boxes, marks[near])
        cost += _COVERED_NAME * _overlaps(boxes, placed[:number][near[:number]])
        inside = (boxes[:, :2] >= 0).all(axis=1) & (boxes[:, 2:] <= shape).all(axis=1)
        cost += np.where(inside, 0.0, _CUT)
        placed[number] = boxes[int(np.argmin(cost))]
    return placed


def uncovered(boxes: ArrayLike) -> NDArray[np.bool_]:
    """Which names cover none of those before them that are written themselves.

    Parameters
    ----------
    boxes : (n, 4) array_like
        As `place_labels` gives them.

    Returns
    -------
    (n,) bool array
    """
    boxes = np.asarray(boxes, dtype=float).reshape(-1, 4)
    written = np.zeros(len(boxes), dtype=bool)
    for number, box in enumerate(boxes):
        written[number] = not _overlaps(box[None], boxes[:number][written[:number]])[0]
    return written


def leader(box: ArrayLike, point: ArrayLike, *, reach: float) -> tuple[float, float, float, float] | None:
    """Line from a mark to its name, where the name is not beside it.

    Parameters
    ----------
    box : (4,) array_like
        As `place_labels` gives it.
    point : (2,) array_like
    reach : float

    Returns
    -------
    tuple of float or None
        y, x at the mark and y, x at the name.
    """
    top, left, bottom, right = np.asarray(box, dtype=float)
    mark = np.asarray(point, dtype=float)
    end = np.array([min(max(mark[0], top), bottom), min(max(mark[1], left), right)])
    away = end - mark
    length = float(np.hypot(*away))
    if length <= reach + _DISTANCES[1] / 2:
        return None
    start = mark + away / length * reach
    return float(start[0]), float(start[1]), float(end[0]), float(end[1])


def _candidates(
    point: NDArray[np.float64], size: NDArray[np.float64], reach: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(m, 4) boxes around a mark, the usual place first, and their distances from it."""
    boxes, distances = [], []
    for distance in _DISTANCES:
        anchors = point + (reach + _GAP + distance) * _DIRECTIONS
        # The side of the name that faces the mark lies at the anchor.
        centres = anchors + 0.5 * size * np.clip(1.6 * _DIRECTIONS, -1, 1)
        boxes.append(np.concatenate([centres - size / 2, centres + size / 2], axis=1))
        distances.append(distance + 0.01 * np.arange(len(_DIRECTIONS)))
    return np.concatenate(boxes), np.concatenate(distances)


def _overlaps(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m,) number of other boxes that each box covers."""
    first, second = boxes[:, None], others[None]
    apart = (first[..., :2] >= second[..., 2:] + _GAP) | (first[..., 2:] + _GAP <= second[..., :2])
    return (~apart.any(axis=2)).sum(axis=1).astype(float)
