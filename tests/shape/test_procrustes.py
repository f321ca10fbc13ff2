from __future__ import annotations

import numpy as np
import pytest
import scipy.spatial
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.data.errors import InputError
from napari_landmark.shape.procrustes import (
    centroid_sizes,
    fit_to,
    generalized_procrustes,
    rotations,
)

from .shapes import cohort, poses


@pytest.mark.parametrize("axes", [2, 3])
@given(seed=st.integers(0, 2**32 - 1))
def test_copies_of_a_shape_in_any_pose_coincide(axes, seed):
    rng = np.random.default_rng(seed)
    shape = rng.normal(size=(7, axes))
    turns, scales, shifts = poses(5, axes, rng)
    found = generalized_procrustes(scales[:, None, None] * (shape @ turns) + shifts[:, None])
    assert np.abs(found.coordinates - found.mean).max() < 1e-9
    size = np.linalg.norm(shape - shape.mean(0))
    np.testing.assert_allclose(found.centroid_sizes, scales * size, rtol=1e-9)
    assert np.abs(found.distances).max() < 1e-8


@pytest.mark.parametrize("axes", [2, 3])
@given(seed=st.integers(0, 2**32 - 1))
def test_result_does_not_depend_on_poses_and_order(axes, seed):
    rng = np.random.default_rng(seed)
    positions = cohort(8, 6, axes, scatter=0.05, seed=seed % 1000)
    turns, scales, shifts = poses(8, axes, rng)
    order = rng.permutation(8)
    moved = (scales[:, None, None] * (positions @ turns) + shifts[:, None])[order]
    first, second = generalized_procrustes(positions), generalized_procrustes(moved)
    np.testing.assert_allclose(first.distances[order], second.distances, atol=1e-9)


def test_mean_is_the_minimum():
    """No other rotation of a configuration is closer to the mean, and the mean is that of all."""
    found = generalized_procrustes(cohort(scatter=0.05))
    mean = found.coordinates.mean(0)
    np.testing.assert_allclose(mean / np.linalg.norm(mean), found.mean, atol=1e-11)
    for degrees in (-1, 1):
        angle = np.radians(degrees)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        turned = np.linalg.norm(found.coordinates @ turn - found.mean, axis=(1, 2))
        assert (turned > found.distances).all()


def test_upright_images_give_an_upright_mean():
    rng = np.random.default_rng(1)
    shape = rng.normal(size=(9, 2)) * (100, 20) + 300
    found = generalized_procrustes(shape + rng.normal(size=(12, 9, 2)))
    centred = shape - shape.mean(0)
    np.testing.assert_allclose(found.mean, centred / np.linalg.norm(centred), atol=0.01)


@pytest.mark.parametrize("axes", [2, 3])
def test_mirror_images_stay_mirror_images_unless_reflections_are_wanted(axes):
    positions = cohort(10, 8, axes, scatter=0.005)
    positions[3, :, 0] *= -1
    apart = generalized_procrustes(positions).distances
    assert apart.argmax() == 3
    assert apart[3] > 5 * np.median(apart)
    together = generalized_procrustes(positions, reflections=True).distances
    assert together[3] < 3 * np.median(together)


def test_distances_are_relative_to_size():
    """Scatter of the same share of the size gives the same distances at any size."""
    positions = cohort()
    a, b = generalized_procrustes(positions), generalized_procrustes(positions * 1000)
    np.testing.assert_allclose(a.distances, b.distances, rtol=1e-9)
    np.testing.assert_allclose(1000 * a.centroid_sizes, b.centroid_sizes, rtol=1e-9)


def test_centroid_size_of_a_square():
    assert centroid_sizes([[[0, 0], [0, 2], [2, 0], [2, 2]]])[0] == pytest.approx(np.sqrt(8))


def test_tangent_coordinates_are_orthogonal_to_the_mean():
    found = generalized_procrustes(cohort(scatter=0.05))
    differences = found.tangent_coordinates - found.mean
    np.testing.assert_allclose((differences * found.mean).sum((1, 2)), 0, atol=1e-12)


