"""Registration of pairs with a known map, without a model."""

import numpy as np
import pytest
from scipy import ndimage

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.metrics import dice
from napari_landmark.progress import CancelToken
from napari_landmark.registration.losses import LossWeights
from napari_landmark.registration.options import PairOptions
from napari_landmark.registration.pairwise.register import register_pair

SHAPE = (128, 112)
QUICK = PairOptions(device="cpu", steps=60)


def grid(shape, margin=28):
    """Points (n, 2) of the inner part."""
    axes = [np.arange(margin, n - margin, 8) for n in shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(shape)).astype(float)


def resampled(moving, phi):
    """Fixed image whose point x has the value of the moving image at phi(x)."""
    points = np.stack(np.meshgrid(*[np.arange(n) for n in moving.shape], indexing="ij"), -1).reshape(-1, 2)
    values = ndimage.map_coordinates(
        moving.astype(float), phi(points.astype(float)).T, order=1, mode="nearest"
    )
    return np.rint(values).reshape(moving.shape).astype(np.uint8)


def shifted(points):
    return points + np.array([6.0, -4.0])


def rotated(points):
    centre, angle = (np.array(SHAPE) - 1) / 2, np.radians(12)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (points - centre) @ turn.T + centre


def warped(points):
    y, x = points.T
    return points + 3 * np.stack([np.sin(x / 18), np.cos(y / 20)], 1)


class TestKnownMaps:
    @pytest.mark.parametrize("phi", [shifted, rotated, warped])
    def test_recovered_within_half_a_pixel(self, drawn, phi):
        moving = drawn.texture(SHAPE)
        fixed = resampled(moving, phi)
        found = register_pair(drawn.image(fixed), drawn.image(moving), options=QUICK)
        points = grid(SHAPE)
        error = np.linalg.norm(found.transform.to_moving(points) - phi(points), axis=1)
        assert error.mean() < 0.5
        assert found.transform.folding_percent() == 0
        back = found.transform.to_fixed(found.transform.to_moving(points))
        np.testing.assert_allclose(back, points, atol=1e-3)

    def test_identical_images(self, drawn):
        image = drawn.image(drawn.texture(SHAPE))
        found = register_pair(image, image, options=QUICK)
        points = grid(SHAPE)
        moved = np.linalg.norm(found.transform.to_moving(points) - points, axis=1)
        assert moved.mean() < 0.2
        assert moved.max() < 1  # at the border of the black surroundings, which has least structure

    def test_other_sizes_and_spacings(self, drawn):
        array = drawn.texture(SHAPE)
        fixed = drawn.image(array, spacing=(0.5, 0.5), origin=(10, 20))
        coarse = ndimage.zoom(array.astype(float), (0.5, 1), order=1, mode="nearest", grid_mode=True)
        moving = drawn.image(np.rint(coarse).astype(np.uint8), spacing=(1.0, 0.5), origin=(-30, 5))
        found = register_pair(fixed, moving, options=QUICK)
        points = grid(SHAPE)
        expected = (points + 0.5) * [0.5, 1] - 0.5
        error = np.linalg.norm((found.transform.to_moving(points) - expected) * [2, 1], axis=1)
        assert error.mean() < 0.5


