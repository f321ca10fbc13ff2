from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.cohort.content_box import content_box


def picture(shape: tuple[int, ...] = (100, 80)) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.2, 0.8, shape).astype(np.float32)


class TestContentBox:
    @pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
    def test_letterbox(self, grey):
        image = picture()
        image[:20] = grey
        image[85:] = grey + np.random.default_rng(1).uniform(-0.01, 0.01, (15, 80))  # as JPEG leaves it
        low, high = content_box(image)
        assert low.tolist() == [20, 0]
        assert high.tolist() == [85, 80]

    def test_nested_frames(self):
        image = picture()
        inner = image[30:70, 25:60].copy()
        image[:] = 0
        image[10:90, 10:70] = 1
        image[12:88, 12:68] = 0.3
        image[30:70, 25:60] = inner
        low, high = content_box(image)
        assert (low.tolist(), high.tolist()) == ([30, 25], [70, 60])

    def test_volume(self):
        image = np.zeros((20, 20, 20), np.float32)
        image[5:15, 2:18, 4:12] = picture((10, 16, 8))
        low, high = content_box(image)
        assert (low.tolist(), high.tolist()) == ([5, 2, 4], [15, 18, 12])

    def test_little_or_nothing_to_cut(self):
        assert content_box(picture()) is None
        thin = picture()
        thin[:5] = 0
        assert content_box(thin) is None
        assert content_box(np.full((50, 50), 0.5, np.float32)) is None
        spot = np.zeros((100, 100), np.float32)
        spot[50:53, 50:53] = picture((3, 3))
        assert content_box(spot) is None
