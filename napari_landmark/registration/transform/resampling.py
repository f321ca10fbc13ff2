"""Resampling of images and label maps to the pixels of another image, slab by slab to limit the memory."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from napari_landmark.registration.transform.fields_numpy import grid_points

_POINTS_AT_ONCE = 1 << 20
_EVEN = 1e-9  # labels whose weights differ by less than rounding errors are equals

PositionMap = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From index coordinates (n, d) of the output to those of the input."""


def warp_array(array: NDArray, to_input: PositionMap, shape: tuple[int, ...]) -> NDArray:
    """Resample an array to `shape` with its data type kept, linear between pixels, the border repeated outside."""
    source = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    if source.dtype.kind == "b" or source.dtype == np.float16:
        source = source.astype(np.float32)
    warped = np.empty(shape, array.dtype.newbyteorder("="))
    for rows, points in _slabs(shape):
        values = map_coordinates(source, to_input(points).T, output=np.float64, order=1, mode="nearest")
        if array.dtype.kind in "iub":
            values = np.rint(values)
        warped[rows] = values.reshape(warped[rows].shape)
    return warped


def warp_label_array(labels: NDArray, to_input: PositionMap, shape: tuple[int, ...]) -> NDArray:
    """Resample a label map to `shape`: the label with the largest weight of a linear interpolation, 0 outside.

    Equal to the largest of the resampled probability maps, one for each label. Only the labels of the pixels
    around a position can win, so that the cost does not depend on the number of labels.
    """
    last = np.asarray(labels.shape) - 1
    warped = np.zeros(shape, labels.dtype)
    for rows, points in _slabs(shape):
        positions = to_input(points)
        inside = ((positions >= -0.5) & (positions <= last + 0.5)).all(axis=1)
        chosen = np.zeros(len(points), labels.dtype)
        chosen[inside] = _heaviest_label(labels, np.clip(positions[inside], 0, last))
        warped[rows] = chosen.reshape(warped[rows].shape)
    return warped


def _heaviest_label(labels: NDArray, positions: NDArray[np.float64]) -> NDArray:
    last = np.asarray(labels.shape) - 1
    low = positions.astype(np.intp)
    part = positions - low
    high = np.minimum(low + 1, last)
    corners = list(itertools.product((0, 1), repeat=labels.ndim))
    found, weights = [], []
    for corner in corners:
        found.append(labels[tuple(np.where(side, high[:, k], low[:, k]) for k, side in enumerate(corner))])
        weights.append(
            np.prod([part[:, k] if side else 1 - part[:, k] for k, side in enumerate(corner)], axis=0)
        )
    best = np.full(len(positions), -1.0)
    winner = np.zeros(len(positions), labels.dtype)
    for label in found:
        total = sum(weight * (other == label) for weight, other in zip(weights, found, strict=True))
        better = (total > best + _EVEN) | ((total > best - _EVEN) & (label < winner))
        best, winner = np.where(better, total, best), np.where(better, label, winner)
    return winner


def _slabs(shape: tuple[int, ...]) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Rows along the first axis, as many at a time as memory should hold, and their index coordinates."""
    step = max(1, _POINTS_AT_ONCE // math.prod(shape[1:]))
    for begin in range(0, shape[0], step):
        rows = slice(begin, min(begin + step, shape[0]))
        yield rows, grid_points(shape, rows.start, rows.stop)
