"""Landmarks of the current image as points that can be added, dragged and deleted."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Layer, Points
from napari.utils import Colormap

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import Landmark, LandmarkSet, Status
from napari_landmark.gui.layers.layer_transforms import camera_of, layer_place, put
from napari_landmark.gui.layers.single_drawing import points_drawn_once, sliders_kept
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.wording import word

NAME = "Landmarks"
_RINGS = "Expected error (average)"
_RIM = 0.06  # of the discs
_DISC_LIMITS, _SPHERE_LIMITS = (11, 20), (15, 40)  # pixels of the screen
CONFIDENCE_COLORS = Colormap(
    [[0.90, 0.11, 0.14], [1.0, 0.75, 0.15], [0.25, 0.85, 0.95]], name="landmark confidence"
)
"""From red (low) to light blue (high), which remain distinct without red-green vision."""
_BORDERS = {Status.PREDICTED: "#000000aa", Status.PLACED: "#ffffff", Status.CORRECTED: "#ffffff"}


class LandmarkLayer:
    """A points layer that follows the session, and the session follows its edits.

    Rows of the layer are identified by the landmark's name, never by their number. A second layer below
    shows the expected errors, which are averages and no bounds, as rings, and shadows of the names, so that they
    are legible on any background.

    Parameters
    ----------
    viewer : ViewerModel
    session : Session
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._editor = AnnotationEditor(session)
        self._layer: Points | None = None
        self._rings: Points | None = None
        self._syncing = False
        self._bar_drawn = False
        # What the layers were drawn from: each of their attributes takes napari some milliseconds.
        self._painted: object = None
        self._ring_colors: list[str] = []
        viewer.dims.events.ndisplay.connect(self._on_ndisplay)
        session.landmarks_changed.connect(self._on_landmarks_changed)
        session.landmark_changed.connect(self._on_landmark_changed)
        session.view_changed.connect(self.refresh)
        camera_of(viewer).events.zoom.connect(self._on_zoom)

    @property
    def layer(self) -> Points | None:
        """The points layer; None while it is not in the viewer."""
        viewer = self._viewer()
        return self._layer if viewer is not None and self._layer in viewer.layers else None

    def owns(self, layer: Layer) -> bool:
        """Whether a layer of the viewer is one of these layers."""
        return layer in (self._layer, self._rings)

    def show_image(self) -> bool:
        """Show the landmarks of the current image; returns whether the layers were made anew."""
        viewer = self._viewer()
        if viewer is None or not self._session.current_image:
            return False
        geometry = self._session.geometry()
        place = layer_place(geometry)
        made = self.layer is None or self.layer.ndim != geometry.ndim
        if made:
            if self._layer is not None:
                self._remove()
            self._make(viewer, geometry.ndim, place)
        for layer in (self._rings, self._layer):
            if layer is not None:
                put(layer, place)
        self.refresh()
        return made

    def follow_mode(self) -> None:
        """Let clicks place landmarks, or select and drag them; in the 3-D rendering `Rendering` takes them."""
        layer = self.layer
        if layer is not None:
            layer.mode = "pan_zoom" if self._is_rendered() else "add" if self._session.placing else "select"

    def refresh(self, *_: object) -> None:
        """Draw the landmarks of the session."""
        layer = self.layer
        if layer is None or self._syncing or self._session.study is None:
            return
        self._syncing = True
        try:
            with self._drawn_once():
                self._fill(layer, self._session.result())
                self._mark_current()
                self._keep_distances()
        finally:
            self._syncing = False

    @contextlib.contextmanager
    def _drawn_once(self) -> Iterator[None]:
        """Draw both layers once, the rings first; the points tell the viewer of the extent of both."""
        viewer = self._viewer()
        with contextlib.ExitStack() as drawn:
            if viewer is not None and self.layer is not None:
                drawn.enter_context(sliders_kept(viewer, self.layer))
            for layer, tell in ((self._layer, True), (self._rings, False)):
                if layer is not None:
                    drawn.enter_context(points_drawn_once(layer, tell=tell))
            yield

    def make_rings(self) -> None:
        """Make the layer of the rings, where there is none yet; `show_image` makes what is missing."""
        viewer = self._viewer()
        if viewer is None or not self._session.current_image:
            return
        geometry = self._session.geometry()
        if self._rings is not None and self._rings in viewer.layers and self._rings.ndim == geometry.ndim:
            return
        self._remove()
        rings = self._rings = viewer.add_points(
            np.empty((0, geometry.ndim)),
            ndim=geometry.ndim,
            name=_RINGS,
            features=_features(LandmarkSet(self._session.require_study().schema))[["name"]],
            face_color="transparent",
            border_color="#ffd34d",
            border_width=1.0,
            border_width_is_relative=False,
            text={"string": "{name}", "color": "black", "anchor": "upper_left", "size": 10},
            **layer_place(geometry),
        )
        rings.editable = False

    def _make(self, viewer: ViewerModel, ndim: int, place: dict[str, Any]) -> None:
        self.make_rings()
        rings = self._rings
        if rings is None:
            return
        features = _features(LandmarkSet(self._session.require_study().schema))
        layer = viewer.add_points(
            np.empty((0, ndim)),
            ndim=ndim,
            name=NAME,
            features=features,
            border_width=_RIM,
            canvas_size_limits=_DISC_LIMITS,
            text={"string": "{name}", "color": "#ffffff", "anchor": "upper_left", "size": 10},
            **place,
        )
        layer.face_colorbar.size = (16, 110)
        self._shade(rings, layer)
        layer.events.data.connect(self._on_data)
        layer.events.set_data.connect(self._on_set_data)
        layer.events.mode.connect(self._on_mode)
        layer.selected_data.events.items_changed.connect(self._on_selected)
        self._layer, self._bar_drawn = layer, False
        self._painted, self._ring_colors = None, []
        self._on_zoom()

    def _remove(self) -> None:
        viewer = self._viewer()
        for layer in (self._layer, self._rings):
            if viewer is not None and layer is not None and layer in viewer.layers:
                viewer.layers.remove(layer)
        self._layer = self._rings = None

    def _fill(self, layer: Points, result: LandmarkSet) -> None:
        marks = [mark for mark in result.values() if mark.position is not None]
        positions = np.array([mark.position for mark in marks], dtype=float).reshape(-1, layer.ndim)
        features, names = _features(result), _names(layer)
        selected = {names[row] for row in layer.selected_data if row < len(names)}
        if layer.selected_data:
            layer.selected_data = set()
        self._put_points(layer, positions, features)
        self._paint(layer, marks, result)
        if rows := {row for row, mark in enumerate(marks) if mark.name in selected}:
            layer.selected_data = rows
        if (rings := self._rings) is not None:
            self._put_points(rings, positions, features[["name"]])
            rings.editable = False  # napari makes a layer editable with its new data
            if len(marks):
                errors = [mark.expected_error or 0.0 for mark in marks]
                # A ring of size 0 is not drawn, and neither is the shadow of its name.
                sizes = np.maximum(2 * self._pixels_of_layer() * np.array(errors), 1e-3)
                if not np.array_equal(rings.size, sizes):
                    rings.size = sizes

    def _put_points(self, layer: Points, positions: np.ndarray, features: pd.DataFrame) -> None:
        """Change what differs: each of these takes napari some milliseconds."""
        if len(layer.data) != len(positions) or not len(positions):
            self._painted, self._ring_colors = None, []  # new points have napari's colours
        if not np.array_equal(layer.data, positions):
            layer.data = positions
        if not features.equals(layer.features[list(features)]):
            layer.features = features

    def _paint(self, layer: Points, marks: list[Landmark], result: LandmarkSet) -> None:
        schema = result.schema
        predicted = any(mark.status is Status.PREDICTED for mark in marks)
        by_confidence = predicted and self._session.color_by_confidence
        painted = (
            by_confidence,
            schema.colors,
            tuple((mark.name, mark.status, mark.confidence) for mark in marks),
        )
        if len(marks) and painted != self._painted:
            self._painted = painted
            if by_confidence:
                # Before the colours: napari would take the limits from the data, and where all are equal (a single
                # landmark) its bar divides by their difference.
                layer.face_contrast_limits = (0, 1)
                layer.face_color = "confidence"
                if layer.face_colormap.name != CONFIDENCE_COLORS.name:
                    layer.face_colormap = CONFIDENCE_COLORS
            else:
                layer.face_color = [schema.colors[schema.index(mark.name)] for mark in marks]
            layer.border_color = [_BORDERS[mark.status] for mark in marks]
        self._show_bar(layer, by_confidence)

    def _show_bar(self, layer: Points, shown: bool) -> None:
        """Show or hide the bar of confidences.

        napari takes half a second to draw it for the first time. In a study with predictions it is drawn
        invisible while the study opens, rather than when the next image is shown.
        """
        bar = layer.face_colorbar
        invisible = not shown and not self._bar_drawn and self._session.require_store().any_prediction
        self._bar_drawn = self._bar_drawn or shown or invisible
        bar.opacity = 0.0 if invisible else 1.0
        if bar.visible != (shown or invisible):
            bar.visible = shown or invisible

    def _on_data(self, event: Any) -> None:
        """Save points that were added, dragged or deleted by the mouse or by a script.

        In the 3-D rendering napari's own tools place and move nothing: the depth of a point that they add is that of
        the camera's plane, and not of the structure under the mouse. Clicks are taken by `Rendering`.
        """
        action, layer, session = str(event.action), self._layer, self._session
        if layer is None or self._syncing or action not in ("added", "changed", "removed"):
            return
        names = _names(layer)
        before = session.result()
        self._syncing = True  # the changes of the session are drawn once, at the end
        try:
            if action != "removed" and self._is_rendered():
                raise InputError(
                    "In the 3-D rendering a click places a landmark on the surface under it; points are moved in "
                    "slices and planes"
                )
            if action == "added":
                for index in event.data_indices:
                    session.crosshair.move_to(layer.data[index])
                    self._editor.place_next(layer.data[index])
            elif action == "changed":
                for index in event.data_indices:
                    session.select_landmark(names[index])
                    self._editor.place(names[index], layer.data[index])
            else:
                for name in [n for n, mark in before.items() if mark.position is not None and n not in names]:
                    self._editor.remove(name)
        except InputError as error:
            session.message.emit("warning", word(error))
        finally:
            self._syncing = False
        self.refresh()

    def _on_set_data(self, event: Any = None) -> None:
        """Tell of a point that is being dragged: napari moves it at each step, and reports the change at the end."""
        layer, session = self._layer, self._session
        if layer is None or self._syncing or len(layer.selected_data) != 1 or not session.current_image:
            return
        (row,) = layer.selected_data
        names = _names(layer)
        if (
            str(layer.mode) != "select"
            or row >= len(names)
            or names[row] not in session.require_study().schema
        ):
            return
        position = tuple(np.asarray(layer.data[row], dtype=float).tolist())
        saved = session.result()[names[row]].position
        if saved is not None and len(saved) == len(position) and not np.allclose(position, saved, atol=1e-6):
            session.landmark_dragged.emit(names[row], position)

    def _is_rendered(self) -> bool:
        viewer = self._viewer()
        return viewer is not None and viewer.dims.ndisplay == 3

    def _pixels_of_layer(self) -> float:
        """Length of a pixel of the image in units of the sizes of points, which napari takes along the last axis."""
        geometry = self._session.geometry()
        spacing = geometry.spacing or (1.0,) * geometry.ndim
        return (geometry.mean_spacing or 1.0) / spacing[-1]

    def _on_ndisplay(self, event: Any = None) -> None:
        layer, rings = self.layer, self._rings
        if layer is not None and rings is not None:
            self._shade(rings, layer)
            self.follow_mode()
            self._ring_colors = []
            self._on_landmark_changed()

    def _shade(self, rings: Points, layer: Points) -> None:
        """Draw discs and rings as spheres in the 3-D rendering; a ring is the sphere of the expected error."""
        rendered = self._is_rendered()
        for one in (rings, layer):
            one.shading = "spherical" if rendered else "none"
        layer.canvas_size_limits = _SPHERE_LIMITS if rendered else _DISC_LIMITS
        layer.border_width = 0.0 if rendered else _RIM
        rings.text.visible = not rendered  # the shadows of the names would be before them

    def _on_mode(self, event: Any = None) -> None:
        """Follow the tool in napari's controls: clicks place with the one that adds points."""
        layer = self.layer
        if layer is not None and self._is_rendered():
            if str(layer.mode) in ("add", "select"):
                self._session.set_placing(str(layer.mode) == "add")
                self.follow_mode()
            return
        if layer is not None and (str(layer.mode) == "add") != self._session.placing:
            self._session.set_placing(str(layer.mode) == "add")

    def _on_selected(self, event: Any = None) -> None:
        """Make the clicked point the current landmark."""
        if self._syncing or self._layer is None or len(self._layer.selected_data) != 1:
            return
        (row,) = self._layer.selected_data
        names = _names(self._layer)
        if str(self._layer.mode) == "select" and row < len(names):
            self._session.select_landmark(names[row])

    def _on_landmarks_changed(self, image: str) -> None:
        if image == self._session.current_image:
            self.refresh()

    def _on_landmark_changed(self) -> None:
        if self.layer is not None and not self._syncing:
            with self._drawn_once():
                self._mark_current()

    def _mark_current(self) -> None:
        """Draw the current landmark larger and its ring brighter than the others."""
        layer, rings = self._layer, self._rings
        if layer is None or rings is None or not len(layer.data):
            return
        geometry = self._session.geometry()
        spacing = geometry.spacing or (1.0,) * geometry.ndim
        # Along the last axis, as napari takes sizes.
        size = max(np.multiply(geometry.shape, spacing)) / spacing[-1] / 80
        current = [name == self._session.current_landmark for name in _names(layer)]
        errors = layer.features["expected_error"] > 0
        sizes = np.where(current, 1.5 * size, size)
        if not np.array_equal(layer.size, sizes):
            layer.size = sizes
        colors = [
            "#ffd34d" if selected and error else "#ffd34d55" if error else "transparent"
            for selected, error in zip(current, errors, strict=True)
        ]
        if colors != self._ring_colors:
            self._ring_colors = colors
            rings.border_color = colors
            rings.face_color = colors if self._is_rendered() else "transparent"

    def _on_zoom(self, event: Any = None) -> None:
        if self.layer is not None:
            with self._drawn_once():
                self._keep_distances()

    def _keep_distances(self) -> None:
        """Keep the distances of names and shadows from their points on the screen."""
        viewer, layer, rings = self._viewer(), self._layer, self._rings
        if viewer is None or layer is None or rings is None:
            return
        pixel = 1 / max(camera_of(viewer).zoom, 1e-9)
        pixels = pixel / np.asarray(layer.scale)[-2:]
        pad = np.zeros(layer.ndim - 2)
        width = 1.6 * float(pixels.mean())
        if not np.all(np.asarray(rings.border_width) == width):
            rings.border_width = width
        for one, distance in ((layer, (4, 9)), (rings, (5.2, 10.2))):
            translation = np.concatenate([pad, pixels * distance])
            if not np.array_equal(one.text.translation, translation):
                one.text.translation = translation


def _names(layer: Points) -> list[str]:
    """Names of the points, in the order of the rows."""
    return [str(name) for name in layer.features["name"]]


def _features(landmarks: LandmarkSet) -> pd.DataFrame:
    """Table of the landmarks that have a position; manual ones have confidence 1."""
    marks = [mark for mark in landmarks.values() if mark.position is not None]
    return pd.DataFrame(
        {
            "name": pd.Series([mark.name for mark in marks], dtype=object),
            "status": pd.Series([str(mark.status) for mark in marks], dtype=object),
            "confidence": pd.Series(
                [1.0 if mark.status.is_manual else mark.confidence or 0.0 for mark in marks], dtype=float
            ),
            "expected_error": pd.Series([mark.expected_error or 0.0 for mark in marks], dtype=float),
        }
    )
