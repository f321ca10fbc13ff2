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
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import Landmark, LandmarkSet
from napari_landmark.gui.layers.error_ellipses import ErrorEllipses
from napari_landmark.gui.layers.layer_transforms import camera_of, layer_place, put
from napari_landmark.gui.layers.mark_colors import mark_colors, shows_confidence
from napari_landmark.gui.layers.napari_internals import choose_point
from napari_landmark.gui.layers.single_drawing import points_drawn_once, sliders_kept
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.mark_options import MarkShape
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.wording import word

NAME = "Landmarks"
_RINGS = "Expected error (average)"
MARK_RADIUS, CURRENT_MARK_RADIUS = 6.0, 9.0
"""Radii of marks in pixels of the screen: of any landmark, of the current one."""
_LINE = 1.6  # pixels of the screen
ABOUT_AS_NEAR = 3.0
"""Pixels of the screen by which no hand tells two marks apart: of such ones the current landmark is meant."""
_ANY_SIZE, _SPHERE_LIMITS = (2, 10_000), (15, 40)  # pixels of the screen
_SPHERE = 1 / 80  # of the longest side of a volume
_NO_PASTING = (
    "The pasted points were taken back: each landmark is in an image once. Drag its point to move it"
)
_NO_NEW_ROWS = (
    "Points that were set at once were taken back: add, drag and delete single points, or import a file"
)


