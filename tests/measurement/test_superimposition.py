from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.measurement.superimposition import superimpose

NAMES = ("A", "B", "C", "D", "E")
SCHEMA = LandmarkSchema(NAMES)


def rotation(ndim: int, seed: int) -> np.ndarray:
    made, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(ndim, ndim)))
    made[:, 0] *= np.sign(np.linalg.det(made))
    return made


@given(st.integers(2, 3), st.integers(0, 10_000))
def test_a_moved_image_lies_on_the_fixed_one_and_growth_is_left_over(ndim, seed):
    rng = np.random.default_rng(seed)
    fixed_mm = rng.uniform(0, 100, (5, ndim))
    grown = fixed_mm.copy()
    grown[4] += 7.0  # in mm along each axis
    moving_mm = grown @ rotation(ndim, seed).T + 30
    spacing = (0.5, 0.25, 2.0)[:ndim]
    other = (0.1, 0.4, 1.0)[:ndim]
    found = superimpose(
        LandmarkSet.from_array(SCHEMA, fixed_mm / spacing),
        LandmarkSet.from_array(SCHEMA, moving_mm / other),
        NAMES[:4],
        fixed_geometry=Geometry((9,) * ndim, spacing),
        moving_geometry=Geometry((9,) * ndim, other),
    )
    assert found.unit == "mm"
    assert found.rms == pytest.approx(0, abs=1e-6)
    assert_allclose(found.differences[:4], 0, atol=1e-6)
    assert_allclose(found.differences[4], 7.0, atol=1e-6)
    assert_allclose(found.moved[4], grown[4] / spacing, atol=1e-6)


def test_without_a_spacing_the_size_is_fitted_and_told():
    fixed = np.array([[0, 0], [0, 10], [10, 0], [7, 7], [3, 1.0]])
    found = superimpose(
        LandmarkSet.from_array(SCHEMA, fixed),
        LandmarkSet.from_array(SCHEMA, 3 * fixed + 4),
        NAMES,
        fixed_geometry=Geometry((20, 20)),
        moving_geometry=Geometry((90, 90), (0.1, 0.1)),
    )
    assert (found.unit, found.scale) == ("px", pytest.approx(1 / 3))
    assert_allclose(found.moved, fixed, atol=1e-9)


def test_a_mirror_image_is_not_turned_inside_out():
    fixed = np.array([[0, 0], [0, 10], [10, 3], [7, 7], [3, 1.0]])
    geometry = Geometry((20, 20), (1.0, 1.0))
    found = superimpose(
        LandmarkSet.from_array(SCHEMA, fixed),
        LandmarkSet.from_array(SCHEMA, fixed * [1, -1] + [0, 19]),
        NAMES,
        fixed_geometry=geometry,
        moving_geometry=geometry,
    )
    assert found.rms > 1


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        (("A",), "1 landmarks to superimpose on: choose 2 or more"),
        (("A", "E"), "E: has no position in the other image"),
        (("A", "F"), "F: has no position in this image"),
        (("A", "B"), "do not tell the rotation"),
    ],
)
def test_what_cannot_be_superimposed_is_told(on, expected):
    fixed = np.array([[1, 1], [1, 1], [10, 0], [7, 7], [3, 1.0]])
    moving = fixed.copy()
    moving[4] = np.nan
    geometry = Geometry((20, 20), (1.0, 1.0))
    with pytest.raises(InputError, match=expected):
        superimpose(
            LandmarkSet.from_array(SCHEMA, fixed),
            LandmarkSet.from_array(SCHEMA, moving),
            on,
            fixed_geometry=geometry,
            moving_geometry=geometry,
        )
