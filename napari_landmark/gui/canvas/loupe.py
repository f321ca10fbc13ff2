"""Magnifier beside the mouse: native pixels of the current image, with a crosshair."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

from napari_landmark.gui.canvas.mark_drawing import draw_crosshair
from napari_landmark.gui.session.image_display import ImageDisplay

_SIDE = 168  # logical pixels
_AWAY = 28  # from the mouse


class Loupe(QWidget):
    """Square over the canvas that shows what is under the mouse; hidden until it is shown at a place.

    Parameters
    ----------
    canvas : QWidget
    display : ImageDisplay
    """

    def __init__(self, canvas: QWidget, display: ImageDisplay) -> None:
        super().__init__(canvas)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFixedSize(_SIDE, _SIDE)
        self._display = display
        self._picture: QImage | None = None
        self._target = QRectF()
        self._magnification = 4
        self.hide()

    def show_at(
        self, mouse: QPointF, plane: NDArray, place: tuple[float, float], *, magnification: int
    ) -> None:
        """Show the surroundings of a place beside the mouse.

        Parameters
        ----------
        mouse : QPointF
            On the canvas.
        plane : (rows, columns) array
            Picture, or shown slice.
        place : (float, float)
            Row and column under the mouse, pixel centres at integers.
        magnification : int
            Logical pixels of the screen for a pixel of the image.
        """
        half = _SIDE / 2 / magnification
        rows, columns = (_range(value, half, size) for value, size in zip(place, plane.shape, strict=True))
        if rows[0] >= rows[1] or columns[0] >= columns[1]:
            self.hide()
            return
        pixels = np.ascontiguousarray(self._display.grey(plane[rows[0] : rows[1], columns[0] : columns[1]]))
        height, width = pixels.shape
        self._picture = QImage(pixels.tobytes(), width, height, width, QImage.Format.Format_Grayscale8).copy()
        middle = _SIDE / 2
        self._target = QRectF(
            middle + (columns[0] - 0.5 - place[1]) * magnification,
            middle + (rows[0] - 0.5 - place[0]) * magnification,
            width * magnification,
            height * magnification,
        )
        self._magnification = magnification
        self.move(self._beside(mouse).toPoint())
        self.show()
        self.raise_()
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the pixels, the crosshair and the magnification."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("black"))
        if self._picture is not None:
            painter.drawImage(self._target, self._picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle = QPointF(_SIDE / 2, _SIDE / 2)
        draw_crosshair(painter, middle, free=1.2 * self._magnification, reach=_SIDE / 2)
        painter.setPen(QPen(QColor("#ffe45c"), 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(self.rect().adjusted(1, 1, -1, -1))
        painter.setPen(QColor("#ffe45c"))
        painter.drawText(QPointF(7, _SIDE - 7), f"x{self._magnification}")
        painter.end()

    def _beside(self, mouse: QPointF) -> QPointF:
        """Place of the corner: right below the mouse, or on the other side where the canvas ends."""
        parent = self.parentWidget()
        size = parent.size() if parent is not None else self.size()
        x, y = mouse.x() + _AWAY, mouse.y() + _AWAY
        if x + _SIDE > size.width():
            x = mouse.x() - _AWAY - _SIDE
        if y + _SIDE > size.height():
            y = mouse.y() - _AWAY - _SIDE
        return QPointF(max(x, 0), max(y, 0))


def _range(value: float, half: float, size: int) -> tuple[int, int]:
    return max(int(np.floor(value - half)), 0), min(int(np.ceil(value + half)) + 1, size)
