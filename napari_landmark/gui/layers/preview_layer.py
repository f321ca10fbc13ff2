"""Points that a running training predicts for the current image."""

from __future__ import annotations

import weakref

import numpy as np
from napari.components import ViewerModel
from napari.layers import Points
from psygnal import Signal

from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.gui.layers.layer_transforms import layer_place
from napari_landmark.gui.session.session import Session


class PreviewLayer:
    """A layer of crosses that is removed when the training ends or another image is shown.

    Its names are drawn by an overlay over the canvas, if there is one, so that they do not cover each other.

    Parameters
    ----------
    viewer : ViewerModel
    session : Session
    """

    changed = Signal()
    """Emitted when other positions are shown, or none any more."""

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._layer: Points | None = None
        self._has_overlay = False

    def use_overlay(self) -> None:
        """Leave the names in pictures to an overlay over the canvas."""
        self._has_overlay = True
        self._show_names()

    def landmarks(self) -> dict[str, tuple[float, ...]]:
        """Positions that are shown, in index coordinates of the current image, by name; empty without the layer."""
        layer = self.layer
        if layer is None or not layer.visible:
            return {}
        return {str(name): tuple(row) for name, row in zip(layer.features["name"], layer.data, strict=True)}

    @property
    def layer(self) -> Points | None:
        """The layer; None while it is not in the viewer."""
        viewer = self._viewer()
        return self._layer if viewer is not None and self._layer in viewer.layers else None

    def show(self, landmarks: LandmarkSet) -> None:
        """Show a prediction of the current image.

        Parameters
        ----------
        landmarks : LandmarkSet
            In index coordinates of the current image.
        """
        viewer, session, layer = self._viewer(), self._session, self.layer
        if viewer is None or not session.current_image:
            return
        schema, geometry = landmarks.schema, session.geometry()
        marks = [mark for mark in landmarks.values() if mark.position is not None]
        positions = np.array([mark.position for mark in marks], dtype=float).reshape(-1, geometry.ndim)
        if layer is not None and len(layer.data) == len(marks):  # making a layer takes much longer
            layer.data = positions
            layer.features = {"name": [mark.name for mark in marks]}
            self.changed.emit()
            return
        self.clear()
        colors = [schema.colors[schema.index(mark.name)] for mark in marks] or "white"
        selected = set(viewer.layers.selection)
        self._layer = viewer.add_points(
            positions,
            ndim=geometry.ndim,
            name="Training preview",
            symbol="cross",
            size=max(geometry.shape) / 60,
            canvas_size_limits=(10, 22),
            face_color=colors,
            border_color=colors,  # at this size the border covers most of a cross
            features={"name": [mark.name for mark in marks]},
            text={"string": "{name}", "color": "white", "size": 8, "anchor": "upper_left"},
            **layer_place(geometry),
        )
        self._show_names()
        viewer.layers.selection = selected & set(viewer.layers)
        self.changed.emit()

    def _show_names(self) -> None:
        if self._layer is not None:
            self._layer.text.visible = not (self._has_overlay and self._layer.ndim == 2)

    def clear(self) -> None:
        """Remove the layer."""
        viewer, layer = self._viewer(), self.layer
        if viewer is not None and layer is not None:
            viewer.layers.remove(layer)
        self._layer = None
        self.changed.emit()
