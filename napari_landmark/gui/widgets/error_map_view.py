"""Picture of the expected errors of a cohort: a row an image, a column a landmark."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QFocusEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from qtpy.QtWidgets import QAbstractScrollArea

from napari_landmark.gui.session.error_map import CellState, ErrorMap

# From dark blue to orange: lightness grows all along, and the two ends differ for every kind of colour vision.
ERROR_COLORS = ("#0b2545", "#3a5a80", "#97726b", "#f28e2b")
STATE_COLORS = {
    CellState.EMPTY: "#26292e",
    CellState.MISSING: "#000000",
    CellState.PLACED: "#c4c9d0",
    CellState.CORRECTED: "#ffffff",
}
_CURRENT, _CURSOR = QColor("#ffe45c"), QColor("#ffffff")
_TITLES = 84  # pixels above the map for names of landmarks
_LARGEST_ROW, _ROW_WITH_MARKS = 24.0, 9.0
_ZOOM = 1.25
_LEVELS = 256


class ErrorMapView(QAbstractScrollArea):
    """Map that is drawn as one picture, in which cells are clicked or chosen by the keyboard.

    It shows all images; rows of a pixel stand for the worst of several images where these are more than its pixels.
    Ctrl and the wheel, or plus and minus, make rows higher.
    """

    picked = Signal(int, int)
    """A cell was clicked or entered: its row and column in the map."""
    pointed = Signal(int, int)
    """The mouse or the cursor is at another cell: its row and column; -1 outside."""

    def __init__(self) -> None:
        super().__init__()
        self._map: ErrorMap | None = None
        self._zoom = 1.0
        self._picture: tuple[int, QImage] | None = None  # with the images of one row
        self._current = self._cursor = (-1, -1)
        # A click leaves the focus where it is: letters and arrows are keys of the viewer.
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumSize(200, 200)
        self.setAccessibleName("Error map")
        if (viewport := self.viewport()) is not None:
            viewport.setMouseTracking(True)

    def show_map(self, shown: ErrorMap | None) -> None:
        """Show a map, or none."""
        self._map, self._picture = shown, None
        self._cursor = (-1, -1)
        self._set_range()
        self._draw_soon()

    def redraw(self) -> None:
        """Draw the map again, whose cells changed."""
        self._picture = None
        self._draw_soon()

    def select(self, row: int, column: int) -> None:
        """Emphasise the cell of the current image and landmark and scroll to it; -1 where there is none."""
        if (row, column) == self._current:
            return
        self._current = self._cursor = row, column
        self._scroll_to(row)
        self._draw_soon()

    def sizeHint(self) -> QSize:
        """Size without a layout."""
        return QSize(380, 420)

    def cell(self, row: int, column: int) -> QRectF:
        """Where a cell is in the viewport."""
        left, width, height = self._left(), self._column_width(), self._row_height()
        top = self._top() + row * height - self._scrolled()
        return QRectF(left + column * width, top, width, max(height, 1.0))

    def at(self, place: QPointF) -> tuple[int, int]:
        """Row and column of the cell at a place of the viewport, of the worst image there; (-1, -1) outside."""
        shown = self._map
        if shown is None or not shown.images or not shown.landmarks or place.y() < self._top():
            return -1, -1
        column = math.floor((place.x() - self._left()) / self._column_width())
        block = self._block()
        first = (
            math.floor((place.y() - self._top() + self._scrolled()) / (self._row_height() * block)) * block
        )
        if not 0 <= column < len(shown.landmarks) or not 0 <= first < len(shown.images):
            return -1, -1
        return shown.worst_row(first, min(first + block, len(shown.images)), column), column

    # -- drawing ----------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the rows in sight, the names and the current cell."""
        viewport, shown = self.viewport(), self._map
        painter = QPainter(viewport)
        if viewport is None or shown is None or not shown.images or not shown.landmarks:
            painter.setPen(self.palette().text().color())
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "No image has landmarks.")
            painter.end()
            return
        block, height = self._block(), self._row_height() * self._block()
        picture = self._drawn(block)
        first = math.floor(self._scrolled() / height)
        last = min(math.ceil((self._scrolled() + viewport.height() - self._top()) / height), picture.height())
        area = QRectF(0, self._top(), viewport.width(), viewport.height() - self._top())
        painter.setClipRect(area)
        top = self._top() + first * height - self._scrolled()
        width = self._column_width() * len(shown.landmarks)
        painter.drawImage(
            QRectF(self._left(), top, width, (last - first) * height),
            picture,
            QRectF(0, first, picture.width(), last - first),
        )
        if min(height, self._column_width()) >= _ROW_WITH_MARKS:
            self._draw_marks(painter, first, last)
        for (row, column), color, style in (
            (self._current, _CURRENT, Qt.PenStyle.SolidLine),
            (self._cursor if self.hasFocus() else (-1, -1), _CURSOR, Qt.PenStyle.DotLine),
        ):
            if row >= 0 and column >= 0:
                self._draw_frame(painter, self.cell(row, column), color, style)
        painter.setClipping(False)
        self._draw_titles(painter)
        painter.end()

    def _draw_frame(self, painter: QPainter, cell: QRectF, color: QColor, style: Qt.PenStyle) -> None:
        around = cell.adjusted(-2, -2, 2, 2)
        painter.setPen(QPen(QColor("black"), 4))
        painter.drawRect(around)
        painter.setPen(QPen(color, 2, style))
        painter.drawRect(around)

    def _draw_marks(self, painter: QPainter, first: int, last: int) -> None:
        """Signs beside the colours: a cross where a landmark is missing, a dot where it is corrected."""
        shown = self._map
        if shown is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for row, column in np.argwhere(shown.states[first:last] == CellState.MISSING).tolist():
            middle = self.cell(first + row, column).center()
            painter.setPen(QPen(QColor("#9aa2ad"), 1.5))
            painter.drawLine(middle + QPointF(-2.5, -2.5), middle + QPointF(2.5, 2.5))
            painter.drawLine(middle + QPointF(-2.5, 2.5), middle + QPointF(2.5, -2.5))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor("black"))
        for row, column in np.argwhere(shown.states[first:last] == CellState.CORRECTED).tolist():
            painter.drawEllipse(self.cell(first + row, column).center(), 1.8, 1.8)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _draw_titles(self, painter: QPainter) -> None:
        """Names of the landmarks from below, of as many as there is room for; of the current one in any case."""
        shown, width = self._map, self._column_width()
        if shown is None:
            return
        metrics = painter.fontMetrics()
        step = max(math.ceil(metrics.height() * 0.9 / width), 1)
        current = self._current[1]
        for number, name in enumerate(shown.landmarks):
            near = current >= 0 and number != current and abs(number - current) < step
            if number != current and (number % step or near):
                continue
            painter.save()
            painter.translate(self._left() + (number + 0.5) * width + metrics.ascent() / 2 - 1, _TITLES - 4)
            painter.rotate(-90)
            font = painter.font()
            font.setBold(number == current)
            painter.setFont(font)
            painter.setPen(self.palette().text().color())
            text = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, _TITLES - 8)
            painter.drawText(QPointF(0, 0), text)
            painter.restore()

    def _drawn(self, block: int) -> QImage:
        """The whole map as a picture whose rows stand for so many images each."""
        if self._picture is None or self._picture[0] != block:
            shown = self._map
            assert shown is not None  # only called with one
            pixels = cell_colors(*shown.reduced(block), top=shown.top)
            rows, columns = pixels.shape
            image = QImage(pixels.tobytes(), columns, rows, 4 * columns, QImage.Format.Format_RGB32)
            self._picture = block, image.copy()  # own memory: that of the bytes ends here
        return self._picture[1]

    def _draw_soon(self) -> None:
        if (viewport := self.viewport()) is not None:
            viewport.update()

    # -- layout -----------------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Fit the rows anew."""
        super().resizeEvent(event)
        self._set_range()

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        """Draw other rows."""
        self._draw_soon()

    def _room(self) -> int:
        viewport = self.viewport()
        return max((self.height() if viewport is None else viewport.height()) - self._top(), 1)

    @staticmethod
    def _top() -> int:
        return _TITLES

    @staticmethod
    def _left() -> int:
        return 3  # for the frame of the first cell

    def _column_width(self) -> float:
        viewport, shown = self.viewport(), self._map
        width = self.width() if viewport is None else viewport.width()
        return max((width - 2 * self._left()) / max(len(shown.landmarks) if shown else 1, 1), 1.0)

    def _row_height(self) -> float:
        """Height of an image in pixels, below one where several share a row."""
        count = max(len(self._map.images) if self._map else 1, 1)
        return min(self._room() / count * self._zoom, _LARGEST_ROW)

    def _block(self) -> int:
        """Number of images that share a row."""
        return max(math.ceil(1 / self._row_height() - 1e-9), 1)

    def _scrolled(self) -> int:
        bar = self.verticalScrollBar()
        return 0 if bar is None else bar.value()

    def _set_range(self) -> None:
        bar = self.verticalScrollBar()
        if bar is not None:
            count = len(self._map.images) if self._map else 0
            bar.setRange(0, max(math.ceil(count * self._row_height()) - self._room(), 0))
            bar.setPageStep(self._room())
            bar.setSingleStep(max(round(3 * self._row_height()), 12))

    def _scroll_to(self, row: int) -> None:
        bar = self.verticalScrollBar()
        if bar is None or row < 0:
            return
        top = row * self._row_height()
        if not bar.value() <= top <= bar.value() + self._room() - self._row_height():
            bar.setValue(round(top - self._room() / 2))

    def _zoom_by(self, factor: float, y: float) -> None:
        """Make rows higher or lower; the image at that height of the viewport stays there."""
        bar = self.verticalScrollBar()
        if bar is None or self._map is None:
            return
        image = (y - self._top() + bar.value()) / self._row_height()
        largest = _LARGEST_ROW * max(len(self._map.images), 1) / self._room()
        self._zoom = min(max(self._zoom * factor, 1.0), max(largest, 1.0))
        self._set_range()
        bar.setValue(round(image * self._row_height() - (y - self._top())))
        self._draw_soon()

    # -- mouse and keyboard -----------------------------------------------------------------------------

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Scroll; with Ctrl, make rows higher or lower."""
        if event is not None and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._zoom_by(_ZOOM ** (event.angleDelta().y() / 120), event.position().y())
            event.accept()
            return
        super().wheelEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Tell which cell the mouse is at."""
        if event is not None:
            self.pointed.emit(*self.at(event.position()))

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Go to a cell."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            row, column = self.at(event.position())
            if row >= 0:
                self.picked.emit(row, column)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Move the cursor, go to its cell, or change the height of the rows; other keys are the viewer's."""
        shown = self._map
        if event is None or shown is None or not shown.images or event.modifiers() not in _PLAIN:
            super().keyPressEvent(event)
            return
        key, (row, column) = event.key(), self._cursor
        page = max(int(self._room() / self._row_height()) - 1, 1)
        steps = {
            Qt.Key.Key_Up: (-self._block(), 0),
            Qt.Key.Key_Down: (self._block(), 0),
            Qt.Key.Key_PageUp: (-page, 0),
            Qt.Key.Key_PageDown: (page, 0),
            Qt.Key.Key_Home: (-len(shown.images), 0),
            Qt.Key.Key_End: (len(shown.images), 0),
            Qt.Key.Key_Left: (0, -1),
            Qt.Key.Key_Right: (0, 1),
        }
        if key in steps:
            down, right = steps[Qt.Key(key)]
            # Keys begin at the first cell where there is no current one.
            row = min(max(row + down, 0), len(shown.images) - 1)
            column = min(max(column + right, 0), len(shown.landmarks) - 1)
            self._cursor = row, column
            self._scroll_to(row)
            self.pointed.emit(row, column)
            self._draw_soon()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and row >= 0 and column >= 0:
            self.picked.emit(row, column)
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus):
            factor = 1 / _ZOOM if key == Qt.Key.Key_Minus else _ZOOM
            self._zoom_by(factor, self.cell(max(row, 0), 0).center().y())
        else:
            super().keyPressEvent(event)
            return
        event.accept()

    def focusInEvent(self, event: QFocusEvent | None) -> None:
        """Show the cursor of the keyboard."""
        super().focusInEvent(event)
        self._draw_soon()

    def focusOutEvent(self, event: QFocusEvent | None) -> None:
        """Hide the cursor of the keyboard."""
        super().focusOutEvent(event)
        self._draw_soon()

    def leaveEvent(self, event: object) -> None:
        """Tell that the mouse is at no cell."""
        self.pointed.emit(-1, -1)


