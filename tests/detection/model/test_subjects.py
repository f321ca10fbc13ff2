"""Two subjects in one image are told, and each is found in its own half."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.detection.model.detection import Detection
from napari_landmark.detection.model.subjects import find_subjects

SCHEMA = LandmarkSchema(("dot",))


def detect(image):
    """Finds the brightest pixel; sure of it where there is one bright pixel."""
    bright = np.argwhere(image.array == image.array.max())
    state = ImageState.FOUND if len(bright) == 1 else ImageState.FOREIGN
    marks = LandmarkSet.from_array(SCHEMA, bright[:1], Status.PREDICTED, None, [1.0 + bright[0, 0]])
    judged = LandmarkSet(SCHEMA, marks.values(), image_state=state)
    return Detection(judged, None, np.eye(2), np.zeros(2), Pose.upright(2), 1.0)


def picture(shape, *dots):
    array = np.zeros(shape, np.float32)
    for dot in dots:
        array[dot] = 1
    return MedicalImage(array, Geometry(shape), "two.png")


@pytest.mark.parametrize(
    ("shape", "dots"), [((40, 90), ((10, 70), (20, 15))), ((90, 40), ((12, 10), (80, 30)))]
)
def test_each_subject_is_found_in_the_coordinates_of_the_image(shape, dots):
    found = find_subjects(picture(shape, *dots), detect)
    assert found.landmarks.image_state is ImageState.SEVERAL
    places = [tuple(marks["dot"].position) for marks in found.subjects]
    assert sorted(places) == sorted(tuple(map(float, dot)) for dot in dots)
    assert found.subjects[0] == found.landmarks
    best, other = (marks["dot"].expected_error for marks in found.subjects)
    assert best <= other


def test_the_heatmaps_move_with_the_half():
    found = find_subjects(picture((40, 90), (10, 70), (20, 15)), detect)
    offset = 45 if found.landmarks["dot"].position[1] == 70 else 0
    assert found.heatmap_offset.tolist() == [0, offset]


def test_one_subject_is_not_two():
    assert find_subjects(picture((40, 90), (10, 70)), detect) is None
    assert find_subjects(picture((40, 90)), detect) is None


def test_volumes_are_left_alone():
    volume = MedicalImage(np.zeros((8, 8, 8), np.float32), Geometry((8, 8, 8)), "volume.nii")
    assert find_subjects(volume, detect) is None
