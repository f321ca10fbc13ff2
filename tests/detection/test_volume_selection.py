"""Volumes whose shapes represent those of a cohort, from the unlabelled volumes alone."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.detection import volume_selection
from napari_landmark.detection.template_selection import suggest
from napari_landmark.progress import CancelToken

pytestmark = pytest.mark.usefixtures("quick_alignment")


def _write(path, array, spacing=(0.5, 0.5, 0.5)):
    image = sitk.GetImageFromArray((1000 * array).astype(np.int16))
    if spacing:
        image.SetSpacing(spacing)
    sitk.WriteImage(image, str(path))


@pytest.fixture
def cohort(tmp_path, ball_body):
    """Five volumes in different poses: three of one shape, two of another; and one of noise."""
    for number, bend in enumerate((0.0, 0.1, -0.1, 3.0, 3.1)):
        _write(tmp_path / f"{number}.nii.gz", ball_body.draw(rotation=number, bend=bend).array)
    _write(tmp_path / "noise.nii.gz", np.random.default_rng(9).uniform(0, 1, (56, 56, 56)))
    return Cohort.from_folder(tmp_path, cache_dir=tmp_path / "cache")


def test_each_shape_is_represented_the_most_frequent_one_first(cohort):
    first, second = (found.image for found in suggest(cohort, count=2))
    assert first in ("0.nii.gz", "1.nii.gz", "2.nii.gz")
    assert second in ("3.nii.gz", "4.nii.gz")


def test_what_resembles_the_others_in_no_pose_is_no_candidate(cohort):
    found = suggest(cohort, count=9)
    assert {one.image for one in found} == {f"{number}.nii.gz" for number in range(5)}
    assert all(0 < one.score < 1 for one in found)


def test_a_large_cohort_is_sampled(cohort, monkeypatch):
    monkeypatch.setattr(volume_selection, "_VOLUMES", 4)
    assert len(suggest(cohort, count=9)) <= 4


def test_cancelled_before_anything_was_aligned(cohort):
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(InputError, match="stopped"):
        suggest(cohort, cancel=cancel)


def test_out_of_time_those_that_were_aligned_are_compared(cohort, monkeypatch):
    clock = iter(range(0, 10_000, 5))  # seconds: seven volumes a minute or so
    monkeypatch.setattr(volume_selection.time, "monotonic", lambda: float(next(clock)))
    assert 0 < len(suggest(cohort, count=9, minutes=0.75)) < 5
