"""One plane of a volume, drawn by Qt: slice, heatmap, landmarks, crosshair, sides of the patient."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from napari.utils.colormaps import ensure_colormap
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, QSizeF, Qt, Signal
from qtpy.QtGui import QColor, QFontMetrics, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_landmark.data.planes import Plane
from napari_landmark.gui.layers.landmark_layer import ABOUT_AS_NEAR
from napari_landmark.gui.session.image_display import ImageDisplay

COLORS = ("#ff6b6b", "#57d38c", "#ffd34d")
"""Colours of the three planes, of their titles and of their lines in the other two."""
_STILL = 4.0  # pixels of the screen that a mouse may move in a click
_REACH = 9.0  # pixels of the screen from a landmark at which the mouse takes it
_THICKNESS = 1.5  # slices next to its own in which a landmark is drawn
_OWN_SLICE, _BESIDE_OPACITY = 0.5, 0.45  # slices from its own up to which a landmark is drawn as on it
_RADIUS = 5.0  # pixels of the screen
_EDGE = 4.0  # pixels of the screen between texts and the edge of the view
_LEAST_HEAT, _HEAT_OPACITY = 0.1, 0.6
_DIGIT_OF_WHEEL = 120  # of one step, by Qt


@dataclass(frozen=True)
class PlaneMark:
    """Landmark as a plane draws it.

    Parameters
    ----------
    name : str
    position : tuple of float
        Index position in the volume.
    color : str
        '#rrggbb'.
    radius : float
        Of the expected error, in mm (voxels where the spacing is not known); 0 without one.
    is_current : bool
    is_manual : bool
    """

    name: str
    position: tuple[float, ...]
    color: str
    radius: float
    is_current: bool
    is_manual: bool


class _Text(NamedTuple):
    """Words in a box of the widget."""

    words: str
    box: QRectF
    color: QColor


def _size(metrics: QFontMetrics, words: str) -> QSizeF:
    return QSizeF(metrics.horizontalAdvance(words), metrics.height())


class PlaneView(QWidget):
    """Canvas of one plane, true to the size of the voxels. Draws what it is given, and tells what the mouse does."""

    pointed = Signal(tuple)
    """The crosshair is to be at an index position."""
    clicked = Signal(tuple)
    """A click, on no landmark, at an index position."""
    picked = Signal(str)
    """A click on a landmark."""
    dropped = Signal(str, tuple)
    """A landmark was dragged to an index position."""
    scrolled = Signal(int, int)
    """Go by so many slices along an axis of the array."""
    zoomed = Signal(float)
    """Zoom by a factor."""
    panned = Signal(tuple)
    """The middle of the view is to be at an index position."""
    windowed = Signal(float, float)
    """Change width and level of the window, in parts of the width."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        self.plane: Plane | None = None
        self._array: NDArray | None = None
        self._heatmap: NDArray | None = None
        self._marks: tuple[PlaneMark, ...] = ()
        self._display = ImageDisplay()
        self._cross: tuple[float, ...] = ()
        self._indices: tuple[int, ...] = ()
        self._centre: tuple[float, ...] = ()
        self._zoom = 1.0
        self._others: tuple[Plane, ...] = ()
        self._drawn: tuple[object, QImage] | None = None
        self._pressed: QPointF | None = None
        self._still = True
        self._grabbed: PlaneMark | None = None
        self._wheel = 0.0
        self.setMinimumSize(110, 110)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.CrossCursor)

    def sizeHint(self) -> QSize:
        """Size without a layout."""
        return QSize(260, 260)

    # -- what is shown ----------------------------------------------------------------------------------

    def show_volume(self, array: NDArray | None, planes: tuple[Plane, ...], heatmap: NDArray | None) -> None:
        """Draw another volume, None for none.

        Parameters
        ----------
        array : (z, y, x) array or None
        planes : tuple of Plane
            All three of the volume.
        heatmap : (z, y, x) array or None
            0 to 1, on cells that divide the volume.
        """
        self._array, self._heatmap, self._others = array, heatmap, planes
        self.plane = planes[self._number] if planes else None
        self._drawn = None
        self.update()

    def show_place(
        self,
        cross: tuple[float, ...],
        indices: tuple[int, ...],
        centre: tuple[float, ...],
        zoom: float,
    ) -> None:
        """Draw another slice.

        Parameters
        ----------
        cross : tuple of float
            Index position of the crosshair.
        indices : tuple of int
            Numbers of the slices along the axes of the array.
        centre : tuple of float
            Index position in the middle of the view, where it is zoomed.
        zoom : float
            1 shows the whole slice.
        """
        self._cross, self._indices, self._centre, self._zoom = cross, indices, centre, zoom
        self.update()

    def show_display(self, display: ImageDisplay) -> None:
        """Draw with another window, gamma, or black and white exchanged."""
        self._display = display
        self.update()

    def show_marks(self, marks: tuple[PlaneMark, ...]) -> None:
        """Draw other landmarks."""
        self._marks = marks
        self.update()

    # -- from the volume to the screen and back ---------------------------------------------------------

    def to_screen(self, position: tuple[float, ...]) -> QPointF:
        """Where an index position of the volume is on this widget."""
        plane = self._require_plane()
        row, column = plane.to_plane([position])[0]
        middle_row, middle_column = self._middle()
        scale = self._scale()
        return QPointF(
            self.width() / 2 + (column - middle_column) * plane.spacing[1] * scale,
            self.height() / 2 + (row - middle_row) * plane.spacing[0] * scale,
        )

    def to_index(self, point: QPointF) -> tuple[float, float, float]:
        """Index position on the shown slice of a point of this widget."""
        plane = self._require_plane()
        middle_row, middle_column = self._middle()
        scale = self._scale()
        row = middle_row + (point.y() - self.height() / 2) / (plane.spacing[0] * scale)
        column = middle_column + (point.x() - self.width() / 2) / (plane.spacing[1] * scale)
        return plane.to_index(row, column, self._indices[plane.axis])

    def _scale(self) -> float:
        """Pixels of the screen per mm."""
        plane = self._require_plane()
        extent = np.multiply(plane.shape, plane.spacing)
        return self._zoom * min(self.height() / extent[0], self.width() / extent[1])

    def _middle(self) -> tuple[float, float]:
        """Row and column in the middle of the widget."""
        plane = self._require_plane()
        if self._zoom <= 1:
            return (plane.shape[0] - 1) / 2, (plane.shape[1] - 1) / 2
        row, column = plane.to_plane([self._centre])[0]
        return float(row), float(column)

    def _require_plane(self) -> Plane:
        if self.plane is None:
            raise ValueError("no volume is shown")
        return self.plane

    # -- drawing ----------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the plane."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("black"))
        plane, array = self.plane, self._array
        if plane is None or array is None or not self._indices:
            painter.end()
            return
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        first, last = (plane.to_index(r, c, 0) for r, c in ((-0.5, -0.5), (n - 0.5 for n in plane.shape)))
        target = QRectF(self.to_screen(first), self.to_screen(last))
        painter.drawImage(target, self._picture(array, plane))
        if self._heatmap is not None:
            painter.drawImage(target, self._heat(self._heatmap, array, plane))
        self._draw_cross(painter, plane)
        font = painter.font()
        font.setBold(True)
        painter.setFont(font)
        texts = self._texts(painter.fontMetrics(), plane)
        for mark in self._visible():
            self._draw_mark(painter, plane, mark, [text.box for text in texts])
        for text in texts:
            self._draw_text(painter, text)
        painter.end()

    def _picture(self, array: NDArray, plane: Plane) -> QImage:
        """The slice; kept, since most changes leave it as it is."""
        display = self._display
        key = (id(array), self._indices[plane.axis], display.limits, display.gamma, display.inverted)
        if self._drawn is None or self._drawn[0] != key:
            pixels = np.ascontiguousarray(display.grey(plane.slice(array, self._indices[plane.axis])))
            rows, columns = pixels.shape
            image = QImage(pixels.tobytes(), columns, rows, columns, QImage.Format.Format_Grayscale8).copy()
            self._drawn = (key, image)
        return self._drawn[1]

    def _heat(self, heatmap: NDArray, array: NDArray, plane: Plane) -> QImage:
        number, cells = array.shape[plane.axis], heatmap.shape[plane.axis]
        index = min(int((self._indices[plane.axis] + 0.5) * cells / number), cells - 1)
        values = np.clip(plane.slice(heatmap, index), 0, 1)
        colors = (
            (255 * ensure_colormap("magma").map(values.ravel())).astype(np.uint8).reshape(*values.shape, 4)
        )
        colors[..., 3] = (255 * _HEAT_OPACITY * np.where(values < _LEAST_HEAT, 0, 1)).astype(np.uint8)
        rows, columns = values.shape
        return QImage(colors.tobytes(), columns, rows, 4 * columns, QImage.Format.Format_RGBA8888).copy()

    def _draw_cross(self, painter: QPainter, plane: Plane) -> None:
        """Lines where the other two planes cut this one, with a gap around the crosshair itself."""
        at = self.to_screen(self._cross)
        gap = 3 * _RADIUS
        for number, other in enumerate(self._others):
            if other.axis == plane.axis:
                continue
            painter.setPen(QPen(QColor(COLORS[number]), 1))
            if other.axis == plane.row_axis:
                painter.drawLine(QPointF(0, at.y()), QPointF(at.x() - gap, at.y()))
                painter.drawLine(QPointF(at.x() + gap, at.y()), QPointF(self.width(), at.y()))
            else:
                painter.drawLine(QPointF(at.x(), 0), QPointF(at.x(), at.y() - gap))
                painter.drawLine(QPointF(at.x(), at.y() + gap), QPointF(at.x(), self.height()))

    def _draw_mark(self, painter: QPainter, plane: Plane, mark: PlaneMark, taken: list[QRectF]) -> None:
        """Landmark with its expected error, fainter beside its slice, and its name where no text is `taken`."""
        at = self.to_screen(mark.position)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        slices = abs(mark.position[plane.axis] - self._indices[plane.axis])
        painter.setOpacity(1.0 if slices <= _OWN_SLICE else _BESIDE_OPACITY)
        away = slices * self._thickness(plane)
        if mark.radius > away:  # the sphere of the expected error, cut by the plane
            ring = math.sqrt(mark.radius**2 - away**2) * self._scale()
            painter.setPen(QPen(QColor(255, 211, 77, 255 if mark.is_current else 110), 1.5))
            painter.drawEllipse(at, ring, ring)
        radius = _RADIUS + 1.5 * mark.is_current
        painter.setPen(QPen(QColor("black"), 3.5))
        painter.drawEllipse(at, radius, radius)
        painter.setPen(QPen(QColor(mark.color), 2))
        painter.drawEllipse(at, radius, radius)
        if mark.is_manual:
            painter.setPen(QPen(QColor("white"), 1))
            painter.drawEllipse(at, radius + 1.5, radius + 1.5)
        painter.setOpacity(1.0)
        if mark.is_current:
            box = self._free_box(painter.fontMetrics(), mark.name, at, radius + 4, taken)
            self._draw_text(painter, _Text(mark.name, box, QColor("white")))

    def _free_box(
        self, metrics: QFontMetrics, name: str, at: QPointF, away: float, taken: list[QRectF]
    ) -> QRectF:
        """Box of a name beside a landmark, right of it where that is free: on the view, over no other text."""
        size = _size(metrics, name)
        columns = (at.x() + away, at.x() - away - size.width(), at.x() - size.width() / 2)
        level, line = at.y() - size.height() / 2, size.height()
        beside = [(x, level) for x in columns[:2]]
        apart = [away + line / 2 + further * line for further in range(3)]
        rows = [level + sign * down for down in apart for sign in (-1, 1)]
        boxes = [QRectF(QPointF(x, y), size) for x, y in [*beside, *itertools.product(columns, rows)]]
        view = QRectF(self.rect())
        for box in boxes:
            if view.contains(box) and not any(box.intersects(other) for other in taken):
                return box
        within = boxes[0]
        within.moveLeft(max(0.0, min(within.left(), view.right() - size.width())))
        return within

    def _texts(self, metrics: QFontMetrics, plane: Plane) -> list[_Text]:
        """Title with the number of the slice, below it how oblique it is, and letters of the sides."""
        color, white = QColor(COLORS[self._number]), QColor("white")
        count = self._array.shape[plane.axis] if self._array is not None else 0
        number = f"{self._indices[plane.axis]}/{count - 1}"
        room, line = self.width() - 2 * _EDGE, metrics.height()
        name, _, oblique = plane.title.partition(", ")
        texts = []
        for row, words in enumerate((f"{name}  {number}", oblique)):
            text = metrics.elidedText(words, Qt.TextElideMode.ElideRight, int(room))
            texts.append(_Text(text, QRectF(QPointF(_EDGE, _EDGE + row * line), _size(metrics, text)), color))
        top, bottom, left, right = plane.letters
        middle = QPointF(self.width() / 2, self.height() / 2)
        for text, x, y in (
            (top, 0.5, _EDGE + 2 * line if oblique else _EDGE + line),
            (bottom, 0.5, self.height() - _EDGE - line),
            (left, 0.0, middle.y() - line / 2),
            (right, 1.0, middle.y() - line / 2),
        ):
            size = _size(metrics, text)
            corner = QPointF(_EDGE + x * (room - size.width()), y)
            texts.append(_Text(text, QRectF(corner, size), white))
        return [text for text in texts if text.words]

    @staticmethod
    def _draw_text(painter: QPainter, text: _Text) -> None:
        """Text that is legible on any background."""
        flags = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter) | int(
            Qt.TextFlag.TextDontClip
        )
        painter.setPen(QColor("black"))
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            painter.drawText(text.box.translated(dx, dy), flags, text.words)
        painter.setPen(text.color)
        painter.drawText(text.box, flags, text.words)

    def _visible(self) -> list[PlaneMark]:
        """Landmarks near the slice, the current one last so that it is on top."""
        plane = self._require_plane()
        index = self._indices[plane.axis]
        near = [mark for mark in self._marks if abs(mark.position[plane.axis] - index) <= _THICKNESS]
        return sorted(near, key=lambda mark: mark.is_current)

    def _thickness(self, plane: Plane) -> float:
        """Distance of two slices in mm."""
        for other in self._others:
            if other.row_axis == plane.axis:
                return other.spacing[0]
            if other.column_axis == plane.axis:
                return other.spacing[1]
        return 1.0

    # -- mouse ------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Take a landmark, or move the crosshair."""
        if event is None or self.plane is None or not self._indices:
            return
        self._pressed, self._still = event.position(), True
        if event.button() == Qt.MouseButton.LeftButton:
            self._grabbed = self._mark_at(event.position())

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Drag: a landmark, the crosshair, the view (middle button) or the window (right button)."""
        if event is None or self.plane is None or not self._indices:
            return
        if self._pressed is None:
            over = self._mark_at(event.position())
            self.setCursor(Qt.CursorShape.PointingHandCursor if over else Qt.CursorShape.CrossCursor)
            return
        step = event.position() - self._pressed
        if self._still and math.hypot(step.x(), step.y()) <= _STILL:
            return
        self._still = False
        buttons = event.buttons()
        if buttons & Qt.MouseButton.LeftButton:
            position = self._limited(self.to_index(event.position()))
            if self._grabbed is None:
                self.pointed.emit(position)
            else:
                self._move_grabbed(position)
            return
        self._pressed = event.position()
        if buttons & Qt.MouseButton.MiddleButton:
            middle = QPointF(self.width() / 2, self.height() / 2)
            self.panned.emit(self._limited(self.to_index(middle - step)))
        elif buttons & Qt.MouseButton.RightButton:
            self.windowed.emit(step.x() / 200, -step.y() / 200)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """End a drag, or a click."""
        if event is None or self._pressed is None:
            return
        grabbed, still = self._grabbed, self._still
        self._pressed = self._grabbed = None
        if event.button() != Qt.MouseButton.LeftButton or self.plane is None:
            return
        if grabbed is None and still:
            self.clicked.emit(self.to_index(event.position()))
        elif grabbed is not None and still:
            self.picked.emit(grabbed.name)
        elif grabbed is not None:
            self.dropped.emit(grabbed.name, grabbed.position)

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Go through the slices; with Ctrl, zoom."""
        if event is None or self.plane is None:
            return
        turned = event.angleDelta().y() / _DIGIT_OF_WHEEL
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoomed.emit(1.25**turned)
        else:
            self._wheel += turned
            steps = int(self._wheel)  # a touch pad gives parts of a step
            self._wheel -= steps
            if steps:
                self.scrolled.emit(self.plane.axis, steps)
        event.accept()

    def _mark_at(self, point: QPointF) -> PlaneMark | None:
        """The nearest landmark within reach of the mouse; of about as near ones the current landmark."""
        away = [(self._away(mark, point), mark) for mark in self._visible()]
        within = [found for found in away if found[0] <= _REACH]
        if not within:
            return None
        distance, nearest = min(within, key=lambda found: found[0])
        current = [mark for one, mark in within if mark.is_current and one <= distance + ABOUT_AS_NEAR]
        return current[0] if current else nearest

    def _away(self, mark: PlaneMark, point: QPointF) -> float:
        step = self.to_screen(mark.position) - point
        return math.hypot(step.x(), step.y())

    def _move_grabbed(self, position: tuple[float, ...]) -> None:
        """Draw the landmark that is dragged at a position; its place across the plane stays."""
        plane, grabbed = self._require_plane(), self._grabbed
        if grabbed is None:
            return
        moved = list(position)
        moved[plane.axis] = grabbed.position[plane.axis]
        self._grabbed = PlaneMark(
            grabbed.name, tuple(moved), grabbed.color, grabbed.radius, grabbed.is_current, grabbed.is_manual
        )
        self._marks = tuple(self._grabbed if mark.name == grabbed.name else mark for mark in self._marks)
        self.update()

    def _limited(self, position: tuple[float, ...]) -> tuple[float, ...]:
        """The nearest position on the volume."""
        shape = self._array.shape if self._array is not None else (1, 1, 1)
        return tuple(
            min(max(value, 0.0), length - 1.0) for value, length in zip(position, shape, strict=True)
        )
