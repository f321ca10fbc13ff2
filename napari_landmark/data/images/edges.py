"""The strongest edge near a position."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_gradient_magnitude, map_coordinates

_LEAST_CONTRAST = 1e-9
_STEP = 0.25  # pixels between the samples across an edge


def strongest_edge(
    array: NDArray, position: Sequence[float], *, radius: float, sigma: float = 1.0
) -> tuple[float, ...] | None:
    """Find the strongest edge near a position, to a fraction of a pixel.

    The gradient's magnitude is weighted by a Gaussian of half the radius, so that of two edges of one strength the
    nearer one is taken. From its largest value the maximum across the edge is looked for (Canny 1986).

    Parameters
    ----------
    array : (rows, columns) array
        A picture, or a slice.
    position : sequence of float
        Index coordinates.
    radius : float
        Largest distance in pixels, at least 1.
    sigma : float, optional
        Scale of the gradient in pixels.

    Returns
    -------
    tuple of float or None
        Index coordinates; None where there is no edge at all, or the position is outside.
    """
    center = np.asarray(position, dtype=float)
    if ((center < -0.5) | (center > np.array(array.shape) - 0.5)).any():
        return None
    reach = int(np.ceil(radius + 4 * sigma)) + 2
    low = np.maximum(np.floor(center).astype(int) - reach, 0)
    high = np.minimum(np.floor(center).astype(int) + reach + 1, array.shape)
    part = array[low[0] : high[0], low[1] : high[1]].astype(float)
    gradient = gaussian_gradient_magnitude(part, sigma, mode="nearest")
    cells = np.stack(np.meshgrid(*(np.arange(size) for size in part.shape), indexing="ij"), axis=-1)
    away = np.linalg.norm(cells + low - center, axis=-1)
    weighted = np.where(away <= radius, gradient * np.exp(-0.5 * (away / (radius / 2)) ** 2), -np.inf)
    best = np.array(np.unravel_index(int(np.argmax(weighted)), part.shape))
    if not np.isfinite(weighted[tuple(best)]) or gradient[tuple(best)] <= _LEAST_CONTRAST:
        return None
    direction = _direction(part, best, sigma)
    along = np.arange(-1.0, 1.0 + _STEP, _STEP)
    line = best[:, None] + direction[:, None] * along
    values = map_coordinates(gradient, line, order=3, mode="nearest")
    found = best + direction * _peak(along, values) + low
    inside = np.clip(found, 0, np.array(array.shape) - 1.0)
    return tuple(float(value) for value in inside)


def _direction(part: NDArray[np.float64], at: NDArray[np.int_], sigma: float) -> NDArray[np.float64]:
    """Unit vector across the edge."""
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(part, sigma, mode="nearest")
    padded = np.pad(smooth, 1, mode="edge")
    y, x = at + 1
    slope = np.array([padded[y + 1, x] - padded[y - 1, x], padded[y, x + 1] - padded[y, x - 1]])
    length = float(np.hypot(*slope))
    return slope / length if length > 0 else np.zeros(2)


def _peak(along: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Where a parabola through the largest value and its neighbours has its top."""
    best = int(np.argmax(values))
    if best in (0, len(values) - 1):
        return float(along[best])
    before, middle, after = values[best - 1 : best + 2]
    bend = before - 2 * middle + after
    return float(along[best] + (0.5 * (before - after) / bend * _STEP if bend < 0 else 0.0))
