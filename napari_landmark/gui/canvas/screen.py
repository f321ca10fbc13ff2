"""Where positions of a layer are drawn on the canvas of a viewer."""

from __future__ import annotations

import math
import weakref

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from numpy.typing import ArrayLike, NDArray
from qtpy.QtWidgets import QWidget

from napari_landmark.gui.layers.layer_transforms import camera_of

_AXES_ON_SCREEN = ("away", "down", "right")  # of napari's camera, unless a user turned them about


class Screen:
    """Positions of layers in pixels of the canvas, in slices and in the 3-D rendering.

    Parameters
    ----------
    viewer : ViewerModel
    widget : QWidget
        The canvas.
    """

    def __init__(self, viewer: ViewerModel, widget: QWidget) -> None:
        self._viewer = weakref.ref(viewer)
        self._widget = widget

    @property
    def is_flat(self) -> bool:
        """Whether one canvas shows slices; positions in a grid of canvases are not known."""
        return self._shows(2)

    @property
    def is_rendered(self) -> bool:
        """Whether one canvas shows a 3-D rendering, of which `to_data` knows no depth."""
        return self._shows(3)

    @property
    def shape(self) -> tuple[float, float]:
        """Height and width in logical pixels."""
        return float(self._widget.height()), float(self._widget.width())

    @property
    def zoom(self) -> float:
        """Logical pixels of the screen for a unit of the world."""
        viewer = self._viewer()
        return 1.0 if viewer is None else float(camera_of(viewer).zoom)

    def displayed(self, layer: Layer) -> list[int]:
        """Axes of a layer that the canvas shows, that of its rows first."""
        viewer = self._viewer()
        if viewer is None:
            return [layer.ndim - 2, layer.ndim - 1]
        first = viewer.dims.ndim - layer.ndim
        return [axis - first for axis in viewer.dims.displayed if axis >= first]

    def to_screen(self, layer: Layer, positions: ArrayLike) -> NDArray[np.float64]:
        """(n, 2) places [y, x] on the canvas of (n, d) positions in data coordinates of a layer."""
        linear, offset = _to_world(layer)
        world = np.asarray(positions, dtype=float).reshape(-1, layer.ndim) @ linear.T + offset
        viewer = self._viewer()
        if viewer is not None and viewer.dims.ndisplay == 3:
            return self._projected(viewer, world[:, self.displayed(layer)])
        center, scale = self._camera()
        places = (world[:, self.displayed(layer)] - center) * scale + np.array(self.shape) / 2
        return np.asarray(places, dtype=np.float64)

    def to_data(self, layer: Layer, place: ArrayLike) -> NDArray[np.float64]:
        """(d,) position in data coordinates of a layer, in the shown slice, of a place [y, x] on the canvas."""
        viewer = self._viewer()
        linear, offset = _to_world(layer)
        center, scale = self._camera()
        first = 0 if viewer is None else viewer.dims.ndim - layer.ndim
        world = np.zeros(layer.ndim) if viewer is None else np.array(viewer.dims.point[first:], dtype=float)
        world[self.displayed(layer)] = (
            np.asarray(place, dtype=float) - np.array(self.shape) / 2
        ) / scale + center
        return np.asarray(np.linalg.solve(linear, world - offset), dtype=np.float64)

    def pixel(self, layer: Layer) -> float:
        """Logical pixels of the screen for a pixel of a layer, the mean of its shown axes."""
        axes = self.displayed(layer)
        return self.zoom * float(np.linalg.norm(_to_world(layer)[0][:, axes], axis=0).mean())

    def _shows(self, ndisplay: int) -> bool:
        viewer = self._viewer()
        if viewer is None or viewer.dims.ndisplay != ndisplay:
            return False
        # Since napari 0.9 the canvas has the grid.
        grid = getattr(getattr(viewer, "canvas", None), "grid", None) or viewer.grid
        return not grid.enabled

    def _projected(self, viewer: ViewerModel, world: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) places [y, x] of (n, 3) positions of the world; NaN of those behind a camera with perspective."""
        camera = camera_of(viewer)
        ahead, up = np.array(camera.view_direction), np.array(camera.up_direction)
        sides = [str(getattr(side, "value", side)) for side in camera.orientation]
        mirrored = sum(side != usual for side, usual in zip(sides, _AXES_ON_SCREEN, strict=True)) % 2
        right = np.cross(ahead, up) * (1 if mirrored else -1)  # axes are in reverse order, which mirrors, too
        away = world - np.array(camera.center)
        places = np.stack([-away @ up, away @ right], axis=1) * camera.zoom
        if camera.perspective > 0:
            distance = self.shape[0] / camera.zoom / (2 * math.tan(math.radians(camera.perspective) / 2))
            depth = distance + away @ ahead
            places = places * np.where(depth > 0, distance / depth, np.nan)[:, None]
        return np.asarray(places + np.array(self.shape) / 2, dtype=np.float64)

    def _camera(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        viewer = self._viewer()
        if viewer is None:
            return np.zeros(2), np.ones(2)
        camera = camera_of(viewer)
        down, right = (str(getattr(side, "value", side)) for side in camera.orientation2d)
        signs = np.array([-1.0 if down == "up" else 1.0, -1.0 if right == "left" else 1.0])
        return np.array(camera.center, dtype=float)[-2:], camera.zoom * signs


def _to_world(layer: Layer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix and offset from data coordinates to the world; `data_to_world` of napari takes one point at a time."""
    affine = np.asarray(layer.affine.affine_matrix, dtype=float)
    matrix, move = affine[:-1, :-1], affine[:-1, -1]
    return matrix * np.asarray(layer.scale), matrix @ np.asarray(layer.translate) + move
