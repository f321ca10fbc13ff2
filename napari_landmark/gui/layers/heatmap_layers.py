"""Layers of the heatmaps of the current image."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_landmark.gui.layers.layer_transforms import layer_place
from napari_landmark.gui.session.session import Session

_ROUNDING = 1e-9  # of quarter turns
_ONE, _ALL = "Heatmap", "All heatmaps"


class HeatmapLayers:
    """Two layers over the image: heatmap of the current landmark, and maximum of all heatmaps.

    Parameters
    ----------
    viewer : ViewerModel
    session : Session
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._heatmaps: NDArray[np.float32] | None = None
        self._names: tuple[str, ...] = ()
        self._layers: dict[str, Image] = {}
        session.landmark_changed.connect(self._on_landmark_changed)

    def show(self, names: tuple[str, ...], heatmaps: NDArray, matrix: NDArray, offset: NDArray) -> None:
        """Show the heatmaps of the current image.

        Parameters
        ----------
        names : tuple of str
            Of the landmarks, in the order of the maps.
        heatmaps : (landmarks, *shape) array
            0 to 1.
        matrix, offset : array
            Image index = matrix @ heatmap index + offset.
        """
        viewer = self._viewer()
        if viewer is None:
            return
        heatmaps, matrix, offset = along_image_axes(heatmaps, np.asarray(matrix), np.asarray(offset))
        self._heatmaps, self._names = heatmaps, names
        place = layer_place(self._session.geometry(), matrix, offset)
        self._put(viewer, _ALL, heatmaps.max(axis=0), "cyan", place, visible=False)
        self._put(viewer, _ONE, self._selected(heatmaps), "magma", place, visible=True)

    def owns(self, layer: Layer) -> bool:
        """Whether a layer of the viewer is one of these layers."""
        return any(layer is own for own in self._layers.values())

    def clear(self) -> None:
        """Remove the heatmaps."""
        viewer = self._viewer()
        for layer in self._layers.values():
            if viewer is not None and layer in viewer.layers:
                viewer.layers.remove(layer)
        self._layers.clear()
        self._heatmaps = None

    def _selected(self, heatmaps: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._session.current_landmark in self._names:
            return heatmaps[self._names.index(self._session.current_landmark)]
        return np.zeros_like(heatmaps[0])

    def _put(
        self,
        viewer: ViewerModel,
        name: str,
        data: NDArray,
        colormap: str,
        place: dict[str, Any],
        *,
        visible: bool,
    ) -> None:
        known = self._layers.get(name)
        if known is not None and known in viewer.layers:
            visible = known.visible  # as the user left it
            viewer.layers.remove(known)
        selected = set(viewer.layers.selection)
        layer = viewer.add_image(
            data,
            name=name,
            colormap=colormap,
            blending="additive",
            contrast_limits=(0.03, 1),
            opacity=0.6,
            visible=visible,
            **place,
        )
        self._layers[name] = layer
        # Right above the image, so that the points stay on top.
        viewer.layers.move(viewer.layers.index(layer), 1)
        viewer.layers.selection = selected & set(viewer.layers)

    def _on_landmark_changed(self) -> None:
        layer = self._layers.get(_ONE)
        viewer = self._viewer()
        if self._heatmaps is not None and layer is not None and viewer is not None and layer in viewer.layers:
            layer.data = self._selected(self._heatmaps)


def along_image_axes(
    heatmaps: NDArray, matrix: NDArray, offset: NDArray
) -> tuple[NDArray, NDArray[np.float64], NDArray[np.float64]]:
    """Permute and flip the axes of heatmaps to those of the image.

    The working grid of volumes follows the axes of the world, and napari slices a layer along its own axes:
    a layer whose axes its transform permutes would show another plane than the image.

    Parameters
    ----------
    heatmaps : (n, *shape) array
    matrix, offset : (d, d) and (d,) arrays
        Image index = matrix @ heatmap index + offset; of a volume one value in every row and column of the matrix.

    Returns
    -------
    heatmaps : (n, *shape) array
        A view.
    matrix, offset : arrays
        As above; the matrix is diagonal and positive, but for a picture that is turned by no quarter turn, whose
        heatmaps stay as they are: napari draws them rotated.
    """
    along = np.abs(matrix)
    if ((along > _ROUNDING * along.max()).sum(axis=0) > 1).any():
        return heatmaps, matrix, np.array(offset, dtype=float)
    order = np.abs(matrix).argmax(axis=1)  # axis of the heatmap parallel to each axis of the image
    steps = matrix[np.arange(len(order)), order]
    permuted = heatmaps.transpose(0, *(order + 1))
    offset = np.array(offset, dtype=float)
    for axis in np.flatnonzero(steps < 0):
        offset[axis] += steps[axis] * (permuted.shape[axis + 1] - 1)
        permuted = np.flip(permuted, int(axis) + 1)
    return permuted, np.diag(np.abs(steps)), offset
