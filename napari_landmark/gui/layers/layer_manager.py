"""Layers of one viewer that follow the session: current image, landmarks, heatmaps, registration, preview."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.notifications import show_error, show_info, show_warning

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.gui.layers.deferred_canvas import DeferredCanvas
from napari_landmark.gui.layers.heatmap_layers import HeatmapLayers
from napari_landmark.gui.layers.landmark_layer import LandmarkLayer
from napari_landmark.gui.layers.layer_source import source_file
from napari_landmark.gui.layers.layer_transforms import camera_of, layer_place, put
from napari_landmark.gui.layers.link_layer import LinkLayer
from napari_landmark.gui.layers.local_contrast import LocalContrast
from napari_landmark.gui.layers.preview_layer import PreviewLayer
from napari_landmark.gui.layers.registration_layers import RegistrationLayers
from napari_landmark.gui.layers.rendering import Rendering
from napari_landmark.gui.layers.single_drawing import drawn_once, sliders_kept
from napari_landmark.gui.layers.subject_layer import SubjectLayer
from napari_landmark.gui.layers.superimposition_layer import SuperimpositionLayers
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.wording import word

_ALIKE = 0.02  # of the longest side
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
    subjects : SubjectLayer
    superimposition : SuperimpositionLayers
    heatmaps : HeatmapLayers
    registration : RegistrationLayers
    preview : PreviewLayer
    rendering : Rendering
    planes_were_shown : bool
        Whether the planes were opened for a volume; who closed them does not want them again.
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._image: Image | None = None
        self._opened = False  # a study of which no image was shown yet
        self._first = False  # whether the layer of the image was made, and its landmarks are not shown yet
        self._canvas = DeferredCanvas(viewer)
        for signal in (session.image_changed, session.study_changed, session.landmarks_changed):
            signal.connect(self._canvas.defer)  # before anything draws
        self.landmarks = LandmarkLayer(viewer, session)
        self.links = LinkLayer(viewer, session)
        self.subjects = SubjectLayer(viewer, session)
        self.superimposition = SuperimpositionLayers(viewer, session)
        self.heatmaps = HeatmapLayers(viewer, session)
        self.registration = RegistrationLayers(viewer)
        self.preview = PreviewLayer(viewer, session)
        self.rendering = Rendering(viewer, session, image=lambda: self.image, landmarks=self.landmarks)
        self.planes_were_shown = False
        self._contrast = LocalContrast(self._show_equalized)
        self._syncing = False
        session.image_changed.connect(self._on_image_changed)
        session.study_changed.connect(self._on_study_changed)
        session.job_changed.connect(self._on_job_changed)
        session.view_changed.connect(self._on_view_changed)
        session.message.connect(self._on_message)
        session.crosshair.moved.connect(self._on_crosshair)
        session.display.changed.connect(self._on_display)
        viewer.dims.events.point.connect(self._on_dims)
        viewer.dims.events.ndisplay.connect(self._on_ndisplay)

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
        self._session.crosshair.move_to(mark.position, centre=True)
        self._look_at(viewer, layer.data_to_world(mark.position))

    @staticmethod
    def _look_at(viewer: ViewerModel, world: Any) -> None:
        camera = camera_of(viewer)
        center = np.array(camera.center, dtype=float)
        shown = viewer.dims.ndisplay
        center[-shown:] = world[-shown:]
        camera.center = tuple(center)

    def show_study(self, on: bool) -> None:
        """Show or hide the current image and its landmarks, such as while a registered pair is seen."""
        viewer = self._viewer()
        for layer in (self.image, self.landmarks.layer):
            if viewer is not None and layer is not None and layer in viewer.layers:
                layer.visible = on

    def activate(self) -> None:
        """Select the points layer: clicks place the current landmark, or select and drag points."""
        viewer, layer = self._viewer(), self.landmarks.layer
        if viewer is None or layer is None:
            return
        viewer.layers.selection = {layer}
        viewer.layers.selection.active = layer
        self.landmarks.follow_mode()

    def _on_job_changed(self) -> None:
        if self._session.job is None:
            self.preview.clear()

    def _on_view_changed(self) -> None:
        viewer, layer = self._viewer(), self.landmarks.layer
        if viewer is None or layer is None or viewer.dims.ndisplay == 3:
            return
        if (str(layer.mode) == "add") != self._session.placing:
            self.activate()

    def _on_crosshair(self, centre: bool) -> None:
        """Show the slice of the crosshair, and centre the camera on it where that was asked for."""
        viewer, layer = self._viewer(), self.image
        if viewer is None or layer is None or self._syncing or not self._session.crosshair.position:
            return
        world = layer.data_to_world(self._session.crosshair.indices)
        self._syncing = True
        try:
            viewer.dims.set_point(range(viewer.dims.ndim - layer.ndim, viewer.dims.ndim), world)
        finally:
            self._syncing = False

    def _on_dims(self, event: Any = None) -> None:
        """Move the crosshair to the slice that napari's slider shows."""
        viewer, layer, crosshair = self._viewer(), self.image, self._session.crosshair
        if viewer is None or layer is None or self._syncing or layer.ndim != len(crosshair.position):
            return
        first = viewer.dims.ndim - layer.ndim
        shown = layer.world_to_data(viewer.dims.point[first:])
        position = list(crosshair.position)
        for axis, index in enumerate(crosshair.indices):
            if first + axis in viewer.dims.not_displayed and round(shown[axis]) != index:
                position[axis] = round(shown[axis])
        self._syncing = True
        try:
            crosshair.move_to(position)
        finally:
            self._syncing = False

    def _on_ndisplay(self, event: Any = None) -> None:
        self._on_display()
        self._on_crosshair(False)

    def _on_display(self) -> None:
        """Show the window and the surface of the session."""
        viewer, layer = self._viewer(), self.image
        if viewer is None or layer is None or self._syncing:
            return
        self._syncing = True
        try:
            self._show_window(viewer, layer)
        finally:
            self._syncing = False
        self._show_contrast()

    def _show_contrast(self) -> None:
        """Show the pixels of the current image, or those of equalized local contrast once they are computed."""
        session, layer = self._session, self.image
        if layer is None or not session.current_image:
            return
        try:
            pixels = session.read_image().array
        except InputError:
            return
        if session.display.local_contrast and pixels.ndim == 2:
            self._contrast.ask(pixels)
            return
        self._contrast.ask(None)
        if layer.data is not pixels and layer.data.shape == pixels.shape:
            layer.data = pixels

    def _show_equalized(self, pixels: np.ndarray, equalized: np.ndarray) -> None:
        layer = self.image
        if layer is not None and layer.data is not equalized and layer.data.shape == pixels.shape:
            layer.data = equalized

    def _show_window(self, viewer: ViewerModel, layer: Image) -> None:
        display = self._session.display
        low, high = display.limits
        greys = "gray_r" if display.inverted else "gray"
        if layer.colormap.name in ("gray", "gray_r") and layer.colormap.name != greys:
            layer.colormap = greys  # a colormap that the user chose stays
        if layer.gamma != display.gamma:
            layer.gamma = display.gamma
        if viewer.dims.ndisplay == 3 and layer.ndim == 3:
            # Intensities beyond the limits are cut off before a surface is looked for.
            room = 0.5 * (high - low)
            low, high = min(low, display.threshold - room), max(high, display.threshold + room)
        full_low, full_high = layer.contrast_limits_range
        if low < full_low or high > full_high:
            layer.contrast_limits_range = (min(low, full_low), max(high, full_high))
        if tuple(layer.contrast_limits) != (low, high):
            layer.contrast_limits = (low, high)
        if layer.ndim == 3 and layer.iso_threshold != display.threshold:
            layer.iso_threshold = display.threshold

    def _on_limits(self, event: Any = None) -> None:
        """Take over contrast limits that were set in napari's controls."""
        viewer, layer = self._viewer(), self.image
        if viewer is not None and layer is not None and not self._syncing and viewer.dims.ndisplay == 2:
            self._session.display.adjust(*layer.contrast_limits)

    def _on_gamma(self, event: Any = None) -> None:
        layer = self.image
        if layer is not None and not self._syncing:
            self._session.display.set_look(gamma=layer.gamma)

    def _on_threshold(self, event: Any = None) -> None:
        layer = self.image
        if layer is not None and not self._syncing:
            self._session.display.set_threshold(layer.iso_threshold)

    def _on_study_changed(self) -> None:
        if self._session.current_image:  # its landmarks changed
            self._on_image_changed()
        else:
            self._opened = True

    def _on_image_changed(self) -> None:
        if self._session.in_turns and self.image is None:
            # Without layers there is nothing yet that a click could place or move.
            self._canvas.in_turns(self._show_picture, self.landmarks.make_rings, self._show_landmarks)
        elif self._show_picture():
            self._show_landmarks()

    def _show_picture(self) -> bool:
        """Show the pixels of the current image; returns whether they could be read."""
        viewer, session = self._viewer(), self._session
        if viewer is None or not session.current_image:
            return False
        try:
            image = session.read_image()
        except InputError as error:
            show_error(word(error))
            return False
        self.preview.clear()
        self.heatmaps.clear()
        self.superimposition.clear()
        place = layer_place(image.geometry)
        if image.geometry.ndim < viewer.dims.ndisplay:
            viewer.dims.ndisplay = 2
        layer = self.image
        first = layer is None or layer.ndim != image.array.ndim
        before = None if first or layer is None else layer.extent.world
        self._first = self._first or first
        self._syncing = True
        try:
            if layer is None or first:
                layer = self._add_image(viewer, image.array, place)
            with sliders_kept(viewer, layer), drawn_once(layer):
                if layer.data is not image.array:
                    layer.data = image.array
                put(layer, place)
                _name_and_range(layer, image)
                self._show_window(viewer, layer)
        finally:
            self._syncing = False
        self._show_contrast()
        if before is not None and not _similar(before, layer.extent.world):
            viewer.reset_view()
        return True

    def _show_landmarks(self) -> None:
        """Show the landmarks of the current image over its pixels."""
        viewer, session, first = self._viewer(), self._session, self._first
        if viewer is None or not session.current_image or self.image is None:
            return
        self._first = False
        made = self.landmarks.show_image()
        self.links.show_image()
        self.subjects.refresh()
        geometry = session.geometry()
        if first:
            viewer.reset_view()
            if geometry.ndim == 3:
                # A point shows in the slices next to its own, too; the image itself stays sharp.
                thick = (1.5 * layer_place(geometry)["scale"][0], 0.0, 0.0)
                viewer.dims.margin_left = viewer.dims.margin_right = thick
        self._on_crosshair(centre=True)
        if first or made or self._opened:
            self._opened = False
            self.activate()

    def _add_image(self, viewer: ViewerModel, array: np.ndarray, place: dict[str, Any]) -> Image:
        if self.image is not None:
            viewer.layers.remove(self._image)
        cohort = self._session.require_cohort()
        file = str(cohort.paths[cohort.index(self._session.current_image)].resolve())
        hidden = 0
        for layer in list(viewer.layers):
            if isinstance(layer, Image) and source_file(layer) == file:
                viewer.layers.remove(layer)  # shown from now on as part of the study
            elif not (self.landmarks.owns(layer) or self.links.owns(layer) or self.subjects.owns(layer)):
                hidden += layer.visible and isinstance(layer, Image)
                layer.visible = False  # a layer above would hide the image
        if hidden:
            what, them = ("1 other image is", "it") if hidden == 1 else (f"{hidden} other images are", "them")
            text = f"{what} still open, hidden: the eye in the list of layers shows {them}."
            self._session.message.emit("info", text)
        volume = {"rendering": "iso", "interpolation2d": "linear"} if array.ndim == 3 else {}
        made = self._image = viewer.add_image(array, colormap="gray", **volume, **place)
        made.events.contrast_limits.connect(self._on_limits)
        made.events.iso_threshold.connect(self._on_threshold)
        made.events.gamma.connect(self._on_gamma)
        viewer.layers.move(viewer.layers.index(made), 0)
        return made

    @staticmethod
    def _on_message(kind: str, text: str) -> None:
        _NOTIFY[kind](text)


def _similar(before: np.ndarray, now: np.ndarray) -> bool:
    """Whether two extents in the world are alike, so that the camera may stay where it is."""
    sizes = np.ptp(before, axis=0), np.ptp(now, axis=0)
    largest = max(float(sizes[0].max()), 1e-9)
    return bool(
        np.abs(sizes[0] - sizes[1]).max() < _ALIKE * largest
        and np.abs(np.mean(before, axis=0) - np.mean(now, axis=0)).max() < _ALIKE * largest
    )


def _name_and_range(layer: Image, image: MedicalImage) -> None:
    """Name a layer as its image, and take over the image's range of intensities; each change takes napari time."""
    layer.name = image.name
    full = _full_range(image.array)
    if tuple(layer.contrast_limits_range) != full:
        layer.contrast_limits_range = full


def _full_range(array: np.ndarray) -> tuple[float, float]:
    low, high = float(array.min()), float(array.max())
    return (low, high) if high > low else (low, low + 1)
