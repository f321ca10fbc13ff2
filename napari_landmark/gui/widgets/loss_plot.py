"""Plot of the loss of a training, drawn with Qt alone."""

from __future__ import annotations

import math

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_landmark.gui.widgets.loss_curve import LossCurve
from napari_landmark.progress import ProgressEvent

_COLORS = ("#4d9fff", "#ff9a3c", "#3cd070", "#d65cff")


class LossPlot(QWidget):
    """One loss curve for each stage of the training, side by side, each with its own scale."""

    def __init__(self) -> None:
        super().__init__()
        self._curves: dict[str, LossCurve] = {}
        self.setMinimumHeight(120)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("Loss of the training: the lower, the better. Each stage has its own scale.")

    @property
    def stages(self) -> dict[str, list[tuple[int, float]]]:
        """Step and loss of each drawn point, by stage."""
        return {name: curve.points for name, curve in self._curves.items()}

    def clear(self) -> None:
        """Remove all curves."""
        self._curves = {}
        self.update()

    def add(self, event: ProgressEvent) -> None:
        """Add the loss of a progress event; events without a finite loss or a later step are left out."""
        if event.loss is not None and math.isfinite(event.loss):
            curve = self._curves.setdefault(event.stage, LossCurve())
            if curve.add(event.step, event.loss):
                self.update()

    def add_history(self, stage: str, losses: list[list[float]]) -> None:
        """Set the curve of a stage from rows (step, seconds, loss)."""
        curve = self._curves[stage] = LossCurve()
        for step, _, loss in losses:
            curve.add(int(step), float(loss))
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the curves in the colours of the theme."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().text().color()
        area = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        faint = QColor(ink)
        faint.setAlpha(60)
        painter.setPen(QPen(faint, 1))
        painter.drawRoundedRect(area, 4, 4)
        stages = [(name, points) for name, points in self.stages.items() if points]
        if not stages:
            painter.setPen(QPen(faint, 1))
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter, "The loss appears here while training")
            return
        width = area.width() / len(stages)
        for number, (name, points) in enumerate(stages):
            part = QRectF(area.left() + number * width, area.top(), width, area.height())
            self._draw_stage(painter, part, name, points, QColor(_COLORS[number % len(_COLORS)]), ink)

    def _draw_stage(
        self,
        painter: QPainter,
        area: QRectF,
        name: str,
        points: list[tuple[int, float]],
        color: QColor,
        ink: QColor,
    ) -> None:
        painter.setPen(QPen(ink, 1))
        text = area.adjusted(6, 3, -6, -3)
        font = painter.font()
        font.setPointSizeF(8)
        painter.setFont(font)
        metrics = painter.fontMetrics()
        value = f"{points[-1][1]:.3g}"
        label = metrics.elidedText(name, Qt.TextElideMode.ElideRight, int(text.width()))
        painter.drawText(text, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft, label)
        painter.setPen(QPen(color, 1))
        below = text.adjusted(0, metrics.height(), 0, 0)
        painter.drawText(below, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignRight, value)
        graph = area.adjusted(6, metrics.height() + 10, -6, -6)
        losses = [loss for _, loss in points]
        low, high = min(losses), max(losses)
        first, last = points[0][0], max(points[-1][0], points[0][0] + 1)
        span = (high - low) or 1.0
        line = [
            QPointF(
                graph.left() + graph.width() * (step - first) / (last - first),
                graph.bottom() - graph.height() * (loss - low) / span,
            )
            for step, loss in points
        ]
        painter.setPen(QPen(color, 1.8))
        if len(line) > 1:
            painter.drawPolyline(QPolygonF(line))
        else:
            painter.drawPoint(line[0])
