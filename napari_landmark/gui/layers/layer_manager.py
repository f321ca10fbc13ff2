"""What one viewer shows of its session: the image at hand, its landmarks, heatmaps and the training's preview."""

from __future__ import annotations

import logging
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Points
from napari.utils.notifications import show_error, show_info, show_warning

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.display import display_range
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.gui.layers.heatmap_layers import HeatmapLayers
from napari_landmark.gui.layers.landmark_layer import LandmarkLayer
from napari_landmark.gui.layers.layer_transforms import camera_of, layer_place, put
from napari_landmark.gui.layers.registration_layers import RegistrationLayers
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.wording import word

logger = logging.getLogger(__name__)

_SECONDS_TO_STOP = 20
METADATA = "napari_landmark"
"""Key of a layer's metadata under which sample data and readers say where things come from."""

_TELL = {"info": show_info, "warning": show_warning, "error": show_error}
_SESSIONS: weakref.WeakKeyDictionary[ViewerModel, Session] = weakref.WeakKeyDictionary()
_STAGES: weakref.WeakKeyDictionary[ViewerModel, LayerManager] = weakref.WeakKeyDictionary()


def get_session(viewer: ViewerModel) -> Session:
    """The session of a viewer, made when it is first asked for; all widgets of the viewer share it."""
    viewer = _bare(viewer)
    if viewer not in _SESSIONS:
        session = _SESSIONS[viewer] = Session()
        _STAGES[viewer] = LayerManager(viewer, session)
        window = getattr(getattr(viewer, "window", None), "_qt_window", None)
        if window is not None:
            window.destroyed.connect(lambda: _end(session))
    return _SESSIONS[viewer]


def get_layer_manager(viewer: ViewerModel) -> LayerManager:
    """The layers of a viewer's session."""
    get_session(viewer)
    return _STAGES[_bare(viewer)]


