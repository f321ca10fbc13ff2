from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_landmark.shape.outliers import find_shape_outliers

from .shapes import cohort


def test_nothing_is_odd_in_shapes_with_scatter_alone():
    found = find_shape_outliers(cohort(200, 15))
    assert not found.exchanges
    assert not found.mirrored.any()
    assert (found.deviations > found.limit).sum() == 0
    assert 1.1 < np.median(found.oddness) < 1.8


@pytest.mark.parametrize("axes", [2, 3])
@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_a_landmark_far_off_is_named_and_no_other(axes, seed):
    rng = np.random.default_rng(seed)
    positions = cohort(25, 12, axes, seed=seed)
    image, landmark = int(rng.integers(25)), int(rng.integers(12))
    size = np.linalg.norm(positions[image] - positions[image].mean(0))
    direction = rng.normal(size=axes)
    positions[image, landmark] += 0.3 * size * direction / np.linalg.norm(direction)
    found = find_shape_outliers(positions)
    assert found.order[0] == image
    assert found.worst[image] == landmark
    others = np.delete(found.deviations[image], landmark)
    assert others.max() < 9 < 20 < found.deviations[image, landmark]


@pytest.mark.parametrize("axes", [2, 3])
@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_exchanged_landmarks_are_first_and_named(axes, seed):
    rng = np.random.default_rng(seed)
    positions = cohort(25, 12, axes, seed=seed)
    image = int(rng.integers(25))
    first, second = sorted(rng.choice(12, 2, replace=False).tolist())
    size = np.linalg.norm(positions[image] - positions[image].mean(0))
    if np.linalg.norm(positions[image, first] - positions[image, second]) < 0.15 * size:
        return  # as near as that, the scatter could be the reason
    positions[image, [first, second]] = positions[image, [second, first]]
    found = find_shape_outliers(positions)
    assert found.order[0] == image
    assert [(pair.first, pair.second) for pair in found.exchanges[image]] == [(first, second)]
    assert set(found.exchanges) == {image}


def test_two_exchanged_pairs_of_one_image_are_both_named():
    positions = cohort(30, 14, seed=1)
    positions[7, [0, 5, 3, 9]] = positions[7, [5, 0, 9, 3]]
    found = find_shape_outliers(positions)
    assert {(pair.first, pair.second) for pair in found.exchanges[7]} == {(0, 5), (3, 9)}


def test_a_mirror_image_is_told():
    positions = cohort(20, 10)
    positions[4, :, 1] *= -1
    found = find_shape_outliers(positions)
    assert np.flatnonzero(found.mirrored).tolist() == [4]
    assert found.order[0] == 4
    assert 4 not in found.exchanges


def test_mirror_images_are_usual_where_reflections_are_wanted():
    positions = cohort(20, 10)
    positions[[4, 9], :, 1] *= -1
    positions[9, [2, 6]] = positions[9, [6, 2]]
    found = find_shape_outliers(positions, reflections=True)
    assert not found.mirrored.any()
    assert found.deviations[4].max() < found.limit
    assert {(pair.first, pair.second) for pair in found.exchanges[9]} == {(2, 6)}


def symmetric(count: int, seed: int = 0) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Frontal shapes: four pairs of left and right landmarks, and three in the midline."""
    rng = np.random.default_rng(seed)
    right = rng.uniform([0, 0.3], [3, 1.5], (4, 2))
    middle = np.stack([np.array([0.2, 1.5, 2.8]), np.zeros(3)], axis=1)
    shape = np.concatenate([right, right * (1, -1), middle])
    positions = 100 * shape + rng.normal(size=(count, 11, 2))
    return positions, [(k, k + 4) for k in range(4)]


def test_exchanged_sides_are_told_by_the_pairs():
    positions, pairs = symmetric(20)
    swap = [4, 5, 6, 7, 0, 1, 2, 3, 8, 9, 10]
    positions[11] = positions[11, swap]
    found = find_shape_outliers(positions, side_pairs=pairs)
    assert np.flatnonzero(found.sides_exchanged).tolist() == [11]
    assert found.order[0] == 11
    assert not found.mirrored.any()
    assert not found.exchanges


def test_a_single_pair_of_sides_is_an_exchange():
    positions, pairs = symmetric(20)
    positions[11, [2, 6]] = positions[11, [6, 2]]
    found = find_shape_outliers(positions, side_pairs=pairs)
    assert not found.sides_exchanged.any()
    assert [(pair.first, pair.second) for pair in found.exchanges[11]] == [(2, 6)]


def test_missing_landmarks_are_no_outliers():
    positions = cohort(40, 10)
    rng = np.random.default_rng(0)
    positions[rng.random((40, 10)) < 0.2] = np.nan
    positions[3, :8] = np.nan  # two are left
    positions[9, [1, 2]] = cohort(40, 10)[9, [2, 1]]
    found = find_shape_outliers(positions)
    assert np.isnan(found.oddness[3])
    assert found.order[0] == 9
    assert found.order[-1] == 3
    np.testing.assert_array_equal(
        np.isnan(np.delete(found.deviations, 3, 0)), np.isnan(np.delete(positions[..., 0], 3, 0))
    )
    assert set(found.exchanges) == {9}


@pytest.mark.parametrize("shape", [(4, 10, 2), (10, 3, 2), (0, 5, 2), (1, 1, 3)])
def test_of_too_few_nothing_is_said(shape):
    found = find_shape_outliers(np.random.default_rng(0).normal(size=shape))
    assert np.isnan(found.oddness).all()
    assert not found.exchanges
    assert len(found.order) == shape[0]


def test_coinciding_landmarks_do_no_harm():
    positions = cohort(12, 8)
    positions[5] = positions[5, :1]
    found = find_shape_outliers(positions)
    assert np.isfinite(np.delete(found.oddness, 5)).all()
    assert found.order[0] == 5


def test_every_exchanged_pair_of_the_wings_is_first(wings):
    rng = np.random.default_rng(0)
    for first, second in list(combinations(range(12), 2))[::4]:
        positions, image = wings.positions.copy(), int(rng.integers(len(wings)))
        positions[image, [first, second]] = positions[image, [second, first]]
        found = find_shape_outliers(positions)
        assert found.order[0] == image
        assert [(pair.first, pair.second) for pair in found.exchanges[image]] == [(first, second)]
        assert set(found.exchanges) == {image}
    assert not find_shape_outliers(wings.positions).exchanges
