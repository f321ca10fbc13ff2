from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.shape.components import principal_components
from napari_landmark.shape.procrustes import generalized_procrustes, rotations

from .shapes import cohort, poses


def test_a_single_way_of_variation_is_found():
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(8, 2))
    mean -= mean.mean(0)
    mean /= np.linalg.norm(mean)
    direction = rng.normal(size=(8, 2))
    amounts = rng.normal(size=40)
    turns, scales, shifts = poses(40, 2, rng)
    positions = scales[:, None, None] * ((mean + 0.02 * amounts[:, None, None] * direction) @ turns)
    found = principal_components(generalized_procrustes(positions + shifts[:, None]))
    assert found.shares[0] > 0.99
    assert abs(np.corrcoef(found.scores[:, 0], amounts)[0, 1]) > 0.999


@pytest.mark.parametrize(("count", "axes", "expected"), [(30, 2, 2 * 6 - 4), (30, 3, 3 * 6 - 7), (5, 3, 4)])
def test_there_are_as_many_components_as_shapes_can_vary_in(count, axes, expected):
    found = principal_components(generalized_procrustes(cohort(count, 6, axes, scatter=0.03)))
    assert len(found.variances) == expected
    np.testing.assert_allclose(found.scores.var(axis=0, ddof=1), found.variances, rtol=1e-9)
    assert found.shares.sum() == pytest.approx(1)


def test_shapes_are_rebuilt_from_their_scores():
    shapes = generalized_procrustes(cohort(12, 7, 3, scatter=0.05))
    found = principal_components(shapes)
    rebuilt = found.mean + np.einsum("nc,ckd->nkd", found.scores, found.directions)
    np.testing.assert_allclose(rebuilt, shapes.tangent_coordinates, atol=1e-9)
    at_two = found.shape_at(0, 2.0) - found.mean
    assert np.linalg.norm(at_two) == pytest.approx(2 * np.sqrt(found.variances[0]))


def test_equal_shapes_have_no_variance():
    positions = np.tile(np.random.default_rng(0).normal(size=(5, 2)), (4, 1, 1))
    found = principal_components(generalized_procrustes(positions))
    assert found.shares.tolist() == [0.0] or found.variances.max() < 1e-24


def test_wings_agree_with_the_projection_of_morphops(wings):
    """Scores of the tangent coordinates that morphops makes of its own superimposition, brought to the minimum."""
    morphops = pytest.importorskip("morphops")
    found = principal_components(generalized_procrustes(wings.positions))
    aligned = morphops.gpa(wings.positions, tol=1e-18, max_iters=50, no_reflect=True)["aligned"]
    for _ in range(50):
        mean = aligned.mean(0) / np.linalg.norm(aligned.mean(0))
        aligned = morphops.rotate(aligned, mean, no_reflect=True)["aligned"]
    aligned = aligned @ rotations(mean[None], generalized_procrustes(wings.positions).mean)[0]
    flat, middle = aligned.reshape(len(aligned), -1), aligned.mean(0).reshape(1, -1)
    tangent = flat @ (np.eye(middle.size) - middle.T @ middle / (middle @ middle.T))
    values, vectors = np.linalg.eigh(np.cov(tangent.T))
    values, vectors = values[::-1], vectors[:, ::-1]
    np.testing.assert_allclose(values[: len(found.variances)], found.variances, atol=1e-9)
    scores = (tangent - tangent.mean(0)) @ vectors[:, :20]
    signs = np.sign((scores * found.scores).sum(0))
    np.testing.assert_allclose(scores * signs, found.scores, atol=1e-9)
