"""Layers of the heatmaps of the current image."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from numpy.typing import NDArray
from psygnal import Signal
from scipy.ndimage import map_coordinates

from napari_landmark.gui.layers.layer_transforms import layer_place
from napari_landmark.gui.session.session import Session

_ROUNDING = 1e-9  # of quarter turns
_LEAST = 0.1  # of the peak: less is not drawn
_ONE, _ALL = "Heatmap", "All heatmaps"


class HeatmapLayers:
    """Two layers over the image: heatmap of the current landmark, and maximum of all heatmaps.

    Parameters
    ----------
    viewer : ViewerModel
    session : Session
    """

    changed = Signal()
    """Another heatmap is shown, or none."""

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
        volume = self._session.geometry().ndim == 3
        if volume:
            heatmaps, matrix, offset = on_image(heatmaps, matrix, offset, self._session.geometry().shape)
        self._heatmaps, self._names = heatmaps, names
        place = layer_place(self._session.geometry(), matrix, offset)
        self._put(viewer, _ALL, heatmaps.max(axis=0), "cyan", place, visible=False)
        self._put(viewer, _ONE, self._selected(heatmaps), "magma", place, visible=True)
        self.changed.emit()

    @property
    def current(self) -> NDArray[np.float32] | None:
        """(z, y, x) heatmap of the current landmark of a volume, on cells that divide it; None where none is shown."""
        layer, viewer = self._layers.get(_ONE), self._viewer()
        if self._heatmaps is None or layer is None or viewer is None or layer not in viewer.layers:
            return None
        return self._selected(self._heatmaps) if layer.visible and self._heatmaps.ndim == 4 else None

    def owns(self, layer: Layer) -> bool:
        """Whether a layer of the viewer is one of these layers."""
        return any(layer is own for own in self._layers.values())

    def clear(self) -> None:
        """Remove the heatmaps."""
        viewer = self._viewer()
        for layer in self._layers.values():
            if viewer is not None and layer in viewer.layers:
                viewer.layers.remove(layer)
        shown = bool(self._layers)
        self._layers.clear()
        self._heatmaps = None
        if shown:
            self.changed.emit()

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
        volume = {"rendering": "iso", "iso_threshold": 0.5} if data.ndim == 3 else {}
        layer = viewer.add_image(
            data,
            name=name,
            colormap=colormap,
            blending="additive",
            contrast_limits=(_LEAST, 1),
            **volume,
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
            self.changed.emit()


def on_image(
    heatmaps: NDArray, matrix: NDArray, offset: NDArray, shape: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    """Resample heatmaps of a volume to cells that divide it, so that no layer reaches beyond the volume.

    Parameters
    ----------
    heatmaps : (n, z, y, x) array
    matrix, offset : (3, 3) and (3,) arrays
        As `along_image_axes` gives them.
    shape : tuple of int
        Of the volume.

    Returns
    -------
    heatmaps : (n, z, y, x) array of float32
    matrix, offset : arrays
        As above.
    """
    steps = np.diag(matrix)
    cells = np.clip(np.ceil(np.asarray(shape) / steps), 1, shape).astype(int)
    new_steps = np.asarray(shape) / cells
    new_offset = (new_steps - 1) / 2
    axes = [
        (new_offset[axis] + new_steps[axis] * np.arange(cells[axis]) - offset[axis]) / steps[axis]
        for axis in range(3)
    ]
    where = np.stack(np.meshgrid(*axes, indexing="ij"))
    resampled = np.stack(
        [map_coordinates(one, where, order=1, mode="constant", output=np.float32) for one in heatmaps]
    )
    return resampled, np.diag(new_steps), new_offset


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
