"""Histogram of one measurement over the cohort, drawn with Qt alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

_BAR, _HERE, _NORM = "#5f9fd0", "#ff4d4d", "#3cd070"


class HistogramPlot(QWidget):
    """Distribution of a measurement, with the value of the current image and the norm marked."""

    def __init__(self) -> None:
        super().__init__()
        self._values: NDArray[np.float64] = np.empty(0)
        self._current: float | None = None
        self._norm: tuple[float, float] | None = None
        self._title = ""
        self.setMinimumHeight(96)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("All images of the study; red: this image, green: the norm (mean ± SD, or range)")

    @property
    def counts(self) -> list[int]:
        """Heights of the bars."""
        return self._bars()[0].tolist()

    def show_values(
        self,
        title: str,
        values: NDArray[np.float64],
        current: float | None,
        norm: tuple[float, float] | None,
    ) -> None:
        """Show a measurement.

        Parameters
        ----------
        title : str
        values : (n,) array
            NaN where it is left out.
        current : float, optional
            Value of the current image.
        norm : tuple of two float, optional
            Ends of the norm.
        """
        self._title, self._values = title, values[np.isfinite(values)]
        self._current, self._norm = current, norm
        self.update()

    def _bars(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        if not len(self._values):
            return np.zeros(0, int), np.zeros(1)
        count = min(30, max(5, round(math.sqrt(len(self._values)))))
        counts, edges = np.histogram(self._values, bins=count)
        return counts, edges

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the bars and marks in the colours of the theme."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().text().color()
        faint = QColor(ink)
        faint.setAlpha(60)
        area = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        painter.setPen(QPen(faint, 1))
        painter.drawRoundedRect(area, 4, 4)
        font = painter.font()
        font.setPointSizeF(8)
        painter.setFont(font)
        counts, edges = self._bars()
        painter.setPen(QPen(ink, 1))
        if not len(counts):
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter, "No values of other images yet")
            return
        height = painter.fontMetrics().height()
        painter.drawText(area.adjusted(6, 2, -6, 0), Qt.AlignmentFlag.AlignTop, self._title)
        graph = area.adjusted(8, height + 6, -8, -height - 4)
        marks = [value for value in (self._current, *(self._norm or ())) if value is not None]
        low, high = min([float(edges[0]), *marks]), max([float(edges[-1]), *marks])
        span = (high - low) or 1.0

        def x(value: float) -> float:
            return graph.left() + graph.width() * (value - low) / span

        if self._norm is not None:
            color = QColor(_NORM)
            color.setAlpha(70)
            left, right = x(self._norm[0]), x(self._norm[1])
            painter.fillRect(QRectF(left, graph.top(), max(2.0, right - left), graph.height()), color)
        tallest = max(1, int(counts.max()))
        for count, left, right in zip(counts.tolist(), edges[:-1], edges[1:], strict=True):
            size = graph.height() * count / tallest
            bar = QRectF(x(left), graph.bottom() - size, max(1.0, x(right) - x(left) - 1), size)
            painter.fillRect(bar, QColor(_BAR))
        if self._current is not None:
            painter.setPen(QPen(QColor(_HERE), 2))
            painter.drawLine(
                QPointF(x(self._current), graph.top()), QPointF(x(self._current), graph.bottom())
            )
        painter.setPen(QPen(ink, 1))
        below = QRectF(graph.left(), graph.bottom() + 1, graph.width(), height + 2)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, f"{low:.4g}")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"{high:.4g}")