@pytest.mark.parametrize("axes", [2, 3])
def test_fit_follows_the_weights(axes):
    rng = np.random.default_rng(2)
    target = rng.normal(size=(6, axes))
    turns, scales, shifts = poses(4, axes, rng)
    positions = scales[:, None, None] * (target @ turns) + shifts[:, None]
    positions[:, 0] += 1e4
    weights = np.ones((4, 6))
    weights[:, 0] = 0
    np.testing.assert_allclose(
        fit_to(target, positions, weights)[:, 1:], np.tile(target[1:], (4, 1, 1)), atol=1e-8
    )


@given(seed=st.integers(0, 2**32 - 1))
def test_rotation_in_the_plane_is_that_of_the_decomposition(seed):
    rng = np.random.default_rng(seed)
    shapes, target = rng.normal(size=(3, 5, 2)), rng.normal(size=(5, 2))
    found = rotations(shapes, target)
    u, _, vt = np.linalg.svd(np.swapaxes(shapes, 1, 2) @ target)
    u[..., -1] *= np.sign(np.linalg.det(u) * np.linalg.det(vt))[:, None]
    np.testing.assert_allclose(found, u @ vt, atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(found), 1)


@pytest.mark.parametrize(
    ("positions", "words"),
    [
        (np.zeros((1, 5, 2)), "two or more"),
        (np.ones((3, 5, 2)), "configuration 1: all of its landmarks are at one position"),
        (np.zeros((3, 2, 2)), "3 or more"),
    ],
)
def test_what_is_no_shape_is_refused(positions, words):
    with pytest.raises(InputError, match=words):
        generalized_procrustes(positions)


@pytest.mark.parametrize("axes", [2, 3])
@given(seed=st.integers(0, 2**32 - 1))
def test_disparity_of_two_shapes_is_that_of_scipy(axes, seed):
    """scipy reflects where that is closer, and scales one shape to the other: its disparity is sin^2 of the angle
    between both, where a superimposition at unit size leaves the chord of that angle."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(8, axes))
    second = first + rng.normal(scale=0.2, size=(8, axes))
    turns, scales, shifts = poses(2, axes, rng)
    pair = scales[:, None, None] * (np.stack([first, second]) @ turns) + shifts[:, None]
    found = generalized_procrustes(pair, reflections=True).coordinates
    unit = found / np.linalg.norm(found, axis=(1, 2), keepdims=True)
    cosine = (unit[0] * unit[1]).sum()
    *_, disparity = scipy.spatial.procrustes(*pair)
    assert 1 - cosine**2 == pytest.approx(disparity, abs=1e-9)


def test_wings_agree_with_morphops(wings):
    """morphops rotates each configuration to the mean of the others at last: its own rotation to the mean of all of
    them, repeated until nothing changes, is the same to 1e-9, and the sum of squares is no larger."""
    morphops = pytest.importorskip("morphops")
    found = generalized_procrustes(wings.positions)
    theirs = morphops.gpa(wings.positions, tol=1e-18, max_iters=50, no_reflect=True, unitize_mean=True)
    np.testing.assert_allclose(1 / theirs["b"], found.centroid_sizes, rtol=1e-12)
    turn = rotations(theirs["mean"][None], found.mean)[0]
    np.testing.assert_allclose(theirs["mean"] @ turn, found.mean, atol=1e-8)
    aligned = theirs["aligned"]
    for _ in range(50):
        mean = aligned.mean(0) / np.linalg.norm(aligned.mean(0))
        aligned = morphops.rotate(aligned, mean, no_reflect=True)["aligned"]
    turn = rotations(mean[None], found.mean)[0]
    np.testing.assert_allclose(mean @ turn, found.mean, atol=1e-9)
    np.testing.assert_allclose(aligned @ turn, found.coordinates, atol=1e-9)
    spread = ((found.coordinates - found.coordinates.mean(0)) ** 2).sum()
    assert spread <= ((theirs["aligned"] - theirs["aligned"].mean(0)) ** 2).sum() + 1e-12
