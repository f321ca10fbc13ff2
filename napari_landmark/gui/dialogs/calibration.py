"""Calibration of the spacing from two points of a known distance, such as the ends of a ruler in the image."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Points
from qtpy.QtCore import QTimer

from napari_landmark.data.errors import InputError
from napari_landmark.gui.layers.layer_transforms import layer_place
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.wording import word

_NAME = "Calibration: click both ends"


class Calibration:
    """Layer in which the user clicks two points, and the question for their distance.

    Parameters
    ----------
    ask : callable
        Called with both points placed; returns their distance in millimetres, or None to give up.
    done : callable
        Called at the end with millimetres per pixel, or None without a result.

    Raises
    ------
    InputError
        The current image is a volume.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        *,
        ask: Callable[[], float | None],
        done: Callable[[float | None], None],
    ) -> None:
        if session.geometry().ndim != 2:
            raise InputError("Only pictures can be calibrated; volumes bring their spacing in their files.")
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._ask, self._done = ask, done
        self._layer: Points | None = viewer.add_points(
            np.empty((0, 2)),
            ndim=2,
            name=_NAME,
            face_color="#ffd34d",
            border_color="black",
            symbol="cross",
            size=max(session.geometry().shape) / 50,
            canvas_size_limits=(12, 24),
            **layer_place(session.geometry()),
        )
        viewer.layers.selection.active = self._layer
        self._layer.mode = "add"
        self._layer.bind_key("Escape", lambda _: self.cancel(), overwrite=True)
        self._layer.events.data.connect(self._on_data)

    def cancel(self) -> None:
        """Give up."""
        if self._layer is not None:
            self.stop()
            self._done(None)

    def stop(self) -> None:
        """Remove the layer."""
        viewer, layer = self._viewer(), self._layer
        self._layer = None
        if layer is not None:
            layer.events.data.disconnect(self._on_data)
            if viewer is not None and layer in viewer.layers:
                viewer.layers.remove(layer)

    def _on_data(self, event: Any) -> None:
        if self._layer is not None and str(event.action) == "added" and len(self._layer.data) == 2:
            # Not from inside the click: a question that waits would hold the mouse.
            QTimer.singleShot(0, self._measure)

    def _measure(self) -> None:
        if self._layer is None:
            return
        first, second = np.asarray(self._layer.data[:2])
        length = self._ask()
        self.stop()
        try:
            result = None if length is None else spacing_from(first, second, length)
        except InputError as error:
            self._session.message.emit("error", word(error))
            result = None
        self._done(result)


def spacing_from(first: np.ndarray, second: np.ndarray, millimetres: float) -> float:
    """Spacing of an image in millimetres per pixel from the distance between two of its points.

    Parameters
    ----------
    first, second : (2,) array
        Index coordinates.
    millimetres : float
        Distance between them.

    Raises
    ------
    InputError
        The points coincide, or the distance is not positive.
    """
    pixels = float(np.linalg.norm(np.asarray(second) - np.asarray(first)))
    if pixels < 1:
        raise InputError("The two points lie on each other: click both ends of a known length.")
    if not millimetres > 0:
        raise InputError(f"A length of {millimetres:g} mm: give one above 0.")
    return millimetres / pixels
