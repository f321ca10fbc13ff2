"""Transforms: which way they point, what they do to images, labels and landmarks, and what ITK makes of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.registration.transform.grids import grid_over
from napari_landmark.registration.transform.transform import Transform, world_geometry


def turned(degrees: float, ndim: int) -> tuple[tuple[float, ...], ...]:
    """A direction turned in the plane of the last two axes, and for volumes in that of the first two, too."""
    turn = np.deg2rad(degrees)
    flat = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = np.eye(ndim)
    matrix[-2:, -2:] = flat
    if ndim == 3:
        other = np.eye(3)
        other[:2, :2] = flat
        matrix = matrix @ other
    return tuple(map(tuple, matrix.tolist()))


PAIRS = {
    "plain": (Geometry((40, 50)), Geometry((40, 50))),
    "sizes": (Geometry((40, 50)), Geometry((60, 44))),
    "spacing": (Geometry((40, 50), spacing=(0.5, 0.5)), Geometry((30, 35), spacing=(0.7, 0.6))),
    "oblique": (
        Geometry((40, 50), spacing=(1.0, 0.8), origin=(-30, 100), direction=turned(20, 2)),
        Geometry((60, 44), spacing=(0.7, 1.3), origin=(-40, 95), direction=turned(-15, 2)),
    ),
    "flipped": (
        Geometry((40, 50), spacing=(1.0, 0.8), origin=(39, 0), direction=((-1, 0), (0, 1))),
        Geometry((45, 50), spacing=(1.0, 0.8)),
    ),
    "one spacing": (Geometry((40, 50)), Geometry((60, 44), spacing=(0.7, 1.1))),
    "volume": (
        Geometry((12, 20, 22), spacing=(2.5, 0.8, 1.0), origin=(5, -10, 3), direction=turned(12, 3)),
        Geometry((16, 18, 25), spacing=(2.0, 1.0, 0.8), origin=(2, -12, 2), direction=turned(-8, 3)),
    ),
    "pixel volume": (Geometry((12, 20, 22)), Geometry((14, 20, 18))),
}


def smooth(pair: str, *, size: float = 2.0) -> Transform:
    """A wave of a few pixels on a grid coarser than the fixed image, over a scaling that makes the centres meet."""
    fixed, moving = PAIRS[pair]
    world_f, world_m = world_geometry(fixed), world_geometry(moving)
    grid = grid_over(world_f, int(np.prod(fixed.shape) * 0.6))
    points = grid.to_world(np.argwhere(np.ones(grid.shape)).astype(float))
    centres = [world.to_world([(np.array(world.shape) - 1) / 2])[0] for world in (world_f, world_m)]
    start = 0.95 * (points - centres[0]) + centres[1] - points
    phase = (points - points.mean(axis=0)) / np.ptp(points, axis=0)
    wave = size * min(world_f.spacing) * np.sin(4 * phase[:, ::-1] + np.arange(fixed.ndim))
    return Transform(fixed, moving, grid, (start + wave).reshape(*grid.shape, fixed.ndim))


def picture(geometry: Geometry, seed: int = 0) -> MedicalImage:
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).normal(size=geometry.shape)
    return MedicalImage((1000 * gaussian_filter(noise, 1.0)).astype(np.float32), geometry, "moving.nrrd")


def itk_image(image: MedicalImage) -> sitk.Image:
    world = world_geometry(image.geometry)
    file = sitk.GetImageFromArray(image.array)
    file.SetSpacing(world.spacing[::-1])
    file.SetOrigin(world.origin[::-1])
    file.SetDirection(np.array(world.direction)[::-1, ::-1].ravel().tolist())
    return file


def inner_points(transform: Transform, count: int = 300) -> np.ndarray:
    shape = np.array(transform.fixed.shape)
    return np.random.default_rng(1).uniform(0.1, 0.9, (count, len(shape))) * (shape - 1)


class TestDirection:
    """A point x of the fixed image lies at phi(x) in the moving one."""

    @pytest.fixture
    def shifted(self):
        """The dot of the moving image lies three rows below and two columns before that of the fixed one."""
        geometry = Geometry((20, 30))
        array = np.zeros((20, 30), np.uint8)
        array[13, 8] = 200
        moving = MedicalImage(array, geometry, "moving.png")
        return Transform.affine(np.eye(2), (3, -2), fixed=geometry, moving=geometry), moving

    def test_the_image_comes_back(self, shifted):
        transform, moving = shifted
        warped = transform.warp_image(moving)
        assert np.argwhere(warped.array).tolist() == [[10, 10]]
        assert warped.array[10, 10] == 200
        assert warped.array.dtype == np.uint8
        assert (warped.geometry, warped.name) == (transform.fixed, "moving.png")

    def test_points(self, shifted):
        transform, _ = shifted
        np.testing.assert_allclose(transform.to_moving([[10, 10]]), [[13, 8]], atol=1e-5)
        np.testing.assert_allclose(transform.to_fixed([[13, 8]]), [[10, 10]], atol=1e-5)

    def test_landmarks_follow_the_image(self, shifted):
        transform, _ = shifted
        schema = LandmarkSchema(("dot", "lost", "unseen"))
        marks = LandmarkSet(
            schema,
            [
                Landmark("dot", (13, 8), Status.PLACED, confidence=0.5, expected_error=2.0),
                Landmark("lost", None, Status.MISSING),
            ],
        )
        carried = transform.warp_landmarks(marks)
        np.testing.assert_allclose(carried["dot"].position, (10, 10), atol=1e-5)
        assert carried["dot"].status is Status.PREDICTED
        assert (carried["dot"].confidence, carried["dot"].expected_error) == (0.5, None)
        assert carried["lost"].status is Status.MISSING
        assert carried["unseen"].status is Status.UNPLACED

    def test_no_landmark_at_all(self, shifted):
        empty = LandmarkSet(LandmarkSchema(("a",)))
        assert shifted[0].warp_landmarks(empty) == empty

    def test_different_spacings_meet_in_the_world(self):
        fixed = Geometry((20, 20), spacing=(1, 1), origin=(5, 0))
        moving = Geometry((40, 40), spacing=(0.5, 0.5))
        transform = Transform.identity(fixed, moving)
        np.testing.assert_allclose(transform.to_moving([[3, 4]]), [[16, 8]], atol=1e-5)
        assert transform.unit == "mm"

    def test_outside_the_border_is_repeated(self):
        geometry = Geometry((8, 8))
        array = np.arange(64, dtype=np.float32).reshape(8, 8)
        transform = Transform.affine(np.eye(2), (100, 0), fixed=geometry, moving=geometry)
        warped = transform.warp_image(MedicalImage(array, geometry, "m")).array
        np.testing.assert_allclose(warped, np.broadcast_to(array[-1], (8, 8)), atol=1e-4)


@pytest.mark.parametrize("pair", PAIRS)
class TestInverse:
    def test_there_and_back(self, pair):
        transform = smooth(pair)
        points = inner_points(transform)
        back = transform.to_fixed(transform.to_moving(points))
        assert np.abs(back - points).max() < 1e-3

    def test_back_and_there(self, pair):
        transform = smooth(pair)
        points = np.random.default_rng(3).uniform(
            0, np.array(transform.moving.shape) - 1, (300, transform.fixed.ndim)
        )
        there = transform.to_moving(transform.to_fixed(points))
        assert np.abs(there - points).max() < 1e-3

    def test_as_a_field(self, pair):
        transform = smooth(pair)
        inverse = transform.inverse()
        assert (inverse.fixed, inverse.moving) == (transform.moving, transform.fixed)
        points = inner_points(transform)
        moved = transform.to_moving(points)
        inside = transform.moving.contains(moved, -1)
        assert inside.sum() > 50
        assert np.abs(inverse.to_moving(moved) - points)[inside].max() < 0.2


class TestInverseOfHardMaps:
    def test_a_large_turn(self):
        geometry = Geometry((50, 50))
        turn = np.deg2rad(170)
        matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        centre = np.array([24.5, 24.5])
        transform = Transform.affine(matrix, centre - matrix @ centre, fixed=geometry, moving=geometry)
        points = np.random.default_rng(0).uniform(5, 45, (200, 2))
        assert np.abs(transform.to_fixed(transform.to_moving(points)) - points).max() < 1e-3

    def test_strong_waves_that_do_not_fold(self):
        geometry = Geometry((128, 128))
        rows, columns = np.mgrid[:128, :128]
        wave = np.stack([8 * np.sin(columns / 9), 8 * np.sin(rows / 9)], axis=-1)  # slope 0.89
        transform = Transform(geometry, geometry, world_geometry(geometry), wave)
        assert transform.folding_percent() == 0
        points = np.random.default_rng(0).uniform(0, 127, (2000, 2))
        assert np.abs(transform.to_fixed(transform.to_moving(points)) - points).max() < 1e-3

    def test_a_fold_gives_one_of_the_points(self):
        geometry = Geometry((64, 64))
        wave = np.zeros((64, 64, 2))
        wave[..., 0] = 8 * np.sin(np.arange(64) / 4)[:, None]  # slope 2
        transform = Transform(geometry, geometry, world_geometry(geometry), wave)
        points = np.random.default_rng(0).uniform(10, 50, (200, 2))
        found = transform.to_fixed(points)
        assert np.isfinite(found).all(axis=1).mean() > 0.95
        there = transform.to_moving(found)
        np.testing.assert_allclose(there[np.isfinite(there)], points[np.isfinite(found)], atol=1e-3)

    def test_a_collapsed_map_and_a_point_that_is_nowhere(self):
        geometry = Geometry((10, 10))
        grid = world_geometry(geometry)
        rows, columns = np.mgrid[:10, :10]
        inside = np.stack([4.5 - rows, 4.5 - columns], axis=-1)
        transform = Transform(geometry, geometry, grid, inside)
        lost = transform.to_fixed([[np.nan, 3]])
        assert np.isnan(lost).all()
        assert transform.folding_percent() == 100

    @given(
        st.lists(st.floats(-0.3, 0.3), min_size=4, max_size=4),
        st.lists(st.floats(-20, 20), min_size=2, max_size=2),
    )
    def test_any_affine_map(self, change, offset):
        matrix = np.eye(2) + np.reshape(change, (2, 2))
        fixed = Geometry((30, 40), spacing=(0.5, 1.5), origin=(7, -90), direction=turned(33, 2))
        moving = Geometry((35, 20), spacing=(1.1, 0.4), origin=(-3, 8))
        transform = Transform.affine(matrix, offset, fixed=fixed, moving=moving)
        points = np.random.default_rng(0).uniform(-3, 40, (40, 2))
        expected = moving.to_index(fixed.to_world(points) @ matrix.T + offset)
        np.testing.assert_allclose(transform.to_moving(points), expected, atol=1e-3)
        np.testing.assert_allclose(transform.to_fixed(expected), points, atol=2e-3)
        np.testing.assert_allclose(transform.jacobian(), np.linalg.det(matrix), rtol=1e-5)


@pytest.mark.parametrize("pair", PAIRS)
class TestSimpleITK:
    def check(self, transform, itk_transform):
        moving = picture(transform.moving)
        target = itk_image(picture(transform.fixed))
        expected = sitk.GetArrayFromImage(
            sitk.Resample(itk_image(moving), target, itk_transform, sitk.sitkLinear, 0.0)
        )
        warped = transform.warp_image(moving).array
        points = transform.to_moving(np.argwhere(np.ones(transform.fixed.shape)))
        inside = transform.moving.contains(points, -0.01).reshape(transform.fixed.shape)
        assert inside.mean() > 0.3
        # A tenth of a percent of what the pictures vary by.
        np.testing.assert_allclose(warped[inside], expected[inside], atol=1e-3 * moving.array.std())

    def test_makes_the_same_image(self, pair):
        transform = smooth(pair)
        self.check(transform, transform.to_itk())

    @pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
    def test_reads_the_file(self, pair, suffix, tmp_path):
        transform = smooth(pair)
        transform.save(tmp_path / f"warp{suffix}")
        field = sitk.ReadImage(str(tmp_path / f"warp{suffix}"), sitk.sitkVectorFloat64)
        self.check(transform, sitk.DisplacementFieldTransform(field))

    def test_a_grid_that_ends_before_the_image(self, pair):
        transform = smooth(pair)
        grid = transform.grid
        inner = tuple(slice(2, -2) for _ in grid.shape)
        origin = tuple(grid.to_world([[2] * grid.ndim])[0])
        values = transform.displacement[inner]
        small = Geometry(values.shape[:-1], grid.spacing, origin, grid.direction)
        cut = Transform(transform.fixed, transform.moving, small, values)
        self.check(cut, cut.to_itk())


class TestLabels:
    def test_are_those_of_the_moving_map(self):
        transform = smooth("oblique")
        labels = np.random.default_rng(0).choice([0, 3, 7, 200], transform.moving.shape).astype(np.uint8)
        warped = transform.warp_labels(labels)
        assert warped.shape == transform.fixed.shape
        assert warped.dtype == np.uint8
        assert set(np.unique(warped)) <= {0, 3, 7, 200}
        assert (warped > 0).any()

    @pytest.mark.parametrize("pair", ["sizes", "volume"])
    def test_are_the_largest_of_the_warped_shares(self, pair):
        transform = smooth(pair)
        labels = np.random.default_rng(0).integers(0, 4, transform.moving.shape)
        shares = [
            transform.warp_image(MedicalImage((labels == k).astype(float), transform.moving, "m")).array
            for k in range(4)
        ]
        points = transform.to_moving(np.argwhere(np.ones(transform.fixed.shape)))
        inside = transform.moving.contains(points).reshape(transform.fixed.shape)
        expected = np.where(inside, np.argmax(shares, axis=0), 0)
        clear = np.diff(np.sort(shares, axis=0)[-2:], axis=0)[0] > 1e-6
        np.testing.assert_array_equal(transform.warp_labels(labels)[clear], expected[clear])
        assert clear.mean() > 0.9

    def test_a_shift_is_exact_and_leaves_nothing_outside(self):
        geometry = Geometry((8, 8))
        labels = np.full((8, 8), 5, np.int32)
        transform = Transform.affine(np.eye(2), (3, 0), fixed=geometry, moving=geometry)
        warped = transform.warp_labels(labels)
        assert (warped[:5] == 5).all()
        assert (warped[5:] == 0).all()

    def test_the_smaller_of_equals(self):
        geometry = Geometry((4, 4))
        labels = np.array([[9, 2, 9, 2]] * 4)
        transform = Transform.affine(np.eye(2), (0, 0.5), fixed=geometry, moving=geometry)
        assert (transform.warp_labels(labels)[:, :3] == 2).all()


class TestJacobian:
    def test_of_an_affine_map_on_an_oblique_grid(self):
        fixed, moving = PAIRS["volume"]
        matrix = np.array([[1.1, 0.1, 0], [0, 0.9, -0.2], [0.05, 0, 1.2]])
        transform = Transform.affine(matrix, (1, 2, 3), fixed=fixed, moving=moving, grid=fixed)
        assert transform.jacobian().shape == fixed.shape
        np.testing.assert_allclose(transform.jacobian(), np.linalg.det(matrix), rtol=1e-4)
        assert transform.folding_percent() == 0

    def test_slabs_join(self, monkeypatch):
        from napari_landmark.registration.transform import fields_numpy as displacement

        transform = smooth("oblique")
        whole = transform.jacobian()
        monkeypatch.setattr(displacement, "_BLOCK", 100)
        np.testing.assert_array_equal(transform.jacobian(), whole)

    def test_folding_is_counted(self):
        geometry = Geometry((20, 30))
        values = np.zeros((20, 30, 2))
        values[5:15, 10:20, 0] = -2 * np.arange(10)[:, None]  # phi falls by one a row
        transform = Transform(geometry, geometry, world_geometry(geometry), values)
        folded = transform.jacobian() <= 0
        assert folded[6:14, 11:19].all()
        assert transform.folding_percent() == pytest.approx(100 * folded.mean())
        mask = np.zeros((20, 30), bool)
        mask[7:13, 12:18] = True
        assert transform.folding_percent(mask) == 100
        assert transform.folding_percent(~mask) < 100 * folded.mean()

    def test_files_that_hold_their_pixels_in_opposite_order(self):
        fixed = Geometry((20, 30), spacing=(1, 1), direction=((-1, 0), (0, 1)))
        moving = Geometry((20, 30), spacing=(1, 1))
        values = np.zeros((20, 30, 2))
        values[..., 0] = 2 * np.arange(20)[:, None]  # row goes to row
        transform = Transform(fixed, moving, fixed, values)
        np.testing.assert_allclose(transform.to_moving([[3, 4]]), [[3, 4]], atol=1e-5)
        assert (transform.jacobian() < 0).all()
        assert transform.folding_percent() == 0
        values[5:15, 10:20, 0] += -2 * np.arange(10)[:, None]
        folded = Transform(fixed, moving, fixed, values)
        assert folded.folding_percent() == pytest.approx(100 * (folded.jacobian() >= 0).mean())
        assert 10 < folded.folding_percent() < 20

    def test_what_lies_beside_the_image_does_not_count(self):
        geometry = Geometry((20, 30))
        grid = Geometry((40, 30), spacing=(1, 1), origin=(-20, 0))
        values = np.zeros((40, 30, 2))
        values[:15, :, 0] = -2 * np.arange(15)[:, None]
        assert Transform(geometry, geometry, grid, values).folding_percent() == 0


class TestWarpTypes:
    @pytest.mark.parametrize(
        "dtype", ["uint8", "int16", ">i2", "uint32", "float16", ">f4", "float64", "bool"]
    )
    def test_are_kept(self, dtype):
        geometry = Geometry((6, 6))
        array = np.arange(36).reshape(6, 6).astype(dtype)
        transform = Transform.affine(np.eye(2), (0, 1), fixed=geometry, moving=geometry)
        warped = transform.warp_image(MedicalImage(array, geometry, "m")).array
        assert warped.dtype == np.dtype(dtype).newbyteorder("=")
        np.testing.assert_allclose(warped[:, :5].astype(float), array[:, 1:].astype(float), atol=1e-4)

    def test_whole_numbers_are_rounded(self):
        geometry = Geometry((6, 6))
        array = np.tile(np.arange(6, dtype=np.uint8) * 10, (6, 1))
        transform = Transform.affine(np.eye(2), (0, 0.19), fixed=geometry, moving=geometry)
        warped = transform.warp_image(MedicalImage(array, geometry, "m")).array
        assert warped[0, :5].tolist() == [2, 12, 22, 32, 42]

    def test_slabs_join(self, monkeypatch):
        from napari_landmark.registration.transform import resampling

        transform = smooth("volume")
        image = picture(transform.moving)
        labels = (image.array > 0).astype(np.uint8)
        whole, whole_labels = transform.warp_image(image).array, transform.warp_labels(labels)
        monkeypatch.setattr(resampling, "_POINTS_AT_ONCE", 1000)
        np.testing.assert_array_equal(transform.warp_image(image).array, whole)
        np.testing.assert_array_equal(transform.warp_labels(labels), whole_labels)


class TestRefuses:
    def test_a_picture_with_a_volume(self):
        with pytest.raises(InputError, match="a picture as fixed and a volume as moving image"):
            Transform.identity(Geometry((5, 5)), Geometry((5, 5, 5)))

    def test_displacements_that_do_not_fit(self):
        geometry = Geometry((5, 5))
        with pytest.raises(ValueError, match="displacement of shape"):
            Transform(geometry, geometry, world_geometry(geometry), np.zeros((5, 4, 2)))
        with pytest.raises(ValueError, match="finite"):
            Transform(geometry, geometry, world_geometry(geometry), np.full((5, 5, 2), np.nan))

    def test_an_image_of_another_size(self):
        transform = Transform.identity(Geometry((5, 5)), Geometry((6, 5)))
        with pytest.raises(ValueError, match="moving image"):
            transform.warp_labels(np.zeros((5, 5), int))


class TestFiles:
    @pytest.fixture
    def saved(self, tmp_path):
        transform = smooth("oblique")
        transform.save(tmp_path / "warp.nrrd", names=("a.png", "b.png"))
        return tmp_path / "warp.nrrd"

    @pytest.mark.parametrize("pair", PAIRS)
    @pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
    def test_come_back(self, pair, suffix, tmp_path):
        transform = smooth(pair)
        transform.save(tmp_path / f"a.warp{suffix}")
        back = Transform.load(tmp_path / f"a.warp{suffix}")
        assert (back.fixed, back.moving) == (transform.fixed, transform.moving)
        points = inner_points(transform)
        np.testing.assert_allclose(back.to_moving(points), transform.to_moving(points), atol=1e-3)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.warp.json", f"a.warp{suffix}"]

    def test_where_a_spacing_came_from(self, tmp_path):
        place = Geometry((9, 9), spacing=(0.2, 0.2), spacing_source="file", spacing_plane="detector plane")
        Transform.identity(place, Geometry((8, 8))).save(tmp_path / "a.nrrd")
        back = Transform.load(tmp_path / "a.nrrd")
        assert (back.fixed, back.moving) == (place, Geometry((8, 8)))

    def test_say_what_they_are(self, saved):
        description = json.loads(saved.with_suffix(".json").read_text())
        assert description["unit"] == "mm"
        assert description["fixed"]["name"] == "a.png"
        assert description["moving"]["shape"] == [60, 44]

    def test_without_a_description(self, saved):
        saved.with_suffix(".json").unlink()
        with pytest.raises(
            InputError, match=r"warp.nrrd: the file warp.json that belongs to it is not there"
        ):
            Transform.load(saved)

    def test_not_there(self, tmp_path):
        with pytest.raises(InputError, match="there is no such file"):
            Transform.load(tmp_path / "warp.nrrd")

    @pytest.mark.parametrize("name", ["warp.tif", "warp"])
    def test_of_another_kind(self, tmp_path, name):
        for call in (smooth("plain").save, Transform.load):
            with pytest.raises(InputError, match=r"in files that end in \.nrrd, \.nii\.gz, \.mha"):
                call(tmp_path / name)

    @pytest.mark.parametrize(
        "content",
        ["", "{", "[]", "null", '{"format": "napari-landmark transform", "version": 1}', "[" * 100_000],
    )
    def test_a_damaged_description(self, saved, content):
        saved.with_suffix(".json").write_text(content)
        with pytest.raises(InputError, match=r"warp.json: does not describe a transform"):
            Transform.load(saved)

    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("format", "other", "does not belong to a transform"),
            ("version", 2, "newer version"),
            ("fixed", {"shape": [0, 3], "spacing": None, "origin": [0, 0], "direction": [[1, 0], [0, 1]],
                       "spacing_source": "unknown"}, "warp.json: an image of shape"),
            ("fixed", {"shape": [900, 900], "spacing": [1, 1], "origin": [0, 0], "direction": [[1, 0], [0, 1]],
                       "spacing_source": "file"}, "does not cover the fixed image"),
            ("fixed", {"shape": [9, 9, 9], "spacing": None, "origin": [], "direction": [],
                       "spacing_source": "unknown"}, "a picture and a volume"),
        ],
    )  # fmt: skip
    def test_a_wrong_description(self, saved, key, value, message):
        beside = saved.with_suffix(".json")
        beside.write_text(json.dumps({**json.loads(beside.read_text()), key: value}))
        with pytest.raises(InputError, match=message):
            Transform.load(saved)

    @pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
    def test_a_field_that_ends_too_early(self, tmp_path, suffix):
        path = tmp_path / f"warp{suffix}"
        smooth("plain").save(path)
        content = path.read_bytes()
        for length in (0, 40, len(content) // 2, len(content) - 200):
            path.write_bytes(content[:length])
            with pytest.raises(InputError, match=f"warp{suffix}: .*(damaged|not an image)"):
                Transform.load(path)

    def test_other_numbers_of_components(self, saved):
        image = sitk.Image([20, 20], sitk.sitkVectorFloat64, 3)
        sitk.WriteImage(image, str(saved))
        with pytest.raises(InputError, match="holds 3 values at every point of 2 axes"):
            Transform.load(saved)

    def test_values_that_are_not_finite(self, saved):
        image = sitk.ReadImage(str(saved))
        array = sitk.GetArrayFromImage(image)
        array[3, 3] = np.nan
        broken = sitk.GetImageFromArray(array, isVector=True)
        broken.CopyInformation(image)
        sitk.WriteImage(broken, str(saved))
        with pytest.raises(InputError, match="not finite"):
            Transform.load(saved)
