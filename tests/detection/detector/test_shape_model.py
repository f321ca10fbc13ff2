"""Gross errors are found and clean shapes are left as they are."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.detection.detector.shape_model import align, fit_shape_model, shape_distances

LIMIT = 4.0


def shapes(count=60, landmarks=12, dims=2, *, seed=0, noise=1.0):
    """Shapes with three ways to vary, in any pose, on a canvas of some 400 pixels."""
    rng = np.random.default_rng(seed)
    mean = rng.random((landmarks, dims)) * 250 + 60
    modes = rng.normal(size=(3, landmarks, dims)) * 4
    free = mean + np.einsum("bm,mnd->bnd", rng.normal(size=(count, 3)), modes)
    free += rng.normal(size=free.shape) * noise
    posed = []
    for shape in free:
        turn = np.eye(dims)
        angle = rng.uniform(-0.3, 0.3)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        posed.append((shape - 180) @ turn.T * rng.uniform(0.85, 1.15) + 180 + rng.normal(size=dims) * 10)
    return np.array(posed)


def spoil(positions, share, *, seed=1, distance=60.0):
    rng = np.random.default_rng(seed)
    bad = rng.random(positions.shape[:2]) < share
    direction = rng.normal(size=positions.shape)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    return np.where(bad[..., None], positions + distance * direction, positions), bad


@pytest.mark.parametrize("dims", [2, 3])
class TestJudge:
    def test_gross_errors_are_found(self, dims):
        clean = shapes(dims=dims)
        positions, bad = spoil(clean, 0.06)
        model = fit_shape_model(positions, np.ones(positions.shape[:2]))
        deviation, expected = model.judge(positions)
        assert (deviation[bad] > LIMIT).mean() > 0.95
        assert np.median(np.linalg.norm(expected - clean, axis=-1)[bad]) < 6  # where they should be
        assert (deviation[~bad] > LIMIT).mean() < 0.08

    def test_clean_shapes_are_left_alone(self, dims):
        positions = shapes(dims=dims)
        model = fit_shape_model(positions, np.ones(positions.shape[:2]))
        deviation, _ = model.judge(positions)
        assert (deviation > LIMIT).mean() < 0.03

    def test_an_error_does_not_blame_its_neighbours(self, dims):
        clean = shapes(dims=dims)
        model = fit_shape_model(clean, np.ones(clean.shape[:2]))
        other = shapes(5, dims=dims, seed=0)[:5]
        other[:, 3] += 80
        deviation, _ = model.judge(other)
        assert (deviation.argmax(1) == 3).all()
        assert (np.delete(deviation, 3, axis=1) < 0.5 * deviation[:, 3:4]).all()

    def test_the_scale_is_a_standard_deviation_along_an_axis(self, dims):
        positions = shapes(2000, dims=dims, noise=3.0)
        model = fit_shape_model(positions, np.ones(positions.shape[:2]))
        residuals = model.predict(positions) - positions
        deviation = np.median(np.abs(residuals), axis=(0, 2)) / 0.6745
        np.testing.assert_allclose(model.scale, deviation * {2: 1.0, 3: 1.078}[dims], rtol=0.08)

    def test_known_errors_do_not_spoil_the_model(self, dims):
        def error(weight):
            """Distance of predictions from the truth, for a model told that much of the wrong positions."""
            distances = []
            for seed in range(4):
                clean = shapes(dims=dims, seed=seed)
                positions, bad = spoil(clean, 0.25)
                weights = np.where(bad, weight, 1.0)
                predicted = fit_shape_model(positions, weights).predict(positions, weights)
                distances.append(np.median(np.linalg.norm(predicted - clean, axis=-1)[bad]))
            return np.mean(distances)

        assert error(0.02) < 0.85 * error(1.0)


class TestModel:
    def test_two_swapped_landmarks_are_found(self):
        positions = shapes()
        positions[7, [2, 5]] = positions[7, [5, 2]]
        model = fit_shape_model(positions, np.ones(positions.shape[:2]))
        deviation, _ = model.judge(positions)
        assert (deviation[7, [2, 5]] > LIMIT).all()

    @pytest.mark.parametrize("shape", [(7, 12, 2), (30, 3, 2), (0, 12, 2)])
    def test_too_little_to_learn_from(self, shape):
        assert fit_shape_model(np.random.default_rng(0).random(shape), np.ones(shape[:2])) is None

    def test_fewer_shapes_than_directions(self):
        positions, _ = spoil(shapes(10, 40), 0.0)
        model = fit_shape_model(positions, np.ones(positions.shape[:2]))
        deviation, _ = model.judge(positions)
        assert np.isfinite(deviation).all()

    def test_pose_changes_no_deviation(self):
        positions, _ = spoil(shapes(), 0.05)
        model = fit_shape_model(positions, np.ones(positions.shape[:2]))
        turned = positions[..., ::-1] * [1, -1] + [0, 400]  # a quarter turn
        np.testing.assert_allclose(model.judge(turned)[0], model.judge(positions)[0], rtol=1e-6)

    def test_a_shape_fallen_into_one_point_is_no_accident(self):
        # A blank image among the others: everything is found at the same place.
        positions = shapes()
        positions[4] = 100.0
        model = fit_shape_model(positions, np.full(positions.shape[:2], 0.5))
        deviation, expected = model.judge(positions)
        assert np.isfinite(deviation).all()
        assert np.isfinite(expected).all()

    @pytest.mark.parametrize("seed", range(6))
    def test_a_shape_that_is_all_wrong_does_not_spoil_the_model(self, seed):
        # Nothing in it can be trusted, so nothing may say how large it is.
        clean = shapes(seed=seed)
        positions, _ = spoil(clean, 0.06, seed=seed + 50)
        positions[9] = np.random.default_rng(seed).random(positions[9].shape) * 400
        model = fit_shape_model(positions, np.ones(positions.shape[:2]))
        assert 0.8 < np.ptp(model.mean, axis=0).max() / np.ptp(np.median(clean, axis=0), axis=0).max() < 1.2
        assert model.scale.max() < 10

    def test_shapes_all_alike(self):
        positions = np.repeat(shapes(1), 10, axis=0)
        model = fit_shape_model(positions, np.ones(positions.shape[:2]))
        deviation, _ = model.judge(positions)
        assert (deviation < LIMIT).all()


class TestAlign:
    @pytest.mark.parametrize("dims", [2, 3])
    def test_a_similarity_is_found_again(self, dims):
        rng = np.random.default_rng(0)
        reference = rng.random((8, dims)) * 100
        rotation, _ = np.linalg.qr(rng.normal(size=(5, dims, dims)))
        rotation *= np.sign(np.linalg.det(rotation))[:, None, None] if dims == 3 else 1
        if dims == 2:
            rotation[np.linalg.det(rotation) < 0] = rotation[np.linalg.det(rotation) < 0][:, :, ::-1]
        scale, shift = rng.uniform(0.5, 2, 5), rng.normal(size=(5, dims)) * 30
        moved = np.einsum("b,bij,nj->bni", scale, rotation, reference) + shift[:, None]
        matrix, offset = align(reference, moved, np.ones((5, 8)))
        np.testing.assert_allclose(matrix, scale[:, None, None] * rotation, atol=1e-9)
        np.testing.assert_allclose(offset, shift, atol=1e-7)

    def test_a_mirror_image_is_no_pose(self):
        reference = np.random.default_rng(0).random((8, 2)) * 100
        matrix, _ = align(reference, (reference * [1, -1])[None], np.ones((1, 8)))
        assert np.linalg.det(matrix[0]) > 0

    def test_what_has_no_weight_has_no_say(self):
        reference = np.random.default_rng(0).random((8, 2)) * 100
        moved = (reference + 5)[None].copy()
        moved[0, 2] += 1000
        weights = np.ones((1, 8))
        weights[0, 2] = 0
        matrix, shift = align(reference, moved, weights)
        np.testing.assert_allclose(matrix[0], np.eye(2), atol=1e-9)
        np.testing.assert_allclose(shift[0], [5, 5], atol=1e-7)

    @pytest.mark.parametrize("trusted", [8, 1, 0])
    def test_a_pose_can_always_be_undone(self, trusted):
        # All points at one place, or hardly a point with a say.
        reference = np.random.default_rng(0).random((8, 2)) * 100
        weights = np.full((1, 8), 1e-9)
        weights[0, :trusted] = 1
        matrix, _ = align(reference, np.full((1, 8, 2), 50.0), weights)
        assert np.linalg.det(matrix[0]) > 1e-3


class TestShapeDistances:
    def test_pose_does_not_count(self):
        rng = np.random.default_rng(0)
        shape = rng.uniform(0, 200, (8, 2))
        turn = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
        posed = 1.3 * shape @ turn.T + (40, -20)
        other = shape + rng.normal(0, 20, shape.shape)
        distances = shape_distances(np.stack([shape, posed, other]))
        assert distances[0, 1] < 0.1 * distances[0, 2]
        np.testing.assert_allclose(distances, distances.T)
        np.testing.assert_allclose(np.diag(distances), 0)

    def test_nothing_in_common_is_far_apart(self):
        rng = np.random.default_rng(0)
        shapes = rng.uniform(0, 200, (4, 8, 2))
        shapes[0, :4], shapes[1, 4:] = np.nan, np.nan
        distances = shape_distances(shapes)
        assert np.isfinite(distances).all()
        assert distances[0, 1] == distances.max()
