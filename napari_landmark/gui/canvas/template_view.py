"""Surroundings of the current landmark in the template, beside the current image at the same scale."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QPointF, Qt, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

from napari_landmark.gui.canvas.mark_drawing import draw_crosshair, draw_text
from napari_landmark.gui.session.crop_reader import CropRequest
from napari_landmark.gui.session.session import Session

_SIDE = 190  # logical pixels
_MARGIN = 10
_SMALLEST_EXTENT = 12.0  # native pixels: more would show nothing but blocks
_STEP = 1.15  # between extents, so that not each step of a wheel reads a crop


class TemplateView(QWidget):
    """Square in a corner of the canvas; hidden where there is nothing to compare with.

    Parameters
    ----------
    canvas : QWidget
    session : Session
    """

    _read = Signal()

    def __init__(self, canvas: QWidget, session: Session) -> None:
        super().__init__(canvas)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFixedSize(_SIDE, _SIDE)
        self._session = session
        self._request: CropRequest | None = None
        self._title = ""
        self._read.connect(self.update)
        self.hide()

    @property
    def request(self) -> CropRequest | None:
        """The crop that is shown; None while hidden."""
        return self._request if self.isVisible() else None

    def follow(self, *, pixel: float, axes: tuple[int, int]) -> None:
        """Show the current landmark of the template.

        Parameters
        ----------
        pixel : float
            Logical pixels of the screen for a pixel of the current image.
        axes : (int, int)
            Axes of the image that the canvas shows.
        """
        session = self._session
        self._request = self._wanted(pixel, axes)
        if self._request is None:
            self.hide()
            return
        self._title = session.current_landmark
        parent = self.parentWidget()
        if parent is not None:
            self.move(_MARGIN, max(parent.height() - _SIDE - _MARGIN, 0))
        self.show()
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the crop with a crosshair on the landmark."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("black"))
        request, crops = self._request, self._session.crops
        if request is None or crops is None:
            painter.end()
            return
        unit = crops.crop(request, self._on_read)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        if unit is not None:
            grey = np.ascontiguousarray(self._session.display.grey(unit, (0.0, 1.0)))
            side = request.pixels
            painter.drawImage(
                self.rect(), QImage(grey.tobytes(), side, side, side, QImage.Format.Format_Grayscale8)
            )
            draw_crosshair(painter, QPointF(_SIDE / 2, _SIDE / 2), free=6, reach=20)
        painter.setPen(QPen(QColor("#9ad0ff"), 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(self.rect().adjusted(1, 1, -1, -1))
        draw_text(painter, QPointF(7, 17), "Template", QColor("#9ad0ff"), bold=True)
        draw_text(painter, QPointF(7, _SIDE - 8), self._title, QColor("white"))
        painter.end()

    def _wanted(self, pixel: float, axes: tuple[int, int]) -> CropRequest | None:
        session = self._session
        study = session.study
        if study is None or not session.current_image or not session.marks.template_shown:
            return None
        template, current = study.template, session.current_image
        if template in ("", current) or template not in session.names or study.reader:
            return None
        mark = session.annotation(template).get(session.current_landmark)
        if mark is None or mark.position is None or len(mark.position) != session.geometry().ndim:
            return None
        lengths = session.pixel_lengths
        extent = _SIDE / max(pixel, 1e-6) * lengths.get(current, 1.0) / lengths.get(template, 1.0)
        largest = 1.5 * max(session.geometry(template).shape)
        extent = min(max(extent, _SMALLEST_EXTENT), largest)
        extent = _STEP ** round(np.log(extent) / np.log(_STEP))
        limits = session.display.limits if session.display.is_ct else None
        return CropRequest(template, mark.position, axes, float(extent), _SIDE, limits)

    def _on_read(self, request: CropRequest) -> None:
        """Draw again, in the thread of Qt; this is called from the thread that read."""
        try:
            self._read.emit()
        except RuntimeError:  # the widget is gone
            return
