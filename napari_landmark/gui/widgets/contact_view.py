"""Scrolled grid of crops around landmarks, in which they are clicked and dragged."""

from __future__ import annotations

import math

import numpy as np
from qtpy.QtCore import QPointF, QRect, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent, QWheelEvent
from qtpy.QtWidgets import QAbstractScrollArea

from napari_landmark.gui.canvas.mark_drawing import draw_mark, draw_text
from napari_landmark.gui.layers.landmark_layer import CURRENT_MARK_RADIUS
from napari_landmark.gui.session.contact_items import ContactItem
from napari_landmark.gui.session.crop_reader import CropRequest, place_in_crop, position_in_image
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.widgets.length_text import length_text

_SIDE, _GAP, _CAPTION = 132, 6, 18  # logical pixels
_EXTENT = 0.12  # of the longest side of an image
_EXTENTS = (0.02, 1.0)
_STILL = 3.0
_CURRENT, _MANUAL, _PREDICTED = QColor("#ffe45c"), QColor("#ffffff"), QColor("#40d9f2")


class ContactView(QAbstractScrollArea):
    """Crops of items; only those in sight are read and drawn.

    Parameters
    ----------
    session : Session
    """

    picked = Signal(object)
    """A crop was clicked: its item."""
    dropped = Signal(object, tuple)
    """A landmark was dragged in its crop: its item, and the index position."""
    _read = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._items: list[ContactItem] = []
        self._share = _EXTENT
        self._pressed: tuple[int, QPointF] | None = None
        self._grabbed = False
        self._dragged: tuple[int, tuple[float, ...]] | None = None
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumSize(_SIDE + 4 * _GAP + 20, _SIDE + _CAPTION + 2 * _GAP)
        self.setAccessibleName("Contact sheet")
        self._read.connect(self._update)

    @property
    def items(self) -> list[ContactItem]:
        """The items, in the order of the crops."""
        return self._items

    def show_items(self, items: list[ContactItem], *, keep_place: bool = False) -> None:
        """Show crops of other items, from the first one unless the place is kept."""
        self._items = items
        self._dragged = self._pressed = None
        if self._session.crops is not None:
            self._session.crops.forget_waiting()
        self._set_range()
        bar = self.verticalScrollBar()
        if bar is not None and not keep_place:
            bar.setValue(0)
        self._update()

    def refresh(self) -> None:
        """Draw the crops again."""
        self._update()

    def sizeHint(self) -> QSize:
        """Size without a layout."""
        return QSize(2 * (_SIDE + _GAP) + 40, 2 * (_SIDE + _CAPTION + _GAP))

    def cell(self, number: int) -> QRect:
        """Where the crop of an item is in the viewport."""
        columns, bar = self._columns(), self.verticalScrollBar()
        top = (number // columns) * (_SIDE + _CAPTION + _GAP) + _GAP - (0 if bar is None else bar.value())
        left = (number % columns) * (_SIDE + _GAP) + _GAP
        return QRect(left, top, _SIDE, _SIDE)

    def place_of(self, number: int) -> QPointF:
        """Where the mark of an item is drawn in the viewport."""
        item, box = self._items[number], self.cell(number)
        position = item.center
        if self._dragged is not None and self._dragged[0] == number:
            position = self._dragged[1]
        else:
            mark = self._session.result(item.image).get(item.landmark)
            if mark is not None and mark.position is not None:
                position = mark.position
        y, x = place_in_crop(self._request(item), position)
        return QPointF(box.left() + x + 0.5, box.top() + y + 0.5)

    # -- drawing ----------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw what is in sight."""
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        first, last = self._in_sight()
        if not self._items:
            painter.setPen(self.palette().text().color())
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "No landmark fits the choice.")
        # The last request is read first: ask from the bottom to the top.
        for number in reversed(range(first, last)):
            self._draw_cell(painter, number)
        painter.end()

    def _draw_cell(self, painter: QPainter, number: int) -> None:
        session, item, box = self._session, self._items[number], self.cell(number)
        request, crops = self._request(item), session.crops
        unit = None if crops is None else crops.crop(request, self._on_read)
        if unit is None:
            painter.fillRect(box, QColor(20, 20, 20))
            if crops is not None and crops.is_read(request):
                painter.setPen(QColor("#e5484d"))
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, "cannot be read")
        else:
            grey = np.ascontiguousarray(session.display.grey(unit, (0.0, 1.0)))
            painter.drawImage(
                box, QImage(grey.tobytes(), _SIDE, _SIDE, _SIDE, QImage.Format.Format_Grayscale8)
            )
        mark = session.result(item.image).get(item.landmark)
        manual = mark is not None and mark.status.is_manual
        current = item.image == session.current_image and item.landmark == session.current_landmark
        painter.save()
        painter.setClipRect(box)
        if mark is not None and mark.position is not None:
            color = _MANUAL if manual else _PREDICTED
            draw_mark(
                painter,
                self.place_of(number),
                color,
                shape=session.marks.shape,
                is_current=False,
                is_manual=manual,
            )
        painter.restore()
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if current:
            painter.setPen(QPen(_CURRENT, 3))
            painter.drawRect(box.adjusted(1, 1, -1, -1))
        if manual:
            draw_text(painter, QPointF(box.right() - 15, box.top() + 16), "✓", QColor("#57d38c"), bold=True)
        if not manual and mark is not None and mark.expected_error is not None:
            error = length_text(mark.expected_error, session.geometry(item.image))
            draw_text(painter, QPointF(box.left() + 5, box.bottom() - 6), error, QColor("white"))
        painter.setPen(self.palette().text().color())
        title = item.image if self._one_landmark() else item.landmark
        text = painter.fontMetrics().elidedText(title, Qt.TextElideMode.ElideMiddle, _SIDE)
        painter.drawText(QRectF(box.left(), box.bottom() + 1, _SIDE, _CAPTION), 0, text)

    def _one_landmark(self) -> bool:
        return len({item.image for item in self._items[:2]}) != 1 or len(self._items) == 1

    def _request(self, item: ContactItem) -> CropRequest:
        geometry = self._session.geometry(item.image)
        axes = (geometry.ndim - 2, geometry.ndim - 1)
        limits = self._session.display.limits if self._session.display.is_ct else None
        return CropRequest(item.image, item.center, axes, self._share * max(geometry.shape), _SIDE, limits)

    def _on_read(self, request: CropRequest) -> None:
        """Called from the thread that read."""
        try:
            self._read.emit()
        except RuntimeError:  # the widget is gone
            return

    def _update(self) -> None:
        viewport = self.viewport()
        if viewport is not None:
            viewport.update()

    # -- layout -----------------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Arrange the crops anew."""
        super().resizeEvent(event)
        self._set_range()

    def _columns(self) -> int:
        viewport = self.viewport()
        width = self.width() if viewport is None else viewport.width()
        return max((width - _GAP) // (_SIDE + _GAP), 1)

    def _set_range(self) -> None:
        bar, viewport = self.verticalScrollBar(), self.viewport()
        if bar is None or viewport is None:
            return
        rows = -(-len(self._items) // self._columns())
        row = _SIDE + _CAPTION + _GAP
        bar.setRange(0, max(rows * row + _GAP - viewport.height(), 0))
        bar.setPageStep(viewport.height())
        bar.setSingleStep(row // 2)

    def _in_sight(self) -> tuple[int, int]:
        bar, viewport = self.verticalScrollBar(), self.viewport()
        if bar is None or viewport is None:
            return 0, 0
        row, columns = _SIDE + _CAPTION + _GAP, self._columns()
        first = bar.value() // row * columns
        last = ((bar.value() + viewport.height()) // row + 1) * columns
        return min(first, len(self._items)), min(last, len(self._items))

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        """Read what comes into sight instead of what left it."""
        if self._session.crops is not None:
            self._session.crops.forget_waiting()
        self._update()

    # -- mouse ------------------------------------------------------------------------------------------

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Scroll; with Ctrl, show more or less around each landmark."""
        if event is not None and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            share = self._share * 1.25 ** (-event.angleDelta().y() / 120)
            self._share = min(max(share, _EXTENTS[0]), _EXTENTS[1])
            event.accept()
            self._update()
            return
        super().wheelEvent(event)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Take a mark, or a crop."""
        if event is None or event.button() != Qt.MouseButton.LeftButton:
            return
        number = self._item_at(event.position())
        if number is None:
            return
        away = self.place_of(number) - event.position()
        self._pressed = number, event.position()
        self._grabbed = math.hypot(away.x(), away.y()) <= CURRENT_MARK_RADIUS + 2

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Drag a mark inside its crop."""
        if event is None or self._pressed is None or not self._grabbed:
            return
        number, start = self._pressed
        step = event.position() - start
        if self._dragged is None and math.hypot(step.x(), step.y()) <= _STILL:
            return
        box = self.cell(number)
        x = min(max(event.position().x(), box.left()), box.right()) - box.left() - 0.5
        y = min(max(event.position().y(), box.top()), box.bottom()) - box.top() - 0.5
        self._dragged = number, position_in_image(self._request(self._items[number]), (y, x))
        self._update()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """End a drag, or a click."""
        if event is None or self._pressed is None or event.button() != Qt.MouseButton.LeftButton:
            return
        (number, _), dragged = self._pressed, self._dragged
        self._pressed = self._dragged = None
        if dragged is not None:
            self.dropped.emit(self._items[number], dragged[1])
        elif self._item_at(event.position()) == number:
            self.picked.emit(self._items[number])
        self._update()

    def _item_at(self, at: QPointF) -> int | None:
        first, last = self._in_sight()
        found = (number for number in range(first, last) if self.cell(number).contains(at.toPoint()))
        return next(found, None)
