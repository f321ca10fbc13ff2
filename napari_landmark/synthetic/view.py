"""Mapping from millimetres of the hand to pixels of the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class View:
    """Mapping from millimetres to index coordinates: pixel = ``pixels_per_mm`` * mm + ``offset`` (y, x)."""

    shape: tuple[int, int]
    pixels_per_mm: float
    offset: tuple[float, float]

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Map points in mm, ``(n, 2)`` as (y, x), to index coordinates."""
        return np.asarray(points) * self.pixels_per_mm + np.asarray(self.offset)

    def grid(self, step: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions in mm of every ``step``-th row and column, up to the last one at least."""
        rows, columns = (np.arange(0, n + step - 1, step, dtype=np.float64) for n in self.shape)
        return (
            ((rows - self.offset[0]) / self.pixels_per_mm)[:, None],
            ((columns - self.offset[1]) / self.pixels_per_mm)[None, :],
        )

    def window(self, centre: tuple[float, float], reach: float) -> tuple[slice, slice]:
        """Return the part of the image within ``reach`` mm of a point, as two slices."""
        middle = self.to_pixels(np.array(centre))
        low = np.maximum(np.floor(middle - reach * self.pixels_per_mm), 0).astype(int)
        high = np.minimum(np.ceil(middle + reach * self.pixels_per_mm) + 1, self.shape).astype(int)
        high = np.maximum(high, low)
        return slice(low[0], high[0]), slice(low[1], high[1])
