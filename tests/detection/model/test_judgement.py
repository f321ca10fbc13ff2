"""States of images and missing landmarks, by expected errors against the usual ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_landmark.data.image_state import ImageState
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.detection.model.judgement import UsualErrors, border_distance, judge, missing_probability

SCHEMA = LandmarkSchema(tuple("abcdefgh"))
SHAPE = (200, 100)
USUAL = UsualErrors(np.full(8, 4.0))
INNER = np.column_stack([np.linspace(60, 140, 8), np.full(8, 50.0)])


UNCERTAINTY = np.full(30, 0.02)


def judged(ratios, positions=INNER, scale=0.5, expected=None):
    errors = np.asarray(ratios, float) * 4.0 * scale
    marks = LandmarkSet.from_array(SCHEMA, positions, Status.PREDICTED, np.full(8, 0.5), errors)
    return judge(marks, USUAL, shape=SHAPE, scale=scale, expected=expected)


@pytest.mark.parametrize(
    ("ratio", "state"),
    [(1.0, ImageState.FOUND), (1.8, ImageState.FOUND), (2.5, ImageState.DOUBTFUL), (8.0, ImageState.FOREIGN)],
)
@pytest.mark.parametrize("scale", [0.1, 4.0])
def test_the_state_does_not_depend_on_the_resolution(ratio, state, scale):
    found = judged(np.full(8, ratio), scale=scale)
    assert found.image_state is state
    assert np.array_equal(found.positions(), INNER)


def test_landmarks_that_were_cut_off_are_missing_and_the_others_found():
    ratios, positions = np.ones(8), INNER.copy()
    ratios[:3], positions[:3] = 11.0, (0.0, 50.0)
    found = judged(ratios, positions)
    assert [mark.status for mark in found.values()] == [Status.PREDICTED_MISSING] * 3 + [Status.PREDICTED] * 5
    assert all(0.5 < found[name].confidence <= 1 for name in "abc")
    assert found.image_state is ImageState.FOUND
    assert np.array_equal(found.positions()[3:], positions[3:])


def test_half_of_the_landmarks_found_is_a_doubtful_image_and_no_foreign_one():
    found = judged(np.repeat([1.4, 4.7], 4))
    assert found.image_state is ImageState.DOUBTFUL
    assert all(mark.status is Status.PREDICTED for mark in found.values())  # in the middle nothing is cut off


def test_in_a_foreign_image_nothing_is_missing():
    found = judged(np.full(8, 11.0), np.tile((0.0, 50.0), (8, 1)))
    assert found.image_state is ImageState.FOREIGN
    assert all(mark.status is Status.PREDICTED for mark in found.values())


def test_landmarks_that_no_template_shows_do_not_count():
    errors, positions = np.full(8, 2.0), INNER.copy()
    errors[0] = positions[0] = np.nan
    usual = UsualErrors(np.array([np.nan] + [4.0] * 7))
    marks = LandmarkSet.from_array(SCHEMA, positions, Status.PREDICTED, None, errors)
    found = judge(marks, usual, shape=SHAPE, scale=0.5)
    assert found.image_state is ImageState.FOUND
    assert found["a"].status is Status.UNPLACED
    nothing = judge(LandmarkSet(SCHEMA), usual, shape=SHAPE, scale=0.5)
    assert nothing.image_state is None


def test_the_probability_grows_with_the_error_and_towards_the_border():
    ratios = np.linspace(0.1, 12, 30)
    rising = missing_probability(ratios, np.full(30, 0.01), uncertainty=UNCERTAINTY)
    assert (np.diff(rising) > 0).all()
    assert rising[0] < 0.01
    assert rising[-1] > 0.9
    falling = missing_probability(np.full(30, 8.0), np.linspace(0, 0.5, 30), uncertainty=UNCERTAINTY)
    assert (np.diff(falling) < 0).all()
    unknown = np.array([np.nan])
    assert missing_probability(unknown, unknown, uncertainty=unknown) == 0


def test_the_probability_falls_with_the_margin_of_the_expected_position():
    margins = np.linspace(-0.09, 0.09, 30)
    falling = missing_probability(
        np.full(30, 3.0), np.full(30, 0.05), uncertainty=UNCERTAINTY, margins=margins
    )
    assert (np.diff(falling) < 0).all()
    assert falling[0] > 0.5 > falling[-1]
    known = missing_probability(np.full(30, 3.0), np.full(30, 0.05), uncertainty=UNCERTAINTY)
    unknown = np.full(30, np.nan)
    np.testing.assert_array_equal(
        missing_probability(np.full(30, 3.0), np.full(30, 0.05), uncertainty=UNCERTAINTY, margins=unknown),
        known,
    )


def test_a_sure_landmark_on_the_border_itself_was_held_back_by_it():
    positions = INNER.copy()
    positions[0], positions[1] = (80.0, 0.0), (80.0, 2.0)
    found = judged(np.full(8, 1.2), positions)
    assert [mark.status for mark in found.values()][:2] == [Status.PREDICTED_MISSING, Status.PREDICTED]


def outside(count, shift=-30.0):
    """Expected positions of which the first ones are above the image."""
    expected = INNER.copy()
    expected[:count, 0] = shift
    return expected


def test_a_small_part_of_the_anatomy_is_found_where_the_others_are_outside():
    ratios = np.array([11.0] * 5 + [1.1] * 3)
    assert judged(ratios).image_state.is_flagged
    found = judged(ratios, expected=outside(5))
    assert found.image_state is ImageState.FOUND
    assert [mark.status for mark in found.values()] == [Status.PREDICTED_MISSING] * 5 + [Status.PREDICTED] * 3


def test_many_missing_ones_that_are_expected_inside_make_the_image_doubtful():
    positions = INNER.copy()
    positions[:3] = (0.0, 50.0)
    ratios = np.array([11.0] * 3 + [1.1] * 5)
    assert judged(ratios, positions, expected=outside(3)).image_state is ImageState.FOUND
    assert judged(ratios, positions, expected=INNER).image_state is ImageState.DOUBTFUL


def test_distance_from_the_border():
    points = np.array([(0, 50), (199, 50), (-20, 50), (100, 50), (20, 20), (np.nan, np.nan)])
    found = border_distance(points, SHAPE)
    assert found[:5] == pytest.approx([0, 0, 0, 49 / 200, 0.1])
    assert math.isnan(found[5])


def test_usual_errors_are_medians_over_the_images():
    errors = np.array([(1.0, 2.0, np.nan), (3.0, 2.0, np.nan), (100.0, 50.0, np.nan)])
    usual = UsualErrors.of(errors)
    assert usual.landmarks[:2].tolist() == [3.0, 2.0]
    assert math.isnan(usual.landmarks[2])
    again = UsualErrors.from_json(usual.to_json(), 3)
    np.testing.assert_array_equal(again.landmarks, usual.landmarks)
    assert UsualErrors.of(np.empty((0, 3))) is None
    assert UsualErrors.of(np.full((2, 3), np.nan)) is None


@pytest.mark.parametrize("values", [[1.0], [1.0, -1.0], [None, None], [1.0, float("inf")], "ab", 3, [0, 1]])
def test_damaged_usual_errors_are_refused(values):
    with pytest.raises((ValueError, TypeError)):
        UsualErrors.from_json(values, 2)
