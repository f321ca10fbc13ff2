"""Index coordinates and world coordinates agree with the image, whichever reader opened it."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Points

from napari_landmark.data.geometry import Geometry, SpacingSource
from napari_landmark.gui.layers.layer_transforms import geometry_of, layer_place, points_between, put

MIRRORED = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
TURNED = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
GEOMETRIES = {
    "unknown": Geometry((40, 30)),
    "spacing": Geometry((40, 30), (0.2, 0.3), (5.0, -7.0)),
    "mirrored": Geometry((40, 30), (0.2, 0.3), (5.0, -7.0), ((-1.0, 0.0), (0.0, 1.0))),
    "volume": Geometry((10, 40, 30), (2.0, 0.3, 0.4), (1.0, 2.0, 3.0), MIRRORED),
}


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
class TestLayerPlace:
    def test_world_is_that_of_the_geometry(self, geometry):
        layer = Image(np.zeros(geometry.shape), **layer_place(geometry))
        point = np.arange(1.0, geometry.ndim + 1) * 3.3
        expected = geometry.to_world([point])[0] if geometry.has_spacing else point
        np.testing.assert_allclose(layer.data_to_world(point), expected, atol=1e-9)
        unit = "millimeter" if geometry.has_spacing else "pixel"
        assert [str(u) for u in layer.units] == [unit] * geometry.ndim
        assert layer.axis_labels == ("z", "y", "x")[3 - geometry.ndim :]

    def test_a_grid_of_its_own(self, geometry):
        matrix, offset = np.diag([4.0, 2.0, 3.0][: geometry.ndim]), np.full(geometry.ndim, 1.5)
        image = Image(np.zeros(geometry.shape), **layer_place(geometry))
        maps = Image(np.zeros(geometry.shape), **layer_place(geometry, matrix, offset))
        point = np.full(geometry.ndim, 2.0)
        np.testing.assert_allclose(
            maps.data_to_world(point), image.data_to_world(matrix @ point + offset), atol=1e-9
        )

    def test_a_layer_can_be_moved_there(self, geometry):
        layer = Points(np.ones((1, geometry.ndim)), scale=[7.0] * geometry.ndim)
        put(layer, layer_place(geometry))
        image = Image(np.zeros(geometry.shape), **layer_place(geometry))
        np.testing.assert_allclose(layer.data_to_world(layer.data[0]), image.data_to_world(layer.data[0]))

    def test_and_read_back(self, geometry):
        found = geometry_of(Image(np.zeros(geometry.shape), **layer_place(geometry)))
        assert found.shape == geometry.shape
        assert found.has_spacing == geometry.has_spacing
        if geometry.has_spacing:
            np.testing.assert_allclose(found.spacing, geometry.spacing)
            np.testing.assert_allclose(found.origin, geometry.origin)
            np.testing.assert_allclose(found.direction, geometry.direction, atol=1e-12)


def test_a_turned_volume_is_shown_along_its_own_axes():
    # napari draws slices of turned volumes wrongly.
    place = layer_place(Geometry((10, 40, 30), (2.0, 0.3, 0.4), (1.0, 2.0, 3.0), TURNED))
    np.testing.assert_allclose(place["affine"][:3, :3], np.eye(3))
    np.testing.assert_allclose(place["scale"], (2.0, 0.3, 0.4))


class TestOtherReaders:
    def test_negative_scale_inside_an_affine(self):
        affine = np.diag([-2.0, -0.5, 1.0])
        affine[:2, 2] = (80, 20)
        image = Image(np.zeros((40, 30)), affine=affine, units=("mm", "mm"))
        world = image.data_to_world((10, 4))
        points = Points(np.array([world]), units=("mm", "mm"))
        np.testing.assert_allclose(points_between(points, image), [(10, 4)], atol=1e-9)
        geometry = geometry_of(image)
        np.testing.assert_allclose(geometry.to_world([(10, 4)])[0], world, atol=1e-9)
        assert geometry.spacing_source is SpacingSource.FILE

    def test_rotated_and_shifted_points_on_a_scaled_image(self):
        image = Image(np.zeros((40, 30)), scale=(0.5, 0.25), translate=(3, 4), units=("mm", "mm"))
        points = Points(np.zeros((1, 2)), rotate=30, scale=(2, 2), translate=(1, 1), units=("mm", "mm"))
        points.data = np.array([points.world_to_data(image.data_to_world((12, 8)))])
        np.testing.assert_allclose(points_between(points, image), [(12, 8)], atol=1e-9)

    def test_micrometres_become_millimetres(self):
        image = Image(np.zeros((40, 30)), scale=(250, 250), units=("um", "um"))
        np.testing.assert_allclose(geometry_of(image).spacing, (0.25, 0.25))

    def test_pixels_are_no_length(self):
        assert geometry_of(Image(np.zeros((40, 30)), scale=(2, 2))).spacing is None
