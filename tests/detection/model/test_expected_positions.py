"""Positions of all landmarks are told by the sure ones, inside of the image and outside of it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.detection.model.expected_positions import expected_positions

CANVAS = (200, 160)
TEMPLATE = np.random.default_rng(3).uniform(30, 130, (20, 2))


def turned(points, degrees=12.0, scale=1.3, shift=(40.0, -9.0)):
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * points @ rotation.T + shift


def seen(sure, positions, seed=0):
    """Found landmarks of which only some are right, with the ratios of their expected errors."""
    generator = np.random.default_rng(seed)
    wrong = generator.uniform(0, 160, positions.shape)
    mask = np.isin(np.arange(len(positions)), sure)
    return np.where(mask[:, None], positions, wrong), np.where(mask, 1.1, 9.0)


@pytest.mark.parametrize("sure", [(0, 5, 9), tuple(range(4, 12)), tuple(range(20))])
def test_a_part_of_the_landmarks_tells_where_all_are(sure):
    truth = turned(TEMPLATE)
    np.testing.assert_allclose(expected_positions(TEMPLATE, *seen(sure, truth), CANVAS), truth, atol=1.0)


def test_another_proportion_is_met_nearly():
    truth = turned(TEMPLATE) + np.random.default_rng(1).normal(0, 3, TEMPLATE.shape)
    told = expected_positions(TEMPLATE, *seen(range(8), truth), CANVAS)
    assert np.linalg.norm(told - truth, axis=1).max() < 15


def test_landmarks_of_another_shape_tell_nothing():
    """Of 200 images of something else, whose found landmarks lie anywhere, none is taken for the anatomy."""
    for seed in range(200):
        found, _ = seen((), TEMPLATE, seed)
        assert expected_positions(TEMPLATE, found, seen(range(3), TEMPLATE)[1], CANVAS) is None


def test_too_few_sure_ones_tell_nothing():
    truth = turned(TEMPLATE)
    assert expected_positions(TEMPLATE, *seen((0, 5), truth), CANVAS) is None
    many = np.random.default_rng(4).uniform(30, 130, (60, 2))
    assert expected_positions(many, *seen(range(5), turned(many)), CANVAS) is None
    assert expected_positions(many, *seen(range(6), turned(many)), CANVAS) is not None


def test_landmarks_without_a_position_are_left_out():
    truth = turned(TEMPLATE)
    template = TEMPLATE.copy()
    template[0] = np.nan
    found, ratios = seen(range(10), truth)
    found[1], ratios[1] = np.nan, np.nan
    told = expected_positions(template, found, ratios, CANVAS)
    assert np.isnan(told[0]).all()
    np.testing.assert_allclose(told[1:], truth[1:], atol=1.0)
