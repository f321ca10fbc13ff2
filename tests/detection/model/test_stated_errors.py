"""Stated errors: scaled, turned into the image, kept in files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_landmark.data.error_covariance import mean_radial_error, principal_axes
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.detection.model.stated_errors import StatedErrors

SCHEMA = LandmarkSchema(("a", "b", "c"))
ALONG = np.diag([1.0, 25.0])  # long along the columns
ERRORS = StatedErrors(np.array([2.0, 0.5, np.nan]), np.stack([ALONG, np.eye(2), np.full((2, 2), np.nan)]))


def predicted():
    return LandmarkSet(
        SCHEMA,
        [Landmark(name, (k, k), Status.PREDICTED, 0.5, 3.0) for k, name in enumerate(SCHEMA.names)],
    )


def test_errors_are_scaled_and_covariances_agree_with_them():
    stated = ERRORS.state(predicted(), 1.5 * np.eye(2), range(3))
    assert stated.expected_errors() == pytest.approx([6, 1.5, 3])
    assert mean_radial_error(stated.covariances())[:2] == pytest.approx([6, 1.5])
    assert stated["c"] == predicted()["c"]  # nothing was measured
    assert np.array_equal(stated.positions(), predicted().positions())


def test_a_turned_image_turns_the_ellipse():
    turn = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    covariance = np.array(ERRORS.state(predicted(), 2 * turn, range(3))["a"].covariance)
    deviations, axes = principal_axes(covariance)
    assert deviations[1] / deviations[0] == pytest.approx(5)
    assert abs(axes[:, 1] @ turn[:, 1]) == pytest.approx(1)


def test_names_exchanged_in_a_mirror_image_take_their_errors_along():
    stated = ERRORS.state(predicted(), np.eye(2), [1, 0, 2])
    assert stated.expected_errors()[:2] == pytest.approx([1.5, 6])


def test_a_missing_landmark_states_nothing():
    marks = predicted().with_landmark(Landmark("a", None, Status.PREDICTED_MISSING, 0.9))
    assert ERRORS.state(marks, np.eye(2), range(3))["a"] == marks["a"]


def test_models_of_earlier_versions_predict_what_they_did():
    assert StatedErrors.from_json(ERRORS.to_json(), 3, 2).shares is None
    newer = StatedErrors(ERRORS.factors, ERRORS.covariances, np.array([0.5, 1.0, np.nan]))
    again = StatedErrors.from_json(json.loads(json.dumps(newer.to_json())), 3, 2)
    assert np.array_equal(again.shares, newer.shares, equal_nan=True)


@pytest.mark.parametrize("shares", [[0.5, 1.0], [0.0, 1.0, 1.0], [2.0, 1.0, 1.0]])
def test_shares_that_cannot_be(shares):
    with pytest.raises(ValueError, match="stated errors"):
        StatedErrors.from_json({**ERRORS.to_json(), "shares": shares}, 3, 2)


def test_kept_in_a_file():
    again = StatedErrors.from_json(json.loads(json.dumps(ERRORS.to_json())), 3, 2)
    assert np.array_equal(again.factors, ERRORS.factors, equal_nan=True)
    assert np.array_equal(again.covariances, ERRORS.covariances, equal_nan=True)


@pytest.mark.parametrize(
    "values",
    [
        None,
        {},
        {"factors": [1, 2], "covariances": [None, None]},
        {"factors": [1, 2, -3], "covariances": [np.eye(2).tolist()] * 3},
        {"factors": [1, 2, 3], "covariances": [np.eye(2).tolist()] * 2 + [[[1, 2], [2, 1]]]},
        {"factors": [1, 2, 3], "covariances": [np.eye(2).tolist()] * 2 + [None]},
        {"factors": [1, 2, 3], "covariances": [np.eye(3).tolist()] * 3},
    ],
)
def test_anything_else_in_a_file(values):
    with pytest.raises((TypeError, LookupError, ValueError)):
        StatedErrors.from_json(values, 3, 2)
