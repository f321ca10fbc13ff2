"""Reproducible random numbers for the synthetic images."""

from __future__ import annotations

import numpy as np


class Draw:
    """Random numbers that are the same with every version of numpy.

    numpy promises a fixed stream only for its bit generators, not for the distributions made of them,
    so the few distributions needed here are computed from raw bits.
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def uniform(self, low: float, high: float) -> float:
        """Return one number from the interval."""
        return low + (high - low) * (int(self._bits.random_raw()) >> 11) * 2.0**-53

    def around(self, middle: float, deviation: float) -> float:
        """Return one number, bell-shaped around the middle and at most 3.5 deviations from it."""
        return middle + deviation * (sum(self.uniform(-1.0, 1.0) for _ in range(4)) * 0.75**0.5)

    def field(self, shape: tuple[int, int]) -> np.ndarray:
        """Return independent, nearly normal numbers of unit variance, shape ``(rows, columns)``."""
        raw = self._bits.random_raw(shape[0] * shape[1])
        total = sum(((raw >> np.uint64(16 * i)) & np.uint64(0xFFFF)).astype(np.float64) for i in range(4))
        return ((total / 65536.0 - 2.0 + 2.0 / 65536.0) * 3.0**0.5).reshape(shape)
