"""What is over the canvas of a viewer: marks, loupe, template, linked cursor; and the mouse on it."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtCore import QEvent, QObject, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QWidget

from napari_landmark.gui.canvas.loupe import Loupe
from napari_landmark.gui.canvas.mark_overlay import MarkOverlay
from napari_landmark.gui.canvas.moving_view import MovingView
from napari_landmark.gui.canvas.screen import Screen
from napari_landmark.gui.canvas.template_view import TemplateView
from napari_landmark.gui.layers.landmark_layer import MARK_RADIUS
from napari_landmark.gui.layers.layer_manager import LayerManager
from napari_landmark.gui.layers.layer_transforms import camera_of
from napari_landmark.gui.layers.napari_internals import canvas_widget
from napari_landmark.gui.layers.registration_layers import WARPED
from napari_landmark.gui.layers.viewer_session import get_layer_manager, get_session
from napari_landmark.gui.listener import end_connections
from napari_landmark.gui.mark_preferences import keep_marks, read_marks
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.session import Session

_VIEWS: weakref.WeakKeyDictionary[ViewerModel, CanvasView] = weakref.WeakKeyDictionary()
_STILL = 4.0  # pixels of the screen that a mouse may move in a click
# From five pixels on napari takes a click for a drag and places nothing; nobody moves an image by as little as this.
_NAPARI_STILL, _SHAKY = 5.0, 9.0
_WHOLE_WINDOW = 300.0  # pixels of the screen that the mouse moves to double the window


def show_canvas_view(viewer: ViewerModel) -> CanvasView | None:
    """Draw landmarks over the canvas of a viewer; a second call changes nothing. None without a window."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    canvas = canvas_widget(viewer)
    if canvas is None:
        return None
    if viewer not in _VIEWS:
        _VIEWS[viewer] = CanvasView(canvas, viewer, get_session(viewer), get_layer_manager(viewer))
    return _VIEWS[viewer]


