"""Linked cursor of a registered pair: what the moving image has at the place under the mouse."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

from napari_landmark.data.images.display import display_range
from napari_landmark.gui.canvas.mark_drawing import draw_crosshair, draw_text
from napari_landmark.gui.layers.pair_result import PairResult

_SIDE = 190  # logical pixels
_MARGIN = 10
_SMALLEST_EXTENT = 12.0  # pixels of the image: more would show nothing but blocks
_COLOR = QColor("#ff9d5c")


class MovingView(QWidget):
    """Square in the lower right corner of the canvas; hidden until it is shown for a position.

    Parameters
    ----------
    canvas : QWidget
    """

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFixedSize(_SIDE, _SIDE)
        self._result: PairResult | None = None
        self._range = (0.0, 1.0)
        self._picture: QImage | None = None
        self._target = QRectF()
        self.position: NDArray[np.float64] | None = None
        """Position in the moving image; None while there is none."""
        self.hide()

    def show_at(
        self, result: PairResult, position: NDArray[np.float64], axes: tuple[int, int], *, pixel: float
    ) -> None:
        """Show the surroundings of the corresponding position.

        Parameters
        ----------
        result : PairResult
        position : (d,) array
            Index position in the fixed image; hidden outside of it.
        axes : (int, int)
            Axes of the fixed image that the canvas shows, that of the rows first; the same are shown of the moving one.
        pixel : float
            Logical pixels of the screen for a pixel of the fixed image.
        """
        pair = result.pair
        self.position = None
        if pair.fixed.geometry.contains([position])[0]:
            moving = result.registration.transform.to_moving([position])[0]
            if np.isfinite(moving).all():
                self.position = np.asarray(moving, dtype=np.float64)
        if self.position is None:
            self.hide()
            return
        if result is not self._result:
            self._result, self._range = result, display_range(pair.moving.array)
        self._draw(_plane(pair.moving.array, self.position, axes), self.position[list(axes)], pixel)
        parent = self.parentWidget()
        if parent is not None:
            self.move(max(parent.width() - _SIDE - _MARGIN, 0), max(parent.height() - _SIDE - _MARGIN, 0))
        self.show()
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the surroundings with a crosshair on the position."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("black"))
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        if self._picture is not None:
            painter.drawImage(self._target, self._picture)
            draw_crosshair(painter, QPointF(_SIDE / 2, _SIDE / 2), free=6, reach=20)
        painter.setPen(QPen(_COLOR, 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(self.rect().adjusted(1, 1, -1, -1))
        draw_text(painter, QPointF(7, 17), "Moving image", _COLOR, bold=True)
        if self._result is not None:
            draw_text(painter, QPointF(7, _SIDE - 8), self._result.pair.moving.name, QColor("white"))
        painter.end()

    def _draw(self, plane: NDArray, place: NDArray[np.float64], pixel: float) -> None:
        """Cut the surroundings of a place [row, column] out of a plane, at so many screen pixels for its pixels."""
        pixel = min(pixel, _SIDE / _SMALLEST_EXTENT)
        half = _SIDE / 2 / pixel
        ranges = [
            (max(int(np.floor(value - half)), 0), min(int(np.ceil(value + half)) + 1, size))
            for value, size in zip(place, plane.shape, strict=True)
        ]
        (top, bottom), (left, right) = ranges
        if top >= bottom or left >= right:
            self._picture = None
            return
        low, high = self._range
        part = plane[top:bottom, left:right].astype(np.float32)
        grey = np.clip((part - low) * (255 / max(high - low, 1e-12)), 0, 255).astype(np.uint8)
        grey = np.ascontiguousarray(grey)
        height, width = grey.shape
        self._picture = QImage(grey.tobytes(), width, height, width, QImage.Format.Format_Grayscale8).copy()
        middle = _SIDE / 2
        self._target = QRectF(
            middle + (left - 0.5 - place[1]) * pixel,
            middle + (top - 0.5 - place[0]) * pixel,
            width * pixel,
            height * pixel,
        )


def _plane(array: NDArray, position: NDArray[np.float64], axes: tuple[int, int]) -> NDArray:
    """The picture, or the slice of a volume through a position, rows first."""
    if array.ndim == 2:
        return array if axes[0] < axes[1] else array.T
    (across,) = set(range(3)) - set(axes)
    number = min(max(round(float(position[across])), 0), array.shape[across] - 1)
    plane = array.take(number, axis=across)
    return plane if axes[0] < axes[1] else plane.T