class LandmarkLayer:
    """A points layer that follows the session, and the session follows its edits.

    Rows of the layer are identified by the landmark's name, never by their number. Marks are open rings of a constant
    size on the screen. A second layer below shows the expected errors, which are averages and no bounds, as rings.
    Where the covariances of errors are known, ellipses show them instead of rings.

    Parameters
    ----------
    viewer : ViewerModel
    session : Session

    Attributes
    ----------
    has_overlay : bool
        Whether names, and in slices marks of other shapes, are drawn over the canvas.
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._editor = AnnotationEditor(session)
        self._layer: Points | None = None
        self._drawn: list[str] = []  # landmarks of the rows, which may still be those of the image before
        self._rings: Points | None = None
        self._hidden_errors: list[Layer] = []
        self._ellipses = ErrorEllipses(viewer, session)
        self._syncing = False
        self._grabbing = self._changing = False
        self.has_overlay = False
        # What the layers were drawn from: each of their attributes takes napari some milliseconds.
        self._painted: object = None
        self._ring_colors: list[str] = []
        viewer.dims.events.ndisplay.connect(self._on_ndisplay)
        session.landmarks_changed.connect(self._on_landmarks_changed)
        session.landmark_changed.connect(self._on_landmark_changed)
        session.view_changed.connect(self.refresh)
        session.marks.changed.connect(self.refresh)
        camera_of(viewer).events.zoom.connect(self._on_zoom)

    @property
    def layer(self) -> Points | None:
        """The points layer; None while it is not in the viewer."""
        viewer = self._viewer()
        return self._layer if viewer is not None and self._layer in viewer.layers else None

    def owns(self, layer: Layer) -> bool:
        """Whether a layer of the viewer is one of these layers."""
        return layer in (self._layer, self._rings) or self._ellipses.owns(layer)

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

    def grab(self, on: bool) -> None:
        """Let the mouse drag points though clicks place, such as from a press on a point until its release."""
        layer = self.layer
        if layer is None or self._is_rendered():
            return
        self._grabbing = True
        try:
            layer.mode = "select" if on or not self._session.placing else "add"
        finally:
            self._grabbing = False

    def use_overlay(self) -> None:
        """Leave names, and marks of other shapes, to an overlay over the canvas."""
        self.has_overlay = True
        self._painted = None
        self._show_names()
        self.refresh()

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
                self._ellipses.mark(self._session.current_landmark)
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
            border_width=1.0,
            border_width_is_relative=False,
            face_color="transparent",
            text={"string": "{name}", "color": "#ffffff", "anchor": "upper_left", "size": 10},
            **place,
        )
        self._shade(rings, layer)
        choose_point(layer, self._meant)
        layer.events.data.connect(self._on_data)
        layer.events.set_data.connect(self._on_set_data)
        layer.events.mode.connect(self._on_mode)
        layer.events.visible.connect(self._on_visible)
        layer.selected_data.events.items_changed.connect(self._on_selected)
        self._layer, self._drawn = layer, []
        self._painted, self._ring_colors = None, []
        self._show_names()
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
        self._ellipses.show(marks)
        selected = {names[row] for row in layer.selected_data if row < len(names)}
        if layer.selected_data:
            layer.selected_data = set()
        self._put_points(layer, positions, features)
        self._drawn = [mark.name for mark in marks]
        self._paint(layer, marks, result)
        if rows := {row for row, mark in enumerate(marks) if mark.name in selected}:
            layer.selected_data = rows
        if (rings := self._rings) is not None:
            self._put_points(rings, positions, features[["name"]])
            rings.editable = False  # napari makes a layer editable with its new data
            if len(marks):
                # Ellipses instead of rings, where they are known.
                drawn = set() if self._is_rendered() else self._ellipses.names
                errors = [0.0 if mark.name in drawn else mark.expected_error or 0.0 for mark in marks]
                # A ring of size 0 is not drawn, and neither is the shadow of its name.
                sizes = np.maximum(2 * self._pixels_of_layer() * np.array(errors), 1e-3)
                if not np.array_equal(rings.size, sizes):
                    rings.size = sizes
        if not layer.visible:
            self._on_visible()

    def _put_points(self, layer: Points, positions: np.ndarray, features: pd.DataFrame) -> None:
        """Change what differs: each of these takes napari some milliseconds."""
        if len(layer.data) != len(positions) or not len(positions):
            self._painted, self._ring_colors = None, []  # new points have napari's colours
        if not np.array_equal(layer.data, positions):
            layer.data = positions
        if not features.equals(layer.features[list(features)]):
            layer.features = features

    def _paint(self, layer: Points, marks: list[Landmark], result: LandmarkSet) -> None:
        by_confidence = shows_confidence(marks, wanted=self._session.color_by_confidence)
        rendered = self._is_rendered()
        open_ring = self._session.marks.shape is MarkShape.RING or not self.has_overlay
        painted = (
            by_confidence,
            rendered,
            open_ring,
            result.schema.colors,
            tuple((mark.name, mark.status, mark.confidence) for mark in marks),
        )
        if not len(marks) or painted == self._painted:
            return
        self._painted = painted
        colors = mark_colors(marks, result.schema, by_confidence=by_confidence)
        unseen = colors * (1.0, 1.0, 1.0, 0.0)
        layer.face_color = colors if rendered else unseen
        layer.border_color = colors if open_ring and not rendered else unseen

    def _on_visible(self, event: Any = None) -> None:
        """Hide the expected errors with the landmarks, and show again those that were hidden with them."""
        layer = self._layer
        if layer is None:
            return
        if layer.visible:
            for one in self._hidden_errors:
                one.visible = True
            self._hidden_errors.clear()
            return
        for one in (self._rings, self._ellipses.layer):
            if one is not None and one.visible:
                one.visible = False
                self._hidden_errors.append(one)

    def _show_names(self) -> None:
        """Show the names of the layer where no overlay has them."""
        if self._layer is not None:
            shown = not self.has_overlay
            if self._layer.text.visible != shown:
                self._layer.text.visible = shown

    def _on_data(self, event: Any) -> None:
        """Save points that were added, dragged or deleted by the mouse or by a script.

        In the 3-D rendering napari's own tools place and move nothing: the depth of a point that they add is that of
        the camera's plane, and not of the structure under the mouse. Clicks are taken by `Rendering`.
        """
        action, layer, session = str(event.action), self._layer, self._session
        if layer is None or self._syncing:
            return
        self._changing = action in ("adding", "changing", "removing")
        if action not in ("added", "changed", "removed"):
            return
        names = _names(layer)
        if action == "changed" and names != self._drawn:
            self._take_back(_NO_NEW_ROWS)
            return
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
        if layer is None or self._syncing or not session.current_image or session.study is None:
            return
        if not self._changing and len(layer.data) > len(self._drawn):
            self._take_back(_NO_PASTING)  # napari tells of pasted points by this event alone
            return
        if len(layer.selected_data) != 1:
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

    def _take_back(self, reason: str) -> None:
        """Show the landmarks of the session again, and say why."""
        self.refresh()
        self._session.message.emit("warning", reason)

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
            self._show_names()
            self.follow_mode()
            self._ring_colors = []
            self.refresh()

    def _shade(self, rings: Points, layer: Points) -> None:
        """Draw discs and rings as spheres in the 3-D rendering; a ring is the sphere of the expected error."""
        rendered = self._is_rendered()
        for one in (rings, layer):
            one.shading = "spherical" if rendered else "none"
        layer.canvas_size_limits = _SPHERE_LIMITS if rendered else _ANY_SIZE

    def _on_mode(self, event: Any = None) -> None:
        """Follow the tool in napari's controls: clicks place with the one that adds points."""
        layer = self.layer
        if self._grabbing:
            return
        if layer is not None and self._is_rendered():
            if str(layer.mode) in ("add", "select"):
                self._session.set_placing(str(layer.mode) == "add")
                self.follow_mode()
            return
        if layer is not None and (str(layer.mode) == "add") != self._session.placing:
            self._session.set_placing(str(layer.mode) == "add")

    def _meant(self, top: int, shown: NDArray[np.intp], position: NDArray[np.float64]) -> int:
        """Row of the point that the mouse means, of those under it: the nearest one, of about as near the current one.

        Marks of two landmarks may nearly coincide, such as those of the tips of incisors; the one that is drawn last
        is not for that reason the one that is dragged.
        """
        viewer, layer = self._viewer(), self._layer
        if viewer is None or layer is None:
            return top
        axes = [axis - viewer.dims.ndim for axis in viewer.dims.displayed]
        lengths = np.asarray(layer.scale)[axes] / np.asarray(layer.scale)[-1]
        steps = np.abs(np.asarray(layer.data)[shown][:, axes] - position[axes]) * lengths
        under = (steps <= np.asarray(layer.size)[shown][:, None] / 2).all(axis=1)
        if not under.any():
            return top
        rows, distances = shown[under], np.linalg.norm(steps[under], axis=1)
        names = _names(layer)
        for row in rows[distances <= distances.min() + ABOUT_AS_NEAR * self._screen_pixel(layer)]:
            if names[row] == self._session.current_landmark:
                return int(row)
        return int(rows[distances.argmin()])

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
            self._ellipses.mark(self._session.current_landmark)

    def _mark_current(self) -> None:
        """Draw the current landmark larger and its ring brighter than the others."""
        layer, rings = self._layer, self._rings
        if layer is None or rings is None or not len(layer.data):
            return
        current = [name == self._session.current_landmark for name in _names(layer)]
        errors = layer.features["expected_error"] > 0
        self._size_marks(layer, current)
        colors = [
            "#ffd34d" if selected and error else "#ffd34d55" if error else "transparent"
            for selected, error in zip(current, errors, strict=True)
        ]
        if colors != self._ring_colors:
            self._ring_colors = colors
            rings.border_color = colors
            rings.face_color = colors if self._is_rendered() else "transparent"

    def _size_marks(self, layer: Points, current: list[bool]) -> None:
        """Keep the sizes of marks on the screen; spheres have a size in the volume."""
        pixel = self._screen_pixel(layer)
        if self._is_rendered():
            geometry = self._session.geometry()
            spacing = geometry.spacing or (1.0,) * geometry.ndim
            sphere = _SPHERE * max(np.multiply(geometry.shape, spacing)) / spacing[-1]
            sizes, width = np.where(current, 1.5 * sphere, sphere), 0.0
        else:
            sizes = 2 * pixel * np.where(current, CURRENT_MARK_RADIUS, MARK_RADIUS)
            width = _LINE * pixel
        if not np.allclose(layer.size, sizes, rtol=1e-6, atol=0):
            layer.size = sizes
        if not np.allclose(layer.border_width, width, rtol=1e-6, atol=0):
            layer.border_width = width

    def _screen_pixel(self, layer: Points) -> float:
        """Length of a pixel of the screen in units of the sizes of points, which napari takes along the last axis."""
        viewer = self._viewer()
        zoom = 1.0 if viewer is None else max(camera_of(viewer).zoom, 1e-9)
        return float(1 / zoom / np.asarray(layer.scale)[-1])

    def _on_zoom(self, event: Any = None) -> None:
        if self.layer is not None:
            with self._drawn_once():
                self._keep_distances()

    def _keep_distances(self) -> None:
        """Keep the distances of names and shadows from their points on the screen."""
        viewer, layer, rings = self._viewer(), self._layer, self._rings
        if viewer is None or layer is None or rings is None:
            return
        self._size_marks(layer, [name == self._session.current_landmark for name in _names(layer)])
        width = 1.6 * self._screen_pixel(layer)
        if not np.all(np.asarray(rings.border_width) == width):
            rings.border_width = width
        if layer.text.visible:
            pixels = 1 / max(camera_of(viewer).zoom, 1e-9) / np.asarray(layer.scale)[-2:]
            translation = np.concatenate([np.zeros(layer.ndim - 2), pixels * (4, 9)])
            if not np.array_equal(layer.text.translation, translation):
                layer.text.translation = translation


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
