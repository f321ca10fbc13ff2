from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.data.errors import InputError
from napari_landmark.shape.thin_plate import ThinPlateSpline


@pytest.mark.parametrize("axes", [2, 3])
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-3, 1.0, 1e4]))
def test_landmarks_are_taken_to_their_targets(axes, seed, scale):
    rng = np.random.default_rng(seed)
    sources, targets = scale * rng.normal(size=(9, axes)), scale * rng.normal(size=(9, axes))
    spline = ThinPlateSpline.between(sources, targets)
    np.testing.assert_allclose(spline(sources), targets, atol=1e-6 * scale)


@pytest.mark.parametrize("axes", [2, 3])
def test_an_affine_map_bends_nothing(axes):
    rng = np.random.default_rng(0)
    sources, points = rng.normal(size=(8, axes)), rng.normal(size=(20, axes))
    matrix, shift = rng.normal(size=(axes, axes)), rng.normal(size=axes)
    spline = ThinPlateSpline.between(sources, sources @ matrix + shift)
    np.testing.assert_allclose(spline(points), points @ matrix + shift, atol=1e-9)
    assert spline.bending_energy < 1e-12
    bent = sources @ matrix + shift
    bent[0] += 0.3
    assert ThinPlateSpline.between(sources, bent).bending_energy > 1e-3


@pytest.mark.parametrize("sources", [[[0, 0], [1, 1], [2, 2], [3, 3]], [[0, 0], [0, 0], [1, 2], [3, 1]]])
def test_landmarks_on_a_line_or_at_one_position_are_refused(sources):
    with pytest.raises(InputError, match="different positions"):
        ThinPlateSpline.between(np.array(sources, float), np.zeros((4, 2)))


@pytest.mark.parametrize("axes", [2, 3])
def test_it_is_the_spline_of_morphops(axes):
    morphops = pytest.importorskip("morphops")
    rng = np.random.default_rng(3)
    sources, targets, points = (rng.normal(size=(n, axes)) for n in (10, 10, 40))
    ours = ThinPlateSpline.between(sources, targets)(points)
    np.testing.assert_allclose(ours, morphops.tps_warp(sources, targets, points), atol=1e-9)
