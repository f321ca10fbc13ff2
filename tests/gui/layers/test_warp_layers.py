"""Layers of a moving volume are warped onto the fixed one."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.gui.layers.warp_layers import warp_layers
from napari_landmark.registration.transform.transform import Transform

SHAPE, SHIFT = (8, 12, 14), np.array([1.0, 2.0, -3.0])
SPACING = (2.0, 0.5, 0.5)
FIXED = {"scale": SPACING, "translate": (10, 0, 0)}
MOVING = {"scale": SPACING, "translate": (0, 7, 0)}
SPOT = (3, 5, 8)


@pytest.fixture
def transform() -> Transform:
    """What is at index x of the fixed volume lies at x + SHIFT of the moving one."""
    fixed, moving = Geometry(SHAPE, SPACING, (10, 0, 0)), Geometry(SHAPE, SPACING, (0, 7, 0))
    offset = np.array([0, 7, 0]) + SHIFT * SPACING - np.array([10, 0, 0])
    return Transform.affine(np.eye(3), offset, fixed=fixed, moving=moving)


def test_image_labels_and_points_of_a_volume(transform):
    viewer, there = ViewerModel(), tuple((np.array(SPOT) + SHIFT).astype(int))
    values = np.zeros(SHAPE, np.int16)
    values[there] = 900
    image = viewer.add_image(values, name="scan", **MOVING)
    labels = viewer.add_labels((values > 0).astype(np.uint8), name="bone", **MOVING)
    points = viewer.add_points(
        [there, (0, 0, 13)], name="marks", features={"name": ["spot", "corner"]}, **MOVING
    )
    warped = warp_layers(viewer, [image, labels, points], transform, fixed_place=FIXED, moving_place=MOVING)
    assert [layer.name for layer in warped] == ["Warped scan", "Warped bone", "Warped marks"]
    assert np.unravel_index(warped[0].data.argmax(), SHAPE) == SPOT
    assert warped[0].data.dtype == np.int16
    assert np.unravel_index(warped[1].data.argmax(), SHAPE) == SPOT
    np.testing.assert_allclose(warped[2].data[0], SPOT, atol=1e-3)
    assert warped[2].features["name"][0] == "spot"
    np.testing.assert_allclose(
        warped[2].data_to_world(warped[2].data[0]), np.array(SPOT) * SPACING + [10, 0, 0]
    )


def test_points_of_a_picture_are_no_points_of_a_volume(transform):
    viewer = ViewerModel()
    points = viewer.add_points([(1, 2)], name="flat")
    with pytest.raises(InputError, match="flat: has points of 2 axes, the moving image has 3"):
        warp_layers(viewer, [points], transform, fixed_place=FIXED, moving_place=MOVING)
    assert list(viewer.layers) == [points]
