"""Local contrast of pictures, for display alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.images.display import display_range, scale_to_unit

_TILE = 1 / 8  # of the shorter side
_CLIP = 0.03  # share of a histogram that one intensity may have


def equalized(array: NDArray) -> NDArray[np.float32]:
    """Contrast-limited adaptive histogram equalization (Zuiderveld 1994) of a picture.

    Parameters
    ----------
    array : (rows, columns) array
        Intensities.

    Returns
    -------
    (rows, columns) array of float32
        In the display range of the picture, so that a window of one suits the other.
    """
    from skimage.exposure import equalize_adapthist

    low, high = display_range(array)
    tile = max(8, round(_TILE * min(array.shape)))
    unit = equalize_adapthist(scale_to_unit(array, (low, high)), kernel_size=tile, clip_limit=_CLIP)
    return (low + (high - low) * unit).astype(np.float32)
