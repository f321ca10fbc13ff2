from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.cohort.working_grid import canonical_axes, fit_canvas_transform, resample
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage

spacings = st.one_of(st.none(), st.lists(st.floats(0.05, 5), min_size=3, max_size=3))
# Every orientation a volume can be stored in.
orientations = st.tuples(
    st.permutations(range(3)), st.lists(st.sampled_from((-1, 1)), min_size=3, max_size=3)
)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    ndim = draw(st.sampled_from((2, 3)))
    shape = tuple(draw(st.lists(st.integers(4, 300), min_size=ndim, max_size=ndim)))
    spacing = draw(spacings)
    axes, signs = draw(orientations)
    direction = np.eye(3)[list(axes)] * signs if ndim == 3 else np.eye(2)
    return Geometry(shape, spacing and tuple(spacing[:ndim]), direction=tuple(map(tuple, direction.tolist())))


def blob(shape: tuple[int, ...], centre: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """A Gaussian on a dark ground, with a bright border so that robust intensities do not clip it."""
    grids = np.indices(shape)
    squares = sum(((grid - c) / w) ** 2 for grid, c, w in zip(grids, centre, widths, strict=True))
    array = np.exp(-squares / 2).astype(np.float32)
    edge = max(1, min(shape) // 50)
    inside = tuple(slice(edge, -edge) for _ in shape)
    framed = np.ones_like(array)
    framed[inside] = array[inside]
    return framed


def centroid_near(array: np.ndarray, centre: np.ndarray, reach: float) -> np.ndarray:
    grids = np.indices(array.shape)
    near = sum((grid - c) ** 2 for grid, c in zip(grids, centre, strict=True)) <= reach**2
    weights = np.where(near, np.clip(array - 0.05, 0, None), 0)
    return np.array([(grid * weights).sum() / weights.sum() for grid in grids])


class TestFitting:
    @settings(max_examples=40)
    @given(geometries(), st.lists(st.integers(1, 8), min_size=3, max_size=3), st.integers(0, 999))
    def test_points_come_back(self, geometry, blocks, seed):
        canvas_transform = fit_canvas_transform(geometry, [64 * n for n in blocks[: geometry.ndim]])
        points = np.random.default_rng(seed).uniform(-50, 350, (5, geometry.ndim))
        np.testing.assert_allclose(
            canvas_transform.to_working(canvas_transform.to_native(points)), points, atol=1e-6
        )

    @settings(max_examples=40)
    @given(geometries(), st.lists(st.integers(1, 8), min_size=3, max_size=3))
    def test_whole_image_lies_inside_and_fills_one_axis(self, geometry, blocks):
        canvas = np.array([64 * n for n in blocks[: geometry.ndim]])
        canvas_transform = fit_canvas_transform(geometry, canvas)
        corners = np.array([np.full(geometry.ndim, -0.5), np.array(geometry.shape) - 0.5])
        low, high = np.sort(canvas_transform.to_working(corners), axis=0)
        assert (low >= -0.5 - 1e-9).all()
        assert (high <= canvas - 0.5 + 1e-9).all()
        np.testing.assert_allclose(low + high, canvas - 1, atol=1e-6)  # centred
        assert np.isclose(high - low, canvas).any()

    @given(geometries())
    def test_physical_proportions_are_kept(self, geometry):
        canvas_transform = fit_canvas_transform(geometry, (64,) * geometry.ndim)
        steps = canvas_transform.to_native(np.eye(geometry.ndim)) - canvas_transform.offset
        lengths = np.linalg.norm(steps * (geometry.spacing or 1), axis=1)
        np.testing.assert_allclose(lengths, lengths[0])

    def test_pixel_edges_meet_canvas_edges(self):
        canvas_transform = fit_canvas_transform(Geometry((100, 50)), (200, 100))
        np.testing.assert_allclose(
            canvas_transform.to_working([[-0.5, -0.5], [99.5, 49.5]]), [[-0.5] * 2, [199.5, 99.5]]
        )
        assert canvas_transform.scale == pytest.approx(0.5)

    def test_pictures_are_never_turned(self):
        assert canonical_axes(Geometry((9, 9), direction=((0, -1), (1, 0)))) == ((0, 1), (1, 1))

    def test_canvas_of_other_dimension_is_refused(self):
        with pytest.raises(InputError, match="separate folders"):
            fit_canvas_transform(Geometry((9, 9)), (64, 64, 64))


class TestPlacing:
    @pytest.mark.parametrize("seed", range(6))
    @pytest.mark.parametrize(
        ("shape", "spacing", "canvas"),
        [
            ((300, 242), None, (192, 192)),  # smaller, as from 968x1200 to 620x768
            ((400, 370), (0.1, 0.2), (128, 192)),
            ((90, 70), (0.3, 0.2), (256, 192)),  # larger
            ((60, 80, 70), (0.3, 0.2, 0.25), (64, 64, 64)),
        ],
    )
    def test_a_blob_arrives_where_its_point_does(self, shape, spacing, canvas, seed):
        rng = np.random.default_rng(seed)
        axes = rng.permutation(len(shape))
        direction = np.eye(len(shape))[axes] * rng.choice((-1, 1), len(shape))
        geometry = Geometry(shape, spacing, direction=tuple(map(tuple, direction.tolist())))
        canvas_transform = fit_canvas_transform(geometry, canvas)
        scale = abs(canvas_transform.matrix).sum(axis=1)
        centre = np.array([rng.uniform(0.4 * n, 0.6 * n) for n in shape])
        working_width = 2.5 * max(1.0, 1 / scale.min())
        array = blob(shape, centre, working_width * scale)
        drawn = resample(MedicalImage(array, geometry, "blob"), canvas_transform)
        expected = canvas_transform.to_working([centre])[0]
        found = centroid_near(drawn, expected, 4 * working_width)
        assert abs(found - expected).max() < 0.05

    @settings(max_examples=20, deadline=None)
    @given(geometries(), st.sampled_from(("uint8", "uint16", "int16", "float32", "float64", "bool")))
    def test_any_image_becomes_zero_to_one(self, geometry, dtype):
        rng = np.random.default_rng(0)
        small = Geometry(tuple(n % 40 + 4 for n in geometry.shape), geometry.spacing, (), geometry.direction)
        array = (rng.random(small.shape) * 200 - 100).clip(0).astype(dtype)
        canvas = (64,) * small.ndim
        drawn = resample(MedicalImage(array, small, "x"), fit_canvas_transform(small, canvas))
        assert drawn.shape == canvas
        assert drawn.dtype == np.float32
        assert drawn.min() >= 0
        assert 0 < drawn.max() <= 1

    def test_same_size_is_the_same_picture(self):
        array = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
        geometry = Geometry(array.shape)
        drawn = resample(MedicalImage(array, geometry, "x"), fit_canvas_transform(geometry, array.shape))
        low, high = np.percentile(array, (0.5, 99.5))
        np.testing.assert_allclose(drawn, np.clip((array - low) / (high - low), 0, 1), atol=1e-6)

    def test_shrinking_averages(self):
        array = np.indices((128, 128)).sum(axis=0) % 2  # a fine chequered pattern is grey from afar
        geometry = Geometry(array.shape)
        drawn = resample(MedicalImage(array, geometry, "x"), fit_canvas_transform(geometry, (64, 64)))
        np.testing.assert_allclose(drawn[1:-1, 1:-1], 0.5, atol=1e-6)

    def test_border_is_repeated_outside(self):
        array = np.tile(np.arange(40.0), (20, 1))
        geometry = Geometry(array.shape)
        drawn = resample(MedicalImage(array, geometry, "x"), fit_canvas_transform(geometry, (128, 128)))
        np.testing.assert_allclose(drawn, np.tile(drawn[64], (128, 1)), atol=1e-6)

    @pytest.mark.parametrize("value", [0, 7, -3.5, np.nan])
    def test_constant_images_are_zero(self, value):
        geometry = Geometry((30, 40))
        drawn = resample(
            MedicalImage(np.full((30, 40), value), geometry, "x"), fit_canvas_transform(geometry, (64, 64))
        )
        assert (drawn == 0).all()

    def test_one_bright_pixel_is_seen(self):
        array = np.zeros((900, 900), np.uint8)
        array[501, 333] = 9
        geometry = Geometry(array.shape)
        canvas_transform = fit_canvas_transform(geometry, (896, 896))
        drawn = resample(MedicalImage(array, geometry, "x"), canvas_transform)
        brightest = np.unravel_index(drawn.argmax(), drawn.shape)
        assert abs(canvas_transform.to_working([[501, 333]])[0] - brightest).max() <= 0.5

    def test_huge_numbers(self):
        array = np.linspace(-1e300, 1e300, 1600).reshape(40, 40)
        geometry = Geometry(array.shape)
        drawn = resample(MedicalImage(array, geometry, "x"), fit_canvas_transform(geometry, (64, 64)))
        assert np.isfinite(drawn).all()
        assert drawn.max() > 0.9


class TestNearlyEmpty:
    """A small thing before a plain background keeps its own shades."""

    @pytest.mark.parametrize("share", [0.002, 0.006, 0.02, 0.08])
    @pytest.mark.parametrize("white", [False, True])
    def test_a_small_thing_keeps_its_shades(self, share, white):
        side = int(200 * share**0.5)
        array = np.zeros((200, 200), np.uint8)
        array[60 : 60 + side, 70 : 70 + side] = np.linspace(100, 250, side, dtype=np.uint8)
        array = 255 - array if white else array
        image = MedicalImage(array, Geometry(array.shape), "a")
        drawn = resample(image, fit_canvas_transform(image.geometry, (200, 200)))
        row = drawn[60 + side // 2, 70 : 70 + side]
        steps = np.diff(-row if white else row)
        assert (steps > 0).mean() > 0.9
        assert abs(row[-1] - row[0]) > 0.4

    def test_an_ordinary_background_changes_nothing(self):
        array = np.random.default_rng(0).integers(0, 200, (100, 100)).astype(np.uint8)
        array[:60] = 0
        low, high = np.percentile(array.astype(float), (0.5, 99.5))
        image = MedicalImage(array, Geometry(array.shape), "a")
        expected = np.clip((array.astype(np.float32) - low) / (high - low), 0, 1)
        np.testing.assert_allclose(
            resample(image, fit_canvas_transform(image.geometry, (100, 100))), expected, atol=1e-6
        )


def test_an_image_too_large_to_be_drawn_at_once_is_drawn_the_same(monkeypatch):
    array = np.random.default_rng(0).integers(-300, 2000, (40, 60, 50)).astype(np.int16)
    image = MedicalImage(array, Geometry(array.shape), "a")
    canvas_transform = fit_canvas_transform(image.geometry, (64, 64, 64))
    whole = resample(image, canvas_transform)
    monkeypatch.setattr("napari_landmark.data.cohort.working_grid._BLOCK", 1000)
    np.testing.assert_array_equal(resample(image, canvas_transform), whole)


class TestPoses:
    @settings(max_examples=15, deadline=None)
    @given(st.sampled_from((2, 3)), st.integers(0, 999), st.booleans())
    def test_what_is_drawn_lies_where_the_transform_says(self, dims, seed, inverted):
        rng = np.random.default_rng(seed)
        shape = tuple(int(n) for n in rng.integers(50, 90, dims))
        geometry = Geometry(shape)
        centre = (np.array(shape) - 1) / 2 + rng.uniform(-6, 6, dims)
        array = blob(shape, centre, np.full(dims, 5.0))
        rotation, _ = np.linalg.qr(rng.normal(size=(dims, dims)))  # reflections, too
        pose = Pose(rng.uniform(0.7, 1.6) * rotation, rng.uniform(-0.03, 0.03, dims), inverted)
        canvas_transform = fit_canvas_transform(geometry, (64,) * dims, pose)
        drawn = resample(MedicalImage(array, geometry, "x"), canvas_transform)
        drawn = 1 - drawn if inverted else drawn
        expected = canvas_transform.to_working([centre])[0]
        reach = 9 / canvas_transform.scale
        np.testing.assert_allclose(centroid_near(drawn, expected, reach), expected, atol=0.25)

    def test_a_quarter_turn_gives_the_turned_image_to_the_last_digit(self):
        array = np.random.default_rng(0).uniform(size=(64, 64))
        geometry = Geometry(array.shape)
        upright = fit_canvas_transform(geometry, (64, 64))
        turned = Pose.of_rotation(np.array([[0.0, -1.0], [1.0, 0.0]]))
        drawn = resample(MedicalImage(array, geometry, "x"), upright.posed(turned))
        # The image is turned counterclockwise relative to the template: in the template's pose it is turned back.
        expected = np.rot90(resample(MedicalImage(array, geometry, "x"), upright), -1)
        np.testing.assert_array_equal(drawn, expected)

    def test_turned_images_are_averaged_by_area(self):
        rng = np.random.default_rng(0)
        coarse = rng.uniform(size=(70, 60))
        array = np.kron(coarse, np.ones((7, 7))) + rng.choice((-0.2, 0.2), (490, 420))  # fine noise
        geometry, canvas = Geometry(array.shape), (70, 60)
        image = MedicalImage(array, geometry, "x")
        upright = fit_canvas_transform(geometry, canvas)
        nearly = Pose.of_rotation([[math.cos(1e-5), -math.sin(1e-5)], [math.sin(1e-5), math.cos(1e-5)]])
        np.testing.assert_allclose(
            resample(image, upright.posed(nearly)), resample(image, upright), atol=0.06
        )

    def test_a_constant_image_becomes_zeros_in_every_pose(self):
        geometry = Geometry((30, 40))
        image = MedicalImage(np.full((30, 40), 7), geometry, "x")
        for pose in (Pose.of_rotation(np.eye(2), inverted=True), Pose(np.eye(2) * 0.7, np.zeros(2), True)):
            assert not resample(image, fit_canvas_transform(geometry, (64, 64), pose)).any()

    def test_a_pose_of_another_number_of_axes_is_refused(self):
        with pytest.raises(InputError, match="axes"):
            fit_canvas_transform(Geometry((9, 9)), (64, 64), Pose.upright(3))