class TestVolumes:
    def test_turned_by_a_right_angle_and_anisotropic(self, drawn):
        array = drawn.texture((48, 48, 48))
        fixed = MedicalImage(array, Geometry(array.shape, spacing=(1, 1, 1)), "fixed.nii.gz")
        turned = np.rot90(array, axes=(1, 2))[::2]
        moving = MedicalImage(
            np.ascontiguousarray(turned), Geometry(turned.shape, spacing=(2, 1, 1)), "moving.nii.gz"
        )
        options = PairOptions(device="cpu", steps=10, working_size=64)
        found = register_pair(fixed, moving, options=options)
        points = grid(array.shape, margin=14)
        z, y, x = points.T
        expected = np.stack([z / 2, 47 - x, y], 1)  # rot90 carries axis 2 to axis 1
        error = np.linalg.norm((found.transform.to_moving(points) - expected) * [2, 1, 1], axis=1)
        assert error.mean() < 1.5  # a cell of the registration grid is 2 pixels wide

    def test_many_regions_guide_on_the_whole_grid(self, drawn, monkeypatch):
        monkeypatch.setattr("napari_landmark.registration.pairwise.pair.PAIR_VALUES", 1000)
        flat = drawn.image(np.full((40, 40, 40), 90, np.uint8))
        z, y, x = np.indices((40, 40, 40)) // 8
        labels = np.where((z % 4 > 0) & (y % 4 > 0) & (x % 4 > 0), z * 25 + y * 5 + x, 0)
        moved = np.roll(labels, (3, -2, 0), (0, 1, 2))
        options = PairOptions(device="cpu", working_size=80, any_rotation=False)
        found = register_pair(flat, flat, fixed_labels=labels, moving_labels=moved, options=options)
        assert np.mean(list(dice(labels, moved).values())) < 0.6
        assert np.mean(list(dice(labels, found.transform.warp_labels(moved)).values())) > 0.9
        assert found.terms["dice"] < 0.1
        assert found.transform.folding_percent() == 0


class TestHelp:
    def test_labels_move_what_the_image_does_not_show(self, drawn):
        flat = np.full(SHAPE, 90, np.uint8)
        flat[40:90, 30:80] = 100
        first, second = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
        first[50:70, 40:60], second[56:76, 44:64] = 3, 3
        options = PairOptions(device="cpu", steps=80, weights=LossWeights(similarity=0.1, bending=0.1))
        found = register_pair(
            drawn.image(flat), drawn.image(flat), fixed_labels=first, moving_labels=second, options=options
        )
        warped_labels = found.transform.warp_labels(second)
        assert set(np.unique(warped_labels)) == {0, 3}
        overlap = (
            2
            * ((warped_labels == 3) & (first == 3)).sum()
            / ((warped_labels == 3).sum() + (first == 3).sum())
        )
        assert overlap > 0.93
        assert "dice" in found.terms

    def test_a_label_that_one_map_lacks_is_ignored(self, drawn):
        image = drawn.image(drawn.texture(SHAPE))
        first, second = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
        first[50:70, 40:60], second[50:70, 40:60] = 1, 1
        second[20:40, 20:40] = 2
        found = register_pair(
            image, image, fixed_labels=first, moving_labels=second, options=PairOptions(device="cpu", steps=2)
        )
        assert found.terms["dice"] < 0.05

    def test_landmarks_guide(self, drawn):
        flat = drawn.image(np.full(SHAPE, 90, np.uint8))
        schema = LandmarkSchema(("tip", "base"))
        fixed = LandmarkSet.from_array(schema, [[50, 50], [80, 60]])
        moving = LandmarkSet.from_array(schema, [[58, 47], [86, 58]])
        found = register_pair(flat, flat, fixed_landmarks=fixed, moving_landmarks=moving, options=QUICK)
        error = np.linalg.norm(found.transform.to_moving(fixed.positions()) - moving.positions(), axis=1)
        assert error.max() < 1

    def test_regions_or_landmarks_initialize_a_large_rotation(self, drawn):
        # A search from the upright position does not find so large a rotation.
        centre, angle = (np.array(SHAPE) - 1) / 2, np.radians(125)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

        def phi(points):
            return (points - centre) @ turn.T + centre

        moving = drawn.texture(SHAPE)
        moving_labels = np.zeros(SHAPE, np.uint8)
        for label, (y, x) in enumerate([(36, 40), (44, 76), (90, 44), (84, 80)], 1):
            moving_labels[y - 8 : y + 8, x - 8 : x + 8] = label
        fixed = resampled(moving, phi)
        pixels = np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"), -1).reshape(-1, 2)
        nearest = np.clip(np.rint(phi(pixels.astype(float))).astype(int), 0, np.array(SHAPE) - 1)
        fixed_labels = moving_labels[tuple(nearest.T)].reshape(SHAPE)
        schema = LandmarkSchema(["a", "b", "c"])
        points = np.array([[40.0, 40.0], [50, 76], [88, 50]])
        guidance = {
            "labels": {"fixed_labels": fixed_labels, "moving_labels": moving_labels},
            "landmarks": {
                "fixed_landmarks": LandmarkSet.from_array(schema, points),
                "moving_landmarks": LandmarkSet.from_array(schema, phi(points)),
            },
            "nothing": {},
        }
        inner = grid(SHAPE)
        errors = {}
        for name, known in guidance.items():
            found = register_pair(drawn.image(fixed), drawn.image(moving), options=QUICK, **known)
            errors[name] = np.linalg.norm(found.transform.to_moving(inner) - phi(inner), axis=1).mean()
        assert errors["labels"] < 0.5
        assert errors["landmarks"] < 0.5
        assert errors["nothing"] > 10

    def test_an_empty_label_map_changes_nothing(self, drawn):
        moving = drawn.texture(SHAPE)
        pair = drawn.image(resampled(moving, shifted)), drawn.image(moving)
        empty = np.zeros(SHAPE, np.uint8)
        options = PairOptions(device="cpu", steps=5)
        with_map = register_pair(*pair, fixed_labels=empty, moving_labels=empty, options=options)
        without = register_pair(*pair, options=options)
        points = grid(SHAPE)
        np.testing.assert_allclose(with_map.transform.to_moving(points), without.transform.to_moving(points))
        assert "dice" not in with_map.terms


