"""Luminance of colour images, one definition for readers and viewer."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

REC_709 = (0.2125, 0.7154, 0.0721)
"""Weights of red, green and blue (ITU-R BT.709), those of `skimage.color.rgb2gray`."""


def luminance(colors: ArrayLike) -> NDArray:
    """Convert red, green and blue (and alpha, which is dropped) along the last axis to luminance.

    Parameters
    ----------
    colors : (..., 3 or more) array

    Returns
    -------
    (...) array
        Of the same type as `colors`; integers are rounded.
    """
    array = np.asarray(colors)
    weights = np.asarray(REC_709, np.float32 if array.dtype.itemsize <= 2 else np.float64)
    values = array[..., :3] @ weights
    return (np.rint(values) if array.dtype.kind in "iu" else values).astype(array.dtype)
