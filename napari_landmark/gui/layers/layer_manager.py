"""Layers of one viewer that follow the session: current image, landmarks, heatmaps, registration, preview."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.notifications import show_error, show_info, show_warning

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.display import display_range
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.gui.layers.heatmap_layers import HeatmapLayers
from napari_landmark.gui.layers.landmark_layer import LandmarkLayer
from napari_landmark.gui.layers.layer_source import source_file
from napari_landmark.gui.layers.layer_transforms import camera_of, layer_place, put
from napari_landmark.gui.layers.link_layer import LinkLayer
from napari_landmark.gui.layers.preview_layer import PreviewLayer
from napari_landmark.gui.layers.registration_layers import RegistrationLayers
from napari_landmark.gui.layers.single_drawing import drawn_once
from napari_landmark.gui.layers.superimposition_layer import SuperimpositionLayers
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.wording import word

_NOTIFY = {"info": show_info, "warning": show_warning, "error": show_error}


class LayerManager:
    """Layers of a viewer's session; a layer that the user deleted is made again with the next image.

    Parameters
    ----------
    viewer : ViewerModel
    session : Session

    Attributes
    ----------
    landmarks : LandmarkLayer
    links : LinkLayer
    superimposition : SuperimpositionLayers
    heatmaps : HeatmapLayers
    registration : RegistrationLayers
    preview : PreviewLayer
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._image: Image | None = None
        self._opened = False  # a study of which no image was shown yet
        self.landmarks = LandmarkLayer(viewer, session)
        self.links = LinkLayer(viewer, session)
        self.superimposition = SuperimpositionLayers(viewer, session)
        self.heatmaps = HeatmapLayers(viewer, session)
        self.registration = RegistrationLayers(viewer)
        self.preview = PreviewLayer(viewer, session)
        session.image_changed.connect(self._on_image_changed)
        session.study_changed.connect(self._on_study_changed)
        session.job_changed.connect(self._on_job_changed)
        session.view_changed.connect(self._on_view_changed)
        session.message.connect(self._on_message)

    @property
    def image(self) -> Image | None:
        """Layer of the current image; None while it is not in the viewer."""
        viewer = self._viewer()
        return self._image if viewer is not None and self._image in viewer.layers else None

    def center_on(self, name: str) -> None:
        """Move the camera to a landmark of the current image; nothing happens where it has no position."""
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
        """Select the points layer: clicks place the current landmark, or select and drag points."""
        viewer, layer = self._viewer(), self.landmarks.layer
        if viewer is None or layer is None:
            return
        viewer.layers.selection = {layer}
        viewer.layers.selection.active = layer
        layer.mode = "add" if self._session.placing else "select"

    def _on_job_changed(self) -> None:
        if self._session.job is None:
            self.preview.clear()

    def _on_view_changed(self) -> None:
        layer = self.landmarks.layer
        if layer is not None and (str(layer.mode) == "add") != self._session.placing:
            self.activate()

    def _on_study_changed(self) -> None:
        if self._session.current_image:  # its landmarks changed
            self._on_image_changed()
        else:
            self._opened = True

    def _on_image_changed(self) -> None:
        viewer, session = self._viewer(), self._session
        if viewer is None or not session.current_image:
            return
        try:
            image = session.read_image()
        except InputError as error:
            show_error(word(error))
            return
        self.preview.clear()
        self.heatmaps.clear()
        self.superimposition.clear()
        place = layer_place(image.geometry)
        layer = self.image
        first = layer is None or layer.ndim != image.array.ndim
        if layer is None or first:
            layer = self._add_image(viewer, image.array, place)
            _name_and_scale(layer, image)
        else:
            other_size = image.array.shape != layer.data.shape
            with drawn_once(layer):
                if layer.data is not image.array:
                    layer.data = image.array
                put(layer, place)
                _name_and_scale(layer, image)
            if other_size:
                viewer.reset_view()
        made = self.landmarks.show_image()
        self.links.show_image()
        if first:
            viewer.reset_view()
            if image.geometry.ndim == 3:
                # A point shows in the slices next to its own, too; the image itself stays sharp.
                thick = (1.5 * place["scale"][0], 0.0, 0.0)
                viewer.dims.margin_left = viewer.dims.margin_right = thick
        if first or made or self._opened:
            self._opened = False
            self.activate()

    def _add_image(self, viewer: ViewerModel, array: np.ndarray, place: dict[str, Any]) -> Image:
        if self.image is not None:
            viewer.layers.remove(self._image)
        paths = {str(path.resolve()) for path in self._session.require_cohort().paths}
        for layer in list(viewer.layers):
            if isinstance(layer, Image) and source_file(layer) in paths:
                viewer.layers.remove(layer)  # shown from now on as part of the study
            elif not (self.landmarks.owns(layer) or self.links.owns(layer)):
                layer.visible = False  # a layer above would hide the image
        made = self._image = viewer.add_image(array, colormap="gray", **place)
        viewer.layers.move(viewer.layers.index(made), 0)
        return made

    @staticmethod
    def _on_message(kind: str, text: str) -> None:
        _NOTIFY[kind](text)


def _name_and_scale(layer: Image, image: MedicalImage) -> None:
    """Name a layer as its image, and show the image's range of intensities; each change takes napari time."""
    layer.name = image.name
    full, shown = _full_range(image.array), display_range(image.array)
    if tuple(layer.contrast_limits_range) != full:
        layer.contrast_limits_range = full
    if tuple(layer.contrast_limits) != shown:
        layer.contrast_limits = shown


def _full_range(array: np.ndarray) -> tuple[float, float]:
    low, high = float(array.min()), float(array.max())
    return (low, high) if high > low else (low, low + 1)
