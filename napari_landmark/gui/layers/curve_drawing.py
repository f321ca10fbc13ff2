"""Layer in which a curve is drawn freely, from one of its landmarks to the other."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Shapes
from numpy.typing import NDArray
from qtpy.QtCore import QTimer

from napari_landmark.data.curves import Curve
from napari_landmark.gui.layers.layer_transforms import layer_place
from napari_landmark.gui.session.session import Session


class CurveDrawing:
    """Shapes layer for one line; another image, study or landmark schema ends it.

    Parameters
    ----------
    viewer : ViewerModel
    session : Session
    curve : Curve
    done : callable
        Called once, with the drawn points (m, d) in index coordinates, or None where the drawing ended without.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        curve: Curve,
        *,
        done: Callable[[NDArray[np.float64] | None], None],
    ) -> None:
        self.curve = curve
        self._viewer, self._session, self._done = weakref.ref(viewer), session, done
        self._added = 0  # times that napari said so
        geometry = session.geometry()
        self._layer: Shapes | None = viewer.add_shapes(
            ndim=geometry.ndim,
            name=f"Draw {curve.name}: from {curve.start} to {curve.end}",
            edge_color="#ffd34d",
            edge_width=max(geometry.shape) / 400,
            face_color="transparent",
            **layer_place(geometry),
        )
        viewer.layers.selection.active = self._layer
        self._layer.mode = "add_path"
        self._layer.events.data.connect(self._on_data)
        session.image_changed.connect(self.stop)
        session.study_changed.connect(self.stop)

    def stop(self) -> None:
        """End the drawing without a line; nothing happens where it has ended."""
        self._end(None)

    def _on_data(self, event: Any) -> None:
        layer = self._layer
        if layer is None or str(event.action) != "added":
            return
        # napari says so twice: when the mouse is pressed, with that position twice, and when the line is finished,
        # which it removes where it has no length.
        self._added += 1
        path = np.asarray(layer.data[-1], dtype=np.float64) if len(layer.data) else np.empty((0, layer.ndim))
        if len(path) > 2 or (self._added > 1 and len(path)):
            # Not from inside the mouse event: napari goes on with the layer after it.
            QTimer.singleShot(0, lambda: self._end(path))
        elif self._added > 1:
            self._added = 0

    def _end(self, path: NDArray[np.float64] | None) -> None:
        viewer, layer = self._viewer(), self._layer
        if layer is None:
            return
        self._layer = None
        layer.events.data.disconnect(self._on_data)
        self._session.image_changed.disconnect(self.stop)
        self._session.study_changed.disconnect(self.stop)
        if viewer is not None and layer in viewer.layers:
            viewer.layers.remove(layer)
        self._done(path)
