"""Local contrast of pictures."""

from __future__ import annotations

import numpy as np

from napari_landmark.data.images.display import display_range
from napari_landmark.data.images.local_contrast import equalized


def test_faint_structures_get_contrast_and_the_range_stays():
    y, x = np.mgrid[:128, :128]
    image = (8 * x + 6 * ((y // 4) % 2)).astype(np.uint16)  # faint stripes on a strong ramp
    result = equalized(image)
    low, high = display_range(image)
    assert result.shape == image.shape
    assert result.min() >= low - 1e-3
    assert result.max() <= high + 1e-3
    stripes = lambda a: np.abs(np.diff(a.astype(float), axis=0)).max(axis=0).mean()  # noqa: E731
    assert stripes(result) > 2 * stripes(image)
