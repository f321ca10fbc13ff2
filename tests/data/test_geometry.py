from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_landmark.data.errors import InputError, UnknownSpacingError
from napari_landmark.data.geometry import Geometry, SpacingSource, nearest_rotation

lengths = st.floats(0.01, 20)
positions = st.floats(-500, 500)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Any rotation or reflection, any spacing, any origin."""
    ndim = draw(st.sampled_from((2, 3)))
    seed = draw(st.integers(0, 2**31))
    direction, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(ndim, ndim)))
    return Geometry(
        shape=tuple(draw(st.lists(st.integers(1, 400), min_size=ndim, max_size=ndim))),
        spacing=tuple(draw(st.lists(lengths, min_size=ndim, max_size=ndim))),
        origin=tuple(draw(st.lists(positions, min_size=ndim, max_size=ndim))),
        direction=tuple(map(tuple, direction.tolist())),
    )


class TestWorld:
    @settings(max_examples=40)
    @given(geometries(), st.integers(0, 2**31))
    def test_index_comes_back_from_world(self, geometry, seed):
        points = np.random.default_rng(seed).uniform(-100, 500, (7, geometry.ndim))
        np.testing.assert_allclose(geometry.to_index(geometry.to_world(points)), points, atol=1e-6)

    @settings(max_examples=40)
    @given(geometries())
    def test_index_zero_is_the_origin_whatever_the_spacing(self, geometry):
        other = geometry.with_spacing(0.3)
        np.testing.assert_allclose(other.to_world(np.zeros((1, geometry.ndim)))[0], geometry.origin)

    def test_columns_of_the_direction_are_the_axes(self):
        geometry = Geometry((9, 9), spacing=(2, 3), origin=(10, 20), direction=((0, -1), (1, 0)))
        np.testing.assert_allclose(geometry.to_world([[1, 0], [0, 1]]), [[10, 22], [7, 20]])

    def test_no_points_are_no_points(self):
        assert Geometry((9, 9), spacing=(1, 1)).to_world([]).shape == (0, 2)

    def test_millimetres_without_spacing_are_refused(self):
        with pytest.raises(UnknownSpacingError, match="mm per pixel"):
            Geometry((9, 9)).to_world([[0, 0]])

    def test_points_of_other_width_are_refused(self):
        with pytest.raises(ValueError, match=r"\(n, 2\), got \(1, 3\)"):
            Geometry((9, 9), spacing=(1, 1)).to_world([[0, 0, 0]])


class TestSpacing:
    def test_unknown_by_default(self):
        geometry = Geometry((9, 9))
        assert not geometry.has_spacing
        assert geometry.mean_spacing is None
        assert geometry.spacing_source is SpacingSource.UNKNOWN

    def test_given_by_a_person(self):
        geometry = Geometry((9, 9), spacing=(1, 1), spacing_source=SpacingSource.FILE).with_spacing((0.5, 2))
        assert geometry.spacing == (0.5, 2.0)
        assert geometry.mean_spacing == pytest.approx(1.0)
        assert geometry.spacing_source is SpacingSource.USER

    @pytest.mark.parametrize("spacing", [(0, 1), (-1, 1), (float("nan"), 1), (1, 1, 1), (1,)])
    def test_impossible_ones_are_refused(self, spacing):
        with pytest.raises(InputError, match="spacing"):
            Geometry((9, 9), spacing=spacing)


class TestContains:
    def test_pixels_reach_half_a_step_around_their_centre(self):
        geometry = Geometry((10, 20))
        points = [[-0.5, 0], [-0.6, 0], [9.5, 19.5], [9.6, 0], [np.nan, 0]]
        assert geometry.contains(points).tolist() == [True, False, True, False, False]

    def test_margin(self):
        geometry = Geometry((10, 20))
        assert geometry.contains([[-2, 0]], margin=2).all()
        assert not geometry.contains([[0, 0]], margin=-1).any()


class TestValidation:
    @pytest.mark.parametrize("shape", [(), (4,), (4, 0), (2, 2, 2, 2)])
    def test_shape(self, shape):
        with pytest.raises(InputError, match="shape"):
            Geometry(shape)

    @pytest.mark.parametrize("direction", [((1, 0), (1, 0)), ((1, 0, 0), (0, 1, 0)), ((1, 0), (0, np.inf))])
    def test_direction(self, direction):
        with pytest.raises(InputError, match="direction"):
            Geometry((9, 9), direction=direction)

    def test_origin(self):
        with pytest.raises(InputError, match="origin"):
            Geometry((9, 9), origin=(1, 2, 3))


class TestNearestRotation:
    def test_a_mirrored_matrix_stays_mirrored(self):
        exact = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, -1]])
        rounded = exact + 0.002 * np.array([[0, 0, 0], [0, 1.0, 0], [0, 0, 0]])
        found = nearest_rotation(rounded)
        np.testing.assert_allclose(found @ found.T, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(found, exact, atol=0.002)

    @pytest.mark.parametrize("matrix", [[[1, 0.01], [0, 1]], [[1.01, 0], [0, 1]], [[1, 0], [np.nan, 1]]])
    def test_shear_scale_and_nan_are_refused(self, matrix):
        with pytest.raises(InputError):
            nearest_rotation(matrix)