class CanvasView(QObject):
    """Widgets over the canvas that follow the session, the camera and the mouse.

    Parameters
    ----------
    canvas : QWidget
    viewer : ViewerModel
    session : Session
    layers : LayerManager

    Attributes
    ----------
    overlay : MarkOverlay
    loupe : Loupe
    template : TemplateView
    moving : MovingView
    """

    def __init__(self, canvas: QWidget, viewer: ViewerModel, session: Session, layers: LayerManager) -> None:
        super().__init__(canvas)
        self._canvas, self._session, self._layers = canvas, session, layers
        self._viewer = weakref.ref(viewer)
        self._editor = AnnotationEditor(session)
        self._screen = Screen(viewer, canvas)
        self.overlay = MarkOverlay(canvas, viewer, session, layers.landmarks, layers.preview)
        self.loupe = Loupe(canvas, session.display)
        self.template = TemplateView(canvas, session)
        self.moving = MovingView(canvas)
        self._mouse = QPointF()
        self._pressed: tuple[Qt.MouseButton, QPointF] | None = None
        self._pressed_at: tuple[float, ...] | None = None
        self._grabbed = ""
        self._followed: weakref.WeakSet[object] = weakref.WeakSet()
        self._connections: list[tuple[Any, Callable]] = []
        connections = (
            self._connections
        )  # not a method: once `destroyed` is emitted, this object must not be used
        self.destroyed.connect(lambda: end_connections(connections))
        camera = camera_of(viewer)
        for signal in (
            *(session.landmarks_changed, session.landmark_changed, session.view_changed),
            *(session.image_changed, session.study_changed, session.marks.changed),
            *(session.display.changed, session.crosshair.moved, layers.preview.changed),
            *(camera.events.zoom, camera.events.center, camera.events.angles, camera.events.perspective),
            viewer.dims.events.ndisplay,
            *(viewer.layers.events.inserted, viewer.layers.events.removed),
        ):
            self._listen(signal, self._on_changed)
        self._listen(session.landmark_dragged, self._on_dragged)
        canvas.setMouseTracking(True)
        canvas.installEventFilter(self)
        layers.landmarks.use_overlay()
        layers.preview.use_overlay()
        read_marks(session.marks)
        self._listen(session.marks.changed, self._keep_marks)
        self._on_changed()

    def _listen(self, signal: Any, slot: Callable) -> None:
        """Call `slot` until the canvas goes: session and layers may outlive it, with a job that ends later."""
        signal.connect(slot)
        self._connections.append((signal, slot))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Follow the mouse on the canvas; right drags change the window and go no further."""
        if event is None or watched is not self._canvas:
            return False
        kind = event.type()
        if kind == QEvent.Type.Resize:
            self.overlay.setGeometry(self._canvas.rect())
            self._on_changed()
        elif kind == QEvent.Type.Leave:
            self.loupe.hide()
            self.moving.hide()
            self._hover("")
        elif kind == QEvent.Type.MouseMove and isinstance(event, QMouseEvent):
            self._show_moving(event.position())
        if isinstance(event, QMouseEvent) and self._session.current_image and self._screen.is_flat:
            if kind == QEvent.Type.MouseButtonPress:
                return self._on_press(event)
            if kind == QEvent.Type.MouseMove:
                return self._on_move(event)
            if kind == QEvent.Type.MouseButtonRelease:
                return self._on_release(event)
        return False

    # -- mouse ------------------------------------------------------------------------------------------

    def _on_press(self, event: QMouseEvent) -> bool:
        plain = event.modifiers() == Qt.KeyboardModifier.NoModifier
        if event.button() == Qt.MouseButton.RightButton and plain:
            self._pressed = Qt.MouseButton.RightButton, event.position()
            return True
        if event.button() == Qt.MouseButton.LeftButton and plain:
            self._pressed = Qt.MouseButton.LeftButton, event.position()
            self._pressed_at = self._data_at(event.position())  # the image may move before the release
            layer = self._layers.landmarks.layer
            if layer is not None and self._active() is layer and str(getattr(layer, "mode", "")) == "add":
                # A press on a mark drags it, though clicks place.
                self._grabbed = self.overlay.mark_at(event.position(), reach=MARK_RADIUS - 0.5)
                if self._grabbed:
                    self._layers.landmarks.grab(True)
        return False

    def _on_move(self, event: QMouseEvent) -> bool:
        at, before = event.position(), self._mouse
        self._mouse = at
        if self._pressed is not None and self._pressed[0] == Qt.MouseButton.RightButton:
            step = at - before
            self._session.display.adjust_by(step.x() / _WHOLE_WINDOW, -step.y() / _WHOLE_WINDOW)
            return True
        if event.buttons() == Qt.MouseButton.NoButton:
            self._hover(self.overlay.mark_at(at))
        self._show_loupe()
        return False

    def _on_release(self, event: QMouseEvent) -> bool:
        pressed, self._pressed = self._pressed, None
        if event.button() == Qt.MouseButton.RightButton and pressed is not None:
            return pressed[0] == Qt.MouseButton.RightButton
        if event.button() == Qt.MouseButton.LeftButton and self._grabbed and pressed is not None:
            step = event.position() - pressed[1]
            still = math.hypot(step.x(), step.y()) <= _STILL
            self._grabbed = ""
            place = self._data_at(pressed[1]) if still else None
            QTimer.singleShot(0, lambda: self._end_grab(place))
        elif event.button() == Qt.MouseButton.LeftButton and pressed is not None and self._places():
            step, place = event.position() - pressed[1], self._pressed_at
            if place is not None and _NAPARI_STILL <= math.hypot(step.x(), step.y()) <= _SHAKY:
                QTimer.singleShot(0, lambda: self._session.attempt(lambda: self._editor.place_next(place)))
        return False

    def _places(self) -> bool:
        """Whether a click on the canvas places a landmark."""
        layer = self._layers.landmarks.layer
        adds = layer is not None and self._active() is layer and str(getattr(layer, "mode", "")) == "add"
        return adds and self._session.placing

    def _end_grab(self, place: tuple[float, ...] | None) -> None:
        """After napari's own tool: a click on a mark places the landmark that is to be placed there, too."""
        session = self._session
        self._layers.landmarks.grab(False)
        if place is not None and session.placing and session.next_unplaced():
            session.attempt(lambda: self._editor.place_next(place))

    def _hover(self, name: str) -> None:
        if name != self.overlay.hovered:
            self.overlay.hovered = name
            self.overlay.redraw()

    def _data_at(self, at: QPointF) -> tuple[float, ...] | None:
        layer = self._layers.landmarks.layer
        if layer is None:
            return None
        return tuple(self._screen.to_data(layer, (at.y(), at.x())).tolist())

    # -- loupe ------------------------------------------------------------------------------------------

    def _show_loupe(self, position: tuple[float, ...] | None = None) -> None:
        """Show the loupe where a click would place, or where a landmark is dragged."""
        session, image = self._session, self._layers.image
        magnification = session.marks.magnification
        if image is None or not magnification or not self._wants_loupe(position):
            self.loupe.hide()
            return
        if position is None:
            position = tuple(self._screen.to_data(image, (self._mouse.y(), self._mouse.x())).tolist())
        if self._screen.pixel(image) >= magnification or not session.geometry().contains([position])[0]:
            self.loupe.hide()  # the canvas shows as much, or the mouse is beside the image
            return
        axes = self._screen.displayed(image)
        plane = image.data
        if image.ndim == 3:
            (axis,) = set(range(3)) - set(axes)
            number = min(max(round(position[axis]), 0), plane.shape[axis] - 1)
            plane = np.moveaxis(plane, (axes[0], axes[1]), (0, 1))[:, :, number]
        place = float(position[axes[0]]), float(position[axes[1]])
        self.loupe.show_at(self._mouse, plane, place, magnification=magnification)

    def _show_moving(self, mouse: QPointF) -> None:
        """Show what the moving image of a registered pair has at the place under the mouse."""
        registration = self._layers.registration
        layer, result = registration.get(WARPED), registration.result
        if not registration.cursor_linked or layer is None or result is None or not self._screen.is_flat:
            self.moving.hide()
            return
        row, column = self._screen.displayed(layer)
        position = self._screen.to_data(layer, (mouse.y(), mouse.x()))
        self.moving.show_at(result, position, (row, column), pixel=self._screen.pixel(layer))

    def _wants_loupe(self, position: tuple[float, ...] | None) -> bool:
        layer = self._layers.landmarks.layer
        if layer is None or not layer.visible or self._active() is not layer:
            return False
        if position is not None or self._grabbed:
            return True
        return self._session.placing and str(getattr(layer, "mode", "")) == "add"

    def _active(self) -> Layer | None:
        viewer = self._viewer()
        return None if viewer is None else viewer.layers.selection.active

    def _keep_marks(self) -> None:
        keep_marks(self._session.marks)

    # -- changes ----------------------------------------------------------------------------------------

    def _on_dragged(self, name: str, position: tuple[float, ...]) -> None:
        self.overlay.redraw()
        self._show_loupe(position)

    def _on_changed(self, *_: object) -> None:
        for layer in (self._layers.landmarks.layer, self._layers.preview.layer):
            if layer is not None and layer not in self._followed:
                self._followed.add(layer)
                self._listen(layer.events.visible, self._on_changed)
                self._listen(layer.events.set_data, self._on_points)
        self.overlay.redraw()
        image = self._layers.image
        if image is None or not self._screen.is_flat:
            self.template.hide()
            self.loupe.hide()
            return
        axes = self._screen.displayed(image)
        self.template.follow(pixel=self._screen.pixel(image), axes=(axes[0], axes[1]))

    def _on_points(self, event: object = None) -> None:
        self.overlay.redraw()
