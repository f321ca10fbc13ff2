"""Volumes whose shapes represent those of a cohort, from the unlabelled volumes alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError, UnknownSpacingError
from napari_landmark.detection import volume_selection
from napari_landmark.detection.template_selection import suggest
from napari_landmark.progress import CancelToken

pytestmark = pytest.mark.usefixtures("quick_alignment")


def _write(path, array, spacing=(0.5, 0.5, 0.5)):
    image = sitk.GetImageFromArray((1000 * array).astype(np.int16))
    if spacing:
        image.SetSpacing(spacing)
    sitk.WriteImage(image, str(path))


def _cohort(folder, ball_body, bends, noise=False):
    """Volumes in different poses, bent by so much; and one of noise."""
    for number, bend in enumerate(bends):
        _write(folder / f"{number}.nii.gz", ball_body.draw(rotation=number, bend=bend).array)
    if noise:
        _write(folder / "noise.nii.gz", np.random.default_rng(9).uniform(0, 1, (56, 56, 56)))
    return Cohort.from_folder(folder, cache_dir=folder / "cache")


def test_each_shape_is_represented_the_most_frequent_one_first(tmp_path, ball_body):
    cohort = _cohort(tmp_path, ball_body, (0.0, 3.0, 0.1, -0.1, 3.1))
    first, second = (found.image for found in suggest(cohort, count=2))
    assert first in ("0.nii.gz", "2.nii.gz", "3.nii.gz")
    assert second in ("1.nii.gz", "4.nii.gz")


def test_what_resembles_the_others_in_no_pose_is_no_candidate(tmp_path, ball_body):
    found = suggest(_cohort(tmp_path, ball_body, (0.0, 0.1), noise=True), count=9)
    assert {one.image for one in found} == {"0.nii.gz", "1.nii.gz"}
    assert all(0 < one.score < 1 for one in found)


def test_a_large_cohort_is_sampled(tmp_path, ball_body, monkeypatch):
    monkeypatch.setattr(volume_selection, "_VOLUMES", 2)
    assert len(suggest(_cohort(tmp_path, ball_body, (0.0, 0.1, 0.2)), count=9)) == 2


def test_out_of_time_few_are_compared(tmp_path, ball_body, monkeypatch):
    monkeypatch.setattr(volume_selection, "_LEAST_ALIGNED", 1)
    assert len(suggest(_cohort(tmp_path, ball_body, (0.0, 0.1, 0.2)), count=9, minutes=1e-6)) == 2


def test_cancelled_before_anything_was_aligned(tmp_path, ball_body):
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(InputError, match="stopped"):
        suggest(_cohort(tmp_path, ball_body, (0.0, 0.1)), cancel=cancel)


def test_volumes_of_unknown_scale_beside_others(tmp_path, ball_body):
    cohort = _cohort(tmp_path, ball_body, (0.0, 0.1))
    geometries = [cohort.geometry(0), replace(cohort.geometry(1), spacing=None)]
    with pytest.raises(UnknownSpacingError, match="spacing is not known"):
        suggest(_WithGeometries(cohort, geometries))


class _WithGeometries:
    """A cohort with other geometries."""

    def __init__(self, cohort, geometries):
        self._cohort, self.geometry = cohort, geometries.__getitem__

    def __getattr__(self, name):
        return getattr(self._cohort, name)

    def __len__(self):
        return len(self._cohort)