_PLAIN = (
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.KeypadModifier,
    Qt.KeyboardModifier.ShiftModifier,
)


def cell_colors(errors: NDArray[np.float64], states: NDArray[np.uint8], *, top: float) -> NDArray[np.uint32]:
    """Colours of cells as 0xffRRGGBB.

    Parameters
    ----------
    errors : (n, m) array
        Infinity, an unknown error, has the last colour.
    states : (n, m) array
        Numbers of `CellState`.
    top : float
        Error of the last colour.
    """
    anchors = np.array([[int(color[k : k + 2], 16) for k in (1, 3, 5)] for color in ERROR_COLORS])
    at = np.linspace(0, len(anchors) - 1, _LEVELS)
    ramp = np.stack([np.interp(at, np.arange(len(anchors)), anchors[:, k]) for k in range(3)], axis=1)
    table = np.concatenate([ramp, np.zeros((len(CellState), 3))]).round().astype(np.uint32)
    for state, color in STATE_COLORS.items():
        table[_LEVELS + state] = [int(color[k : k + 2], 16) for k in (1, 3, 5)]
    packed = (0xFF << 24) | (table[:, 0] << 16) | (table[:, 1] << 8) | table[:, 2]
    share = np.nan_to_num(errors / max(top, 1e-9), nan=0.0, posinf=1.0).clip(0, 1)
    number = np.where(
        states == CellState.PREDICTED,
        (share * (_LEVELS - 1)).round().astype(int),
        _LEVELS + states.astype(int),
    )
    return np.ascontiguousarray(packed.astype(np.uint32)[number])