class LayerManager:
    """Layers that follow the session; they are made again where a person deleted them."""

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._image: Image | None = None
        self._preview: Points | None = None
        self._opened = False  # a study that no image was shown of yet
        self.landmarks = LandmarkLayer(viewer, session)
        self.heatmaps = HeatmapLayers(viewer, session)
        self.registration = RegistrationLayers(viewer)
        session.image_changed.connect(self._on_image_changed)
        session.study_changed.connect(self._on_study_changed)
        session.job_changed.connect(self._on_job_changed)
        session.view_changed.connect(self._on_view_changed)
        session.message.connect(self._on_message)

    @property
    def image(self) -> Image | None:
        """The layer of the image at hand."""
        viewer = self._viewer()
        return self._image if viewer is not None and self._image in viewer.layers else None

    def look_at(self, name: str) -> None:
        """Move the camera to a landmark of the image at hand, where it lies somewhere."""
        viewer, layer = self._viewer(), self.landmarks.layer
        mark = self._session.result().get(name)
        if viewer is None or layer is None or mark is None or mark.position is None:
            return
        world = layer.data_to_world(mark.position)
        if viewer.dims.ndim > 2:
            for axis, value in enumerate(world):
                viewer.dims.set_point(axis, value)
        camera = camera_of(viewer)
        center = np.array(camera.center, dtype=float)
        center[-2:] = world[-2:]
        camera.center = tuple(center)

    def activate(self) -> None:
        """Let clicks go to the landmarks: they place the one at hand, or pick and drag those there are."""
        viewer, layer = self._viewer(), self.landmarks.layer
        if viewer is None or layer is None:
            return
        viewer.layers.selection = {layer}
        viewer.layers.selection.active = layer
        layer.mode = "add" if self._session.placing else "select"

    def show_preview(self, landmarks: LandmarkSet | None) -> None:
        """Points that a running training would put into the image at hand; None takes them away."""
        viewer = self._viewer()
        if viewer is None:
            return
        there = self._preview is not None and self._preview in viewer.layers
        if landmarks is None or not self._session.image:
            if there:
                viewer.layers.remove(self._preview)
            self._preview = None
            return
        selected = set(viewer.layers.selection)
        schema = landmarks.schema
        marks = [mark for mark in landmarks.values() if mark.position is not None]
        colors = [schema.colors[schema.index(mark.name)] for mark in marks] or "white"
        geometry = self._session.geometry()
        if there and len(self._preview.data) == len(marks):  # making a layer takes much longer
            self._preview.data = np.array([mark.position for mark in marks], dtype=float)
            return
        if there:
            viewer.layers.remove(self._preview)
        self._preview = viewer.add_points(
            np.array([mark.position for mark in marks], dtype=float).reshape(-1, geometry.ndim),
            ndim=geometry.ndim,
            name="Training preview",
            symbol="cross",
            size=max(geometry.shape) / 60,
            canvas_size_limits=(10, 22),
            face_color=colors,
            border_color=colors,  # at this size the border covers most of a cross
            **layer_place(geometry),
        )
        viewer.layers.selection = selected & set(viewer.layers)

    def _on_job_changed(self) -> None:
        if self._session.job is None:
            self.show_preview(None)

    def _on_view_changed(self) -> None:
        layer = self.landmarks.layer
        if layer is not None and (str(layer.mode) == "add") != self._session.placing:
            self.activate()

    def _on_study_changed(self) -> None:
        if self._session.image:  # its landmarks changed
            self._on_image_changed()
        else:
            self._opened = True

    def _on_image_changed(self) -> None:
        viewer, session = self._viewer(), self._session
        if viewer is None or not session.image:
            return
        try:
            image = session.read_image()
        except InputError as error:
            show_error(word(error))
            return
        self.show_preview(None)
        self.heatmaps.clear()
        place = layer_place(image.geometry)
        first = self.image is None or self._image.ndim != image.array.ndim
        if first:
            self._add_image(viewer, image.array, place)
        else:
            self._change_image(image.array, place)
        self._image.name = image.name
        self._image.contrast_limits = display_range(image.array)
        made = self.landmarks.show_image()
        if first:
            viewer.reset_view()
            if image.geometry.ndim == 3:
                # A point shows in the slices next to its own, too; the image itself stays sharp.
                thick = (1.5 * place["scale"][0], 0.0, 0.0)
                viewer.dims.margin_left = viewer.dims.margin_right = thick
        if first or made or self._opened:
            self._opened = False
            self.activate()

    def _add_image(self, viewer: ViewerModel, array: np.ndarray, place: dict[str, Any]) -> None:
        if self.image is not None:
            viewer.layers.remove(self._image)
        paths = {str(path.resolve()) for path in self._session.cohort.paths}
        for layer in list(viewer.layers):
            if isinstance(layer, Image) and source_file(layer) in paths:
                viewer.layers.remove(layer)  # shown from now on as part of the study
            elif not self.landmarks.owns(layer):
                layer.visible = False  # what lies above would hide the image
        self._image = viewer.add_image(array, colormap="gray", **place)
        self._image.contrast_limits_range = _full_range(array)
        viewer.layers.move(viewer.layers.index(self._image), 0)

    def _change_image(self, array: np.ndarray, place: dict[str, Any]) -> None:
        viewer = self._viewer()
        other_size = array.shape != self._image.data.shape
        self._image.data = array
        put(self._image, place)
        self._image.contrast_limits_range = _full_range(array)
        if other_size and viewer is not None:
            viewer.reset_view()

    @staticmethod
    def _on_message(kind: str, text: str) -> None:
        _TELL[kind](text)


def source_file(layer: Image) -> str:
    """The file that a layer came from, empty where it came from none."""
    path = layer.metadata.get(METADATA, {}).get("file") or layer.source.path
    return str(Path(path).resolve()) if path else ""


def _full_range(array: np.ndarray) -> tuple[float, float]:
    low, high = float(array.min()), float(array.max())
    return (low, high) if high > low else (low, low + 1)


def _end(session: Session) -> None:
    """The window is gone: long work stops, and its thread ends before its viewer does."""
    job = session.job
    session.close()
    if job is not None and not job.wait(_SECONDS_TO_STOP):
        logger.warning("%s did not stop within %d seconds", job.title, _SECONDS_TO_STOP)


def _bare(viewer: ViewerModel) -> ViewerModel:
    """The viewer itself, where napari handed over a proxy, which would not live long enough to be a key."""
    return getattr(viewer, "__wrapped__", viewer)
