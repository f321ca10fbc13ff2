"""Heatmaps are shown over the image and disappear with it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_landmark.data.geometry import Geometry
from napari_landmark.gui.layers.heatmap_layers import along_image_axes, on_image
from napari_landmark.gui.layers.layer_transforms import layer_place
from napari_landmark.gui.layers.viewer_session import get_session

from ..conftest import NAMES


@pytest.fixture
def session(viewer):
    return get_session(viewer)


class TestHeatmaps:
    def test_they_show_the_current_landmark(self, viewer, session, layer_manager):
        maps = np.stack([np.full((8, 6), 0.1 * n, np.float32) for n in range(4)])
        layer_manager.heatmaps.show(NAMES, maps, np.eye(2) * 4, np.full(2, 1.5))
        session.select_landmark("capitate")
        np.testing.assert_allclose(viewer.layers["Heatmap"].data, maps[3])
        np.testing.assert_allclose(viewer.layers["All heatmaps"].data, maps.max(axis=0))
        assert viewer.layers["Heatmap"].blending == "additive"
        assert viewer.layers.index("Heatmap") < viewer.layers.index("Landmarks")

    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
    @pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1), (1, -1, -1)])
    def test_volumes_show_the_plane_of_the_image(self, order, signs):
        # A bright voxel of the heatmap has the position of its landmark, in the slice that the viewer shows.
        shape, step = (24, 40, 32), 4
        heat_shape = tuple(shape[axis] // step for axis in order)
        matrix = np.zeros((3, 3))
        for heat_axis, (axis, sign) in enumerate(zip(order, signs, strict=True)):
            matrix[axis, heat_axis] = sign * step
        offset = (np.array(shape) - 1) / 2 - matrix @ ((np.array(heat_shape) - 1) / 2)
        bright = (1, 3, 2)
        maps = np.zeros((1, *heat_shape), np.float32)
        maps[(0, *bright)] = 1
        landmark = matrix @ bright + offset
        geometry = Geometry(shape, (2.0, 0.5, 0.5), (5.0, -3.0, 1.0), ((-1, 0, 0), (0, 1, 0), (0, 0, 1)))
        turned, matrix, offset = along_image_axes(maps, matrix, offset)
        viewer = ViewerModel()
        image = viewer.add_image(np.zeros(shape), **layer_place(geometry))
        layer = viewer.add_image(turned[0], **layer_place(geometry, matrix, offset))
        viewer.dims.set_point(range(3), image.data_to_world(landmark))
        shown = layer._data_view if hasattr(layer, "_data_view") else layer._slice.image.view
        assert shown.shape == (shape[1] // step, shape[2] // step)
        assert shown.max() == 1
        peak = np.unravel_index(np.argmax(layer.data), layer.data.shape)
        np.testing.assert_allclose(layer.data_to_world(peak), image.data_to_world(landmark), atol=1e-9)

    def test_they_go_with_their_image(self, viewer, session, layer_manager):
        layer_manager.heatmaps.show(NAMES, np.ones((4, 8, 6), np.float32), np.eye(2) * 4, np.zeros(2))
        session.step(1)
        assert "Heatmap" not in viewer.layers


def test_a_picture_turned_by_any_angle_keeps_its_heatmaps():
    maps = np.random.default_rng(0).uniform(size=(2, 4, 3))
    matrix, offset = np.array([[0.8, -0.6], [0.6, 0.8]]), np.array([1.0, 2.0])
    turned, same, start = along_image_axes(maps, matrix, offset)
    assert turned is maps
    np.testing.assert_array_equal(same, matrix)
    np.testing.assert_array_equal(start, offset)


@pytest.mark.parametrize("shape", [(24, 40, 32), (25, 41, 30)])
def test_heatmaps_of_volumes_end_with_the_volume(shape):
    """The slider of the viewer does not grow, and the peak stays where it is."""
    steps, cells = np.array((4.0, 5.0, 3.0)), (9, 11, 14)  # beyond the volume at each end
    offset = (np.array(shape) - 1) / 2 - steps * (np.array(cells) - 1) / 2
    maps = np.zeros((1, *cells), np.float32)
    grid = np.stack(np.meshgrid(*map(np.arange, cells), indexing="ij"), -1)
    peak = np.array((4.3, 5.6, 7.2))
    maps[0] = np.exp(-((grid - peak) ** 2).sum(-1) / 6)
    resampled, matrix, start = on_image(maps, np.diag(steps), offset, shape)
    ends = [start - np.diag(matrix) / 2, start + np.diag(matrix) * (np.array(resampled.shape[1:]) - 0.5)]
    np.testing.assert_allclose(ends, [(-0.5,) * 3, np.array(shape) - 0.5])
    weights = resampled[0] ** 4
    own = np.stack(np.meshgrid(*map(np.arange, weights.shape), indexing="ij"), -1)
    middle = (own * weights[..., None]).sum((0, 1, 2)) / weights.sum()
    np.testing.assert_allclose(np.diag(matrix) * middle + start, steps * peak + offset, atol=0.5)
    geometry = Geometry(shape, (2.0, 0.5, 0.5))
    viewer = ViewerModel()
    viewer.add_image(np.zeros(shape), **layer_place(geometry))
    before = viewer.dims.range
    viewer.add_image(resampled[0], **layer_place(geometry, matrix, start))
    assert viewer.dims.range == before
