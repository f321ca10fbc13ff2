"""Affine initialization of images with a known affine map."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_landmark.learning.rotations import all_rotations
from napari_landmark.progress import CancelToken
from napari_landmark.registration.pairwise.affine_initialization import initialize_affine


def body(shape, seed=0):
    """An image without symmetry: blobs of different size and brightness on black."""
    random = np.random.default_rng(seed)
    image = np.zeros(shape)
    for _ in range(9):
        centre = tuple((random.uniform(0.3, 0.7, len(shape)) * shape).astype(int))
        image[centre] = random.uniform(0.5, 2)
    image = ndimage.gaussian_filter(image, max(shape) / 24)
    return (image / image.max()).astype(np.float32)


def moved(image, matrix, shift):
    """The image m with image(x) = m(c + matrix (x - c) + shift)."""
    centre = (np.array(image.shape) - 1) / 2
    back = np.linalg.inv(matrix)
    return ndimage.affine_transform(image, back, centre - back @ (centre + shift), order=1).astype(np.float32)


def error(found, matrix, shift, shape):
    """Mean distance in the middle half of the image."""
    points = np.stack(np.meshgrid(*[np.linspace(-n / 4, n / 4, 5) for n in shape], indexing="ij"), -1)
    points = points.reshape(-1, len(shape))
    difference = points @ (found.matrix - matrix).T + found.shift - shift
    return np.linalg.norm(difference, axis=1).mean()


class TestUpright:
    def test_small_affine_map(self):
        shape, shift = (96, 80), np.array([5.0, -4.0])
        matrix = np.array([[1.08, 0.1], [-0.12, 0.95]])
        fixed = body(shape)
        found = initialize_affine(fixed, moved(fixed, matrix, shift))
        assert error(found, matrix, shift, shape) < 0.5

    def test_identical_images(self):
        found = initialize_affine(body((64, 64)), body((64, 64)))
        assert error(found, np.eye(2), np.zeros(2), (64, 64)) < 0.1


class TestScale:
    def test_known_from_the_spacings(self):
        shape = (96, 96)
        matrix = np.eye(2) * 0.4  # the moving image shows two and a half times as much
        fixed = body(shape)
        found = initialize_affine(fixed, moved(fixed, matrix, np.array([3.0, -2])), scale=0.4)
        assert error(found, matrix, np.array([3.0, -2]), shape) < 0.5

    def test_the_same_every_time(self):
        fixed = body((240, 240))
        moving = moved(fixed, np.eye(2) * 1.1, np.array([4.0, 5]))
        first, second = (initialize_affine(fixed, moving) for _ in range(2))
        # Sums of several threads differ in their last digits; samples drawn by the clock in the third.
        np.testing.assert_allclose(first.matrix, second.matrix, atol=1e-7)
        np.testing.assert_allclose(first.shift, second.shift, atol=1e-5)


class TestAnyRotation:
    @pytest.mark.parametrize("degrees", [70, 180, 250])
    def test_pictures(self, degrees):
        shape, angle = (96, 96), np.radians(degrees)
        matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        fixed = body(shape)
        found = initialize_affine(fixed, moved(fixed, matrix, np.array([3.0, 2])), any_rotation=True)
        assert error(found, matrix, np.array([3.0, 2]), shape) < 0.5

    @pytest.mark.parametrize("seed", [1, 2])
    def test_volumes(self, seed):
        shape = (48, 48, 48)
        matrix = Rotation.random(random_state=seed).as_matrix()
        fixed = body(shape)
        found = initialize_affine(fixed, moved(fixed, matrix, np.array([1.0, -2, 1])), any_rotation=True)
        assert error(found, matrix, np.array([1.0, -2, 1]), shape) < 0.75

    def test_the_rotations_leave_no_gaps(self):
        grid = Rotation.from_matrix(all_rotations(3))
        for turn in Rotation.random(30, random_state=0):
            assert np.degrees((grid * turn.inv()).magnitude().min()) < 16


class TestRunning:
    def test_a_cancel_ends_the_search_and_keeps_the_best_so_far(self):
        shape, matrix = (48, 48, 48), Rotation.random(random_state=1).as_matrix()
        fixed = body(shape)
        moving = moved(fixed, matrix, np.zeros(3))
        cancel, events = CancelToken(), []

        def stop_after_two(event):
            events.append(event)
            if len(events) == 3:
                cancel.cancel()

        found = initialize_affine(fixed, moving, any_rotation=True, progress=stop_after_two, cancel=cancel)
        assert len(events) == 3
        assert np.isfinite(found.matrix).all()
        before = initialize_affine(fixed, moving).matrix
        assert not np.allclose(found.matrix, before)

    def test_progress(self):
        events = []
        initialize_affine(body((64, 64)), body((64, 64), 1), any_rotation=True, progress=events.append)
        fractions = [event.fraction for event in events]
        assert fractions == sorted(fractions)
        assert fractions[0] == 0
        assert len(fractions) > 3
        assert events[-1].seconds_left > 0
