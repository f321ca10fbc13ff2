"""Two subjects in one image are told, and each is found in its own half."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.cohort.working_grid import fit_canvas_transform
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.detection.model.detection import Detection
from napari_landmark.detection.model.subjects import find_beside, find_in_halves

SCHEMA = LandmarkSchema(("dot",))
CANVAS = (64, 64)


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
    found = find_in_halves(picture(shape, *dots), CANVAS, detect)
    assert found.landmarks.image_state is ImageState.SEVERAL
    places = [tuple(marks["dot"].position) for marks in found.subjects]
    assert sorted(places) == sorted(tuple(map(float, dot)) for dot in dots)
    assert found.subjects[0] == found.landmarks
    best, other = (marks["dot"].expected_error for marks in found.subjects)
    assert best <= other


def test_the_pose_is_that_of_the_whole_image():
    """Drawn in it, the whole image shows what the half shows in its own pose."""
    image = picture((40, 90), (10, 70), (20, 15))
    found = find_in_halves(image, CANVAS, detect)
    left = found.landmarks["dot"].position[1] < 45
    whole = fit_canvas_transform(image.geometry, CANVAS, found.pose)
    half = fit_canvas_transform(Geometry((40, 45)), CANVAS)
    corners = np.array([[0.0, 0.0], [63.0, 40.0]])
    expected = half.to_native(corners) + np.array([0, 0 if left else 45])
    np.testing.assert_allclose(whole.to_native(corners), expected, atol=1e-9)


def test_the_heatmaps_move_with_the_half():
    found = find_in_halves(picture((40, 90), (10, 70), (20, 15)), CANVAS, detect)
    offset = 45 if found.landmarks["dot"].position[1] == 70 else 0
    assert found.heatmap_offset.tolist() == [0, offset]


def test_one_subject_is_not_two():
    assert find_in_halves(picture((40, 90), (10, 70)), CANVAS, detect) is None
    assert find_in_halves(picture((40, 90)), CANVAS, detect) is None


def test_volumes_are_left_alone():
    volume = MedicalImage(np.zeros((8, 8, 8), np.float32), Geometry((8, 8, 8)), "volume.nii")
    assert find_in_halves(volume, CANVAS, detect) is None


EDGE = np.array([0.5, 0.5])


def box(low, high):
    return np.array(low) - EDGE, np.array(high) - EDGE


def test_a_subject_beside_a_found_one():
    """A frame of 40 pixels in a wide picture; there is room for another one on the right only."""
    image = picture((40, 120), (10, 30), (20, 95))
    frame, content = box((0, 10), (40, 50)), box((0, 0), (40, 120))
    first = detect(picture((40, 120), (10, 30)))
    found = find_beside(image, first, frame=frame, content=content, canvas=CANVAS, detect=detect)
    assert found.landmarks.image_state is ImageState.SEVERAL
    assert [tuple(marks["dot"].position) for marks in found.subjects] == [(10.0, 30.0), (20.0, 95.0)]


@pytest.mark.parametrize(
    ("content", "dots"),
    [
        (((0, 0), (40, 120)), ((10, 30),)),  # nothing there
        (((0, 0), (40, 70)), ((10, 30), (20, 95))),  # in the uniform border
        (((10, 0), (30, 120)), ((10, 30), (20, 95))),  # too flat for a subject of this size
    ],
)
def test_nothing_beside_a_found_one(content, dots):
    image, first = picture((40, 120), *dots), detect(picture((40, 120), dots[0]))
    frame = box((0, 10), (40, 50))
    assert find_beside(image, first, frame=frame, content=box(*content), canvas=CANVAS, detect=detect) is None


def test_what_was_not_found_has_nothing_beside_it():
    image = picture((40, 120), (10, 30), (20, 95))
    nothing = detect(picture((40, 120), (1, 1), (2, 2)))
    frame, content = box((0, 10), (40, 50)), box((0, 0), (40, 120))
    assert find_beside(image, nothing, frame=frame, content=content, canvas=CANVAS, detect=detect) is None
