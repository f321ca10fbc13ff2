"""Display of intensities: robust range, scaling to 0..1, checkerboard of two images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SAMPLE = 400_000  # intensities that percentiles are taken of
_SQUARES = 8


def display_range(array: NDArray, *, percentiles: tuple[float, float] = (0.1, 99.9)) -> tuple[float, float]:
    """Intensities to show as black and white: robust percentiles, the second always above the first.

    Intensities that are not finite are left out.
    """
    sample = sample_intensities(array)
    if sample.size == 0:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(sample, percentiles))
    return (low, high) if high > low else (low, low + 1.0)


def sample_intensities(array: NDArray) -> NDArray:
    """(n,) finite intensities of an image, evenly spread over it; all of a small one."""
    step = max(1, int((array.size / _SAMPLE) ** (1 / max(1, array.ndim))))
    sample = array[(slice(None, None, step),) * array.ndim].ravel()
    return sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample


def scale_to_unit(array: NDArray, limits: tuple[float, float] | None = None) -> NDArray[np.float32]:
    """Scale intensities to 0..1, clipped at `limits` (the `display_range` if not given)."""
    low, high = display_range(array) if limits is None else limits
    return np.clip((array.astype(np.float32) - low) / (high - low), 0, 1, dtype=np.float32)


def checkerboard(first: NDArray, second: NDArray, *, squares: int = _SQUARES) -> NDArray:
    """Alternate squares of two images of one shape, `squares` of them along the longest side.

    Raises ValueError for images of different shapes.
    """
    if first.shape != second.shape:
        raise ValueError(f"images of two shapes, {first.shape} and {second.shape}")
    side = max(1, round(max(first.shape) / squares))
    parity = sum(np.ix_(*(np.arange(size) // side for size in first.shape))) % 2
    return np.where(parity == 0, first, second)
