"""Arrays that show a registration on the fixed image."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.gui.layers.pair_inputs import ChosenLayers, read_pair
from napari_landmark.gui.layers.registration_views import draw_views
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

    def test_squares_are_of_both(self, pair):
        views = draw_views(shifted(pair.fixed.geometry, pair.moving.geometry), pair)
        twice = read_pair(ChosenLayers(*twins(pair)))
        other = draw_views(Transform.identity(twice.fixed.geometry, twice.moving.geometry), twice)
        spot = tuple(slice(int(c) - 3, int(c) + 4) for c in FIXED_CENTRE)
        np.testing.assert_allclose(views.checkerboard[spot], other.checkerboard[spot], atol=3.0)
        assert views.checkerboard.max() == 255
