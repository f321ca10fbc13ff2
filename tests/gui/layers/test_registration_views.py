"""Arrays that show a registration on the fixed image."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.gui.layers.pair_inputs import ChosenLayers, read_pair
from napari_landmark.gui.layers.registration_views import arrow_heads, draw_views
from napari_landmark.registration.transform.transform import Transform

from ..pairs import FIXED_CENTRE, SHAPE, SHIFT, SIDE, all_chosen, shifted, twins


class TestViews:
    @pytest.fixture
    def pair(self, labelled):
        return read_pair(all_chosen(labelled))

    def test_what_is_drawn_lies_on_the_fixed_image(self, pair):
        views = draw_views(shifted(pair.fixed.geometry, pair.moving.geometry), pair)
        assert np.unravel_index(views.warped.argmax(), SHAPE) == tuple(FIXED_CENTRE)
        inner = (slice(8, -8), slice(12, -12))
        np.testing.assert_allclose(views.warped[inner], pair.fixed.array[inner], atol=1)
        np.testing.assert_array_equal(views.labels[inner], pair.fixed_labels[inner])
        np.testing.assert_allclose(views.landmarks["side"].position, FIXED_CENTRE + SIDE, atol=1e-3)
        assert not views.folds.any()

    def test_arrows_and_volumes_of_a_known_map(self, pair):
        geometry = pair.fixed.geometry
        world = shifted(geometry, geometry)
        views = draw_views(world, read_pair(ChosenLayers(*twins(pair))))
        np.testing.assert_allclose(
            views.arrows[:, 1], np.broadcast_to(SHIFT, views.arrows[:, 1].shape), atol=1e-4
        )
        np.testing.assert_allclose(views.jacobian, 1.0, atol=1e-4)

    def test_the_grid_is_drawn_where_the_moving_image_is(self, pair):
        twice = read_pair(ChosenLayers(*twins(pair)))
        geometry = twice.fixed.geometry
        moved = Transform.affine(np.eye(2), (30.0, 0.0), fixed=geometry, moving=geometry)
        grid = draw_views(moved, twice).grid
        inside = moved.to_moving(np.argwhere(grid > 0).astype(float))
        assert ((inside > -0.6) & (inside < np.array(geometry.shape) - 0.4)).all()
        assert 0.02 < (grid > 127).mean() < 0.4

    def test_arrows_have_heads_at_their_tips(self):
        arrows = np.array([[[10.0, 10.0], [0.0, 20.0]], [[30.0, 5.0], [0.2, 0.2]], [[5.0, 6.0], [-9.0, 0.0]]])
        heads = arrow_heads(arrows)
        assert heads.shape == (4, 2, 2)  # two strokes each, none of what is shorter than a pixel
        np.testing.assert_allclose(heads[:, 0], [[10, 30], [-4, 6], [10, 30], [-4, 6]])
        along = np.einsum("ij,ij->i", heads[:, 1], arrows[[0, 2, 0, 2], 1])
        assert (along < 0).all()  # back from the tip
        np.testing.assert_allclose(heads[:2, 1] + heads[2:, 1], [[0, along[0] / 10], [-along[1] / 4.5, 0]])

    def test_squares_are_of_both(self, pair):
        views = draw_views(shifted(pair.fixed.geometry, pair.moving.geometry), pair)
        twice = read_pair(ChosenLayers(*twins(pair)))
        other = draw_views(Transform.identity(twice.fixed.geometry, twice.moving.geometry), twice)
        spot = tuple(slice(int(c) - 3, int(c) + 4) for c in FIXED_CENTRE)
        np.testing.assert_allclose(views.checkerboard[spot], other.checkerboard[spot], atol=3.0)
        assert views.checkerboard.max() == 255
