"""Landmarks of a volume in three planes each."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.detection.training.plane_figures import doubtful_landmarks, landmark_planes

SCHEMA = LandmarkSchema(("a", "b", "c", "d"))
SHAPE, SPACING = (12, 40, 36), (3.0, 1.0, 1.0)


@pytest.fixture
def image():
    array = np.zeros(SHAPE, np.float32)
    array[4:6, 9:13, 19:23] = 100  # around (4.5, 10.5, 20.5)
    return MedicalImage(array, Geometry(SHAPE, SPACING, is_anatomical=True), "v.nii")


def found(positions, errors):
    return LandmarkSet.from_array(SCHEMA, positions, Status.PREDICTED, expected_error=errors)


def test_the_landmark_is_in_the_middle_of_each_plane(image):
    marks = found([(4.5, 10.5, 20.5), (np.nan,) * 3, (0.0, 0.0, 0.0), (11.0, 39.0, 35.0)], [1, 1, 1, 1])
    first, *others = landmark_planes(image, marks)
    assert list(first.pictures) == ["Axial", "Coronal", "Sagittal"]
    assert [row.name for row in (first, *others)] == ["a", "c", "d"]
    for picture in first.pictures.values():
        grey = picture.min(axis=-1)
        middle = grey.shape[0] // 2
        assert grey[middle - 3 : middle + 3, middle - 3 : middle + 3].min() > 200
        bright = np.argwhere(picture.min(axis=-1) > 128)
        assert np.abs(bright.mean(0) - (grey.shape[0] - 1) / 2).max() < 1.5
        assert grey[:20].max() == 0


def test_voxels_have_their_true_size(image):
    """The block is 4 mm along y and x, and two slices of 3 mm along z."""
    marks = found([(4.5, 10.5, 20.5)] * 4, [1, 1, 1, 1])
    coronal = landmark_planes(image, marks, ["a"])[0].pictures["Coronal"].min(axis=-1)
    rows, columns = (np.sum(coronal.max(axis=axis) > 128) for axis in (1, 0))
    assert rows / columns == pytest.approx(6 / 4, rel=0.1)


def test_the_most_doubtful_ones_are_chosen():
    marks = found([(1, 1, 1), (2, 2, 2), (3, 3, 3), (np.nan,) * 3], [0.5, 3.0, 1.0, 9.0])
    assert doubtful_landmarks(marks) == ["b", "c", "a"]
