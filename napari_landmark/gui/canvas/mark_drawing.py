"""Marks and texts that are legible on black and on white and leave the marked pixel free."""

from __future__ import annotations

from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QColor, QFont, QPainter, QPainterPath, QPen

from napari_landmark.gui.layers.landmark_layer import CURRENT_MARK_RADIUS, MARK_RADIUS
from napari_landmark.gui.session.mark_options import MarkShape

_FREE = 0.5  # of the radius: the open middle of a cross
_LINE, _CURRENT_LINE, _RIM = 1.6, 2.4, 2.0
_DARK = QColor(0, 0, 0, 190)


def radius_of(is_current: bool) -> float:
    """Radius of a mark in logical pixels."""
    return CURRENT_MARK_RADIUS if is_current else MARK_RADIUS


def draw_mark(
    painter: QPainter, at: QPointF, color: QColor, *, shape: MarkShape, is_current: bool, is_manual: bool
) -> None:
    """Draw a mark with a dark rim; that of a prediction is dashed.

    Parameters
    ----------
    painter : QPainter
    at : QPointF
        Its middle.
    color : QColor
    shape : MarkShape
    is_current, is_manual : bool
    """
    width = _CURRENT_LINE if is_current else _LINE
    path = _path(at, radius_of(is_current), shape)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    # Flat ends: others would reach into the open middle of a cross.
    flat = Qt.PenCapStyle.FlatCap
    painter.setPen(QPen(_DARK, width + _RIM, Qt.PenStyle.SolidLine, flat))
    painter.drawPath(path)
    pen = QPen(color, width, Qt.PenStyle.SolidLine, flat)
    if not is_manual:
        pen.setDashPattern([2.2, 1.1])
    painter.setPen(pen)
    painter.drawPath(path)


def draw_text(painter: QPainter, at: QPointF, text: str, color: QColor, *, bold: bool = False) -> None:
    """Draw a text with a dark rim, its baseline beginning at a place."""
    font = QFont(painter.font())
    font.setBold(bold)
    path = QPainterPath()
    path.addText(at, font, text)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(QColor(0, 0, 0, 220), 3.0, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, _ROUND))
    painter.drawPath(path)
    painter.fillPath(path, color)


def draw_crosshair(painter: QPainter, middle: QPointF, *, free: float, reach: float) -> None:
    """Draw four thin lines towards a place, which stays free."""
    for color, width in ((_DARK, 3.0), (QColor("#ffe45c"), 1.2)):
        painter.setPen(QPen(color, width))
        for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            direction = QPointF(x, y)
            painter.drawLine(middle + direction * free, middle + direction * reach)


def _path(at: QPointF, radius: float, shape: MarkShape) -> QPainterPath:
    path = QPainterPath()
    if shape is MarkShape.RING:
        path.addEllipse(at, radius, radius)
        return path
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        direction = QPointF(x, y)
        path.moveTo(at + direction * (_FREE * radius))
        path.lineTo(at + direction * (1.5 * radius))
    return path


_ROUND = Qt.PenJoinStyle.RoundJoin
