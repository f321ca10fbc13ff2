"""Images of different resolution are reviewed in the order of their errors, not of their pixels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.gui.session.review_order import native_pixel_lengths, review_order

SIZES = {"good_and_large.png": 400, "poor.png": 100, "thumbnail.png": 25}
ERRORS = {"good_and_large.png": 8.0, "poor.png": 4.0, "thumbnail.png": 3.0}  # 2%, 4% and 12% of the image


@pytest.fixture
def cohort(tmp_path, preferences):
    noise = np.random.default_rng(0)
    for name, size in SIZES.items():
        Image.fromarray(noise.integers(0, 255, (size, size), dtype=np.uint8)).save(tmp_path / name)
    return Cohort.from_folder(tmp_path, working_size=128, cache_dir=preferences.cache)


def by_name(cohort):
    return dict(zip(cohort.names, native_pixel_lengths(cohort), strict=True))


def test_without_spacing_errors_are_compared_on_the_working_grid(cohort):
    lengths = by_name(cohort)
    assert lengths["poor.png"] == pytest.approx(4 * lengths["good_and_large.png"], rel=1e-6)
    assert review_order(ERRORS, lengths) == ["thumbnail.png", "poor.png", "good_and_large.png"]


def test_with_spacing_errors_are_compared_in_millimetres(tmp_path, cohort, preferences):
    cohort = Cohort.from_folder(tmp_path, working_size=128, cache_dir=preferences.cache, spacing=0.5)
    assert by_name(cohort) == dict.fromkeys(SIZES, 0.5)
    assert review_order(ERRORS, by_name(cohort)) == ["good_and_large.png", "poor.png", "thumbnail.png"]


def test_images_without_errors_come_last_and_keep_their_order():
    errors = {"a": -np.inf, "b": 1.0, "c": -np.inf}
    assert review_order(errors, dict.fromkeys("abc", 0.2)) == ["b", "a", "c"]
