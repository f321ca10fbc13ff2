"""Layers of any reader become the images, label maps and landmarks of a pair."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels, Points

from napari_landmark.data.errors import InputError
from napari_landmark.gui.layers.pair_inputs import read_pair

from ..pairs import FIXED_CENTRE, SHAPE, SHIFT, all_chosen


class TestInputs:
    def test_coordinates_are_those_of_the_images(self, labelled):
        pair = read_pair(all_chosen(labelled))
        np.testing.assert_allclose(pair.fixed_landmarks["middle"].position, FIXED_CENTRE, atol=1e-9)
        np.testing.assert_allclose(pair.moving_landmarks["middle"].position, FIXED_CENTRE + SHIFT, atol=1e-9)
        np.testing.assert_allclose(pair.moving.geometry.spacing, (0.5, 0.25))
        world = labelled.layers["first"].data_to_world((10, 20))
        np.testing.assert_allclose(pair.fixed.geometry.to_world([(10, 20)])[0], world)
        assert pair.labels == (3,)

    def test_points_without_names_go_by_their_order(self, labelled):
        labelled.layers["points of second"].features = {}
        pair = read_pair(all_chosen(labelled))
        assert list(pair.fixed_landmarks) == list(pair.moving_landmarks) == ["point 1", "point 2"]

    @pytest.mark.parametrize(
        ("others", "reason"),
        [
            ({"moving": None}, "Choose two images"),
            (
                {"fixed_labels": Labels(np.zeros((5, 9), int), name="small")},
                "small has 9 x 5 pixels and first 80 x 60",
            ),
            ({"fixed_labels": Labels(np.full(SHAPE, -2), name="neg")}, "neg: holds the label -2"),
            ({"moving": Image(np.zeros((4, 9, 9)), name="scan")}, "first is a picture and scan a volume"),
            ({"fixed_points": Points(np.zeros((1, 3)), name="p")}, "p has points of 3 axes"),
            ({"fixed_points": Points(np.zeros((1, 2)), name="p")}, "p has 1 points and points of second 2"),
            (
                {"fixed_points": Points(np.zeros((1, 2)), name="p", features={"name": ["other"]})},
                "no name in common",
            ),
            (
                {"fixed_points": Points(np.zeros((2, 2)), name="p", features={"name": ["side", "side"]})},
                "p: .*twice",
            ),
            ({"fixed": Image(np.full(SHAPE, np.nan), name="hole")}, "hole: holds values that are not finite"),
        ],
    )
    def test_what_does_not_fit_is_named(self, labelled, others, reason):
        with pytest.raises(InputError, match=reason):
            read_pair(all_chosen(labelled, **others))

    def test_one_image_twice(self, labelled):
        with pytest.raises(InputError, match="first is chosen as fixed and as moving"):
            read_pair(all_chosen(labelled, moving=labelled.layers["first"]))
