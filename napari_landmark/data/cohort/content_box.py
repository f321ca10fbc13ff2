"""Part of an image inside its uniform borders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_UNIFORM = 0.03  # largest difference of intensities (0..1) in a line of a border: noise of JPEG
_ROUNDS = 6  # of nested frames
_SMALLEST_CUT = 0.1  # of a side; less changes nothing that the networks notice
_SMALLEST_CONTENT = 0.1  # of a side; a smaller object is not the whole content of an image


def content_box(working: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Find the part of an image without uniform borders, such as those of letterboxes, frames and collimation.

    Lines of one intensity are cut from all sides, again until no side has any: frames may be nested.

    Parameters
    ----------
    working : array
        Intensities 0..1.

    Returns
    -------
    low, high : (d,) arrays of int
        First index inside along each axis, and the first beyond; None where there is little or nothing to cut.
    """
    working = working.astype(np.float16)  # as in a cohort's cache, so that both have the same box
    shape = np.array(working.shape)
    low, high = np.zeros_like(shape), shape.copy()
    for _ in range(_ROUNDS):
        before = low.copy(), high.copy()
        for axis in range(working.ndim):
            part = working[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
            lines = np.moveaxis(part, axis, 0)
            first, last = _first_varied(lines), _first_varied(lines[::-1])
            if first is None or last is None:
                return None
            low[axis], high[axis] = low[axis] + first, high[axis] - last
        if (low == before[0]).all() and (high == before[1]).all():
            break
    share = (high - low) / shape
    if share.min() > 1 - _SMALLEST_CUT or share.min() < _SMALLEST_CONTENT:
        return None
    return low, high


def _first_varied(lines: NDArray[np.floating]) -> int | None:
    """Number of the first line that is not of one intensity."""
    return next((k for k, line in enumerate(lines) if line.max() - line.min() > _UNIFORM), None)
