"""Members that are near to all others."""

from __future__ import annotations

import itertools

import numpy as np

from napari_landmark.detection.volumes.medoids import medoids


def _distances(points):
    points = np.asarray(points, float)
    return np.linalg.norm(points[:, None] - points, axis=-1)


def test_one_is_in_the_middle_of_all():
    assert medoids(_distances([[0], [1], [2], [3], [10]]), 1) == [2]


def test_each_group_has_one_and_the_largest_group_comes_first():
    groups = [[0.0], [0.1], [0.2], [5.0], [5.1], [5.2], [5.3], [5.4], [20.0]]
    assert medoids(_distances(groups), 3) == [5, 1, 8]


def test_no_exchange_of_one_is_nearer_to_all():
    distances = _distances(np.random.default_rng(0).normal(size=(12, 2)))
    found = medoids(distances, 3)
    cost = distances[:, found].min(1).mean()
    for place, other in itertools.product(range(3), range(12)):
        exchanged = [*found[:place], other, *found[place + 1 :]]
        assert distances[:, exchanged].min(1).mean() >= cost - 1e-9


def test_all_members_where_there_are_no_more():
    assert sorted(medoids(_distances([[0], [1]]), 5)) == [0, 1]
