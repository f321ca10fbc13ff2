"""3-D rendering of the current volume: clicks place landmarks on its surface, or select them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from numpy.typing import ArrayLike

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.surface import first_surface
from napari_landmark.gui.layers.landmark_layer import LandmarkLayer
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.wording import word

_STILL = 4.0  # pixels of the screen that a mouse may move in a click


class Rendering:
    """Clicks in the 3-D rendering.

    Where clicks place, a click places the next landmark on the first surface under it, at the threshold that the
    rendering shows, or says why not. Else it selects the landmark under it.

    Parameters
    ----------
    viewer : ViewerModel
    session : Session
    image : callable
        Gives the layer of the current image, None without one.
    landmarks : LandmarkLayer
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        *,
        image: Callable[[], Image | None],
        landmarks: LandmarkLayer,
    ) -> None:
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._image = image
        self._landmarks = landmarks
        self._editor = AnnotationEditor(session)
        viewer.mouse_drag_callbacks.append(self._on_press)

    @property
    def is_shown(self) -> bool:
        """Whether the viewer renders the volume, instead of showing slices."""
        viewer = self._viewer()
        return viewer is not None and viewer.dims.ndisplay == 3

    def show(self, on: bool) -> None:
        """Render the current volume, or go back to slices; a picture is not rendered."""
        viewer = self._viewer()
        if viewer is not None and len(self._session.crosshair.position) == 3:
            viewer.dims.ndisplay = 3 if on else 2
            viewer.reset_view(reset_camera_angle=False)

    def click(self, position: ArrayLike, direction: ArrayLike, displayed: Sequence[int]) -> None:
        """Do what a click means.

        Parameters
        ----------
        position, direction : (ndim,) array_like
            Of the ray under the mouse, in the world of the viewer.
        displayed : sequence of int
            Axes of the viewer that are rendered.
        """
        session, layer = self._session, self._landmarks.layer
        if not session.placing:
            if layer is not None:
                row = layer.get_value(
                    position, view_direction=np.asarray(direction), dims_displayed=list(displayed), world=True
                )
                if row is not None:
                    session.select_landmark(str(layer.features["name"].iloc[int(row)]))
            return
        try:
            surface = self._surface(position, direction, displayed)
            session.crosshair.move_to(surface)
            self._editor.place_next(surface)
        except InputError as error:
            session.message.emit("warning", f"Nothing was placed: {word(error)}")

    def _surface(
        self, position: ArrayLike, direction: ArrayLike, displayed: Sequence[int]
    ) -> tuple[float, float, float]:
        """Index position of the first surface of the current volume along a ray of the world."""
        image = self._image()
        if image is None or not image.visible:
            raise InputError("the volume is hidden or was removed from the viewer: show it first")
        start, end = image.get_ray_intersections(position, direction, list(displayed), world=True)
        if start is None or end is None:
            raise InputError("that is beside the volume: click on it")
        return first_surface(image.data, start, end, threshold=self._session.display.threshold)

    def _on_press(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        """Tell a click from a drag, which turns the volume."""
        if not self.is_shown or not self._session.current_image or event.button != 1 or event.modifiers:
            return
        if viewer.layers.selection.active not in (None, self._image(), self._landmarks.layer):
            return  # a layer of the user's own has a tool of its own
        pressed, still = np.asarray(event.pos, dtype=float), True
        yield
        while event.type == "mouse_move":
            still = still and float(np.linalg.norm(np.asarray(event.pos) - pressed)) <= _STILL
            yield
        if still:
            self.click(event.position, event.view_direction, event.dims_displayed)