class TestBadInput:
    def test_constant_image(self, drawn):
        found = register_pair(
            drawn.image(np.full(SHAPE, 7, np.uint8)), drawn.image(drawn.texture(SHAPE)), options=QUICK
        )
        points = grid(SHAPE)
        assert np.linalg.norm(found.transform.to_moving(points) - points, axis=1).max() < 5

    def test_values_that_are_not_finite(self, drawn):
        array = drawn.texture(SHAPE).astype(np.float32)
        broken = array.copy()
        broken[10:14, 10:14] = np.nan
        found = register_pair(drawn.image(broken), drawn.image(array), options=QUICK)
        assert np.isfinite(found.transform.displacement).all()

    def test_labels_of_another_size(self, drawn):
        image = drawn.image(drawn.texture(SHAPE), "scan.png")
        with pytest.raises(InputError, match=r"scan\.png.*label map"):
            register_pair(image, image, moving_labels=np.zeros((9, 9), np.uint8))

    def test_a_picture_with_a_volume(self, drawn):
        volume = MedicalImage(np.zeros((8, 8, 8), np.uint8), Geometry((8, 8, 8)), "volume.nrrd")
        with pytest.raises(InputError, match="picture"):
            register_pair(drawn.image(drawn.texture(SHAPE)), volume)


class TestRunning:
    def test_a_cancel_returns_the_initialization(self, drawn):
        image = drawn.image(drawn.texture(SHAPE))
        cancel = CancelToken()
        cancel.cancel()
        found = register_pair(image, image, options=QUICK, cancel=cancel)
        assert found.terms == {}
        assert found.transform.folding_percent() == 0

    def test_progress(self, drawn):
        image, events = drawn.image(drawn.texture(SHAPE)), []
        register_pair(image, image, options=PairOptions(device="cpu", steps=11), progress=events.append)
        assert list(dict.fromkeys(event.stage for event in events)) == ["initializing", "registering"]
        for stage in ("initializing", "registering"):
            fractions = [event.fraction for event in events if event.stage == stage]
            assert len(fractions) > 1
            assert fractions == sorted(fractions)
