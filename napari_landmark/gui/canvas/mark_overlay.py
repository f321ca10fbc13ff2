"""Marks and names of the landmarks of the current image, drawn over the canvas by Qt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from napari.components import ViewerModel
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QLinearGradient, QPainter, QPaintEvent, QPen, QPixmap
from qtpy.QtWidgets import QWidget

from napari_landmark.data.landmarks import Landmark, Status
from napari_landmark.gui.canvas.label_layout import leader, place_labels, uncovered
from napari_landmark.gui.canvas.mark_drawing import draw_mark, draw_text, radius_of
from napari_landmark.gui.canvas.screen import Screen
from napari_landmark.gui.layers.landmark_layer import CURRENT_MARK_RADIUS, MARK_RADIUS, LandmarkLayer
from napari_landmark.gui.layers.mark_colors import CONFIDENCE_COLORS, mark_colors, shows_confidence
from napari_landmark.gui.layers.preview_layer import PreviewLayer
from napari_landmark.gui.session.mark_options import NameMode
from napari_landmark.gui.session.session import Session

_POINTS = 10  # of the font
_MOST_NAMES = 150  # with more, only the current one is written
_BAR = (130.0, 8.0)  # width and height of the bar of confidences
_THICKNESS = 1.5  # slices next to its own in which a landmark is drawn


@dataclass(frozen=True)
class ShownMark:
    """A mark on the canvas.

    Parameters
    ----------
    landmark : Landmark
    at : (2,) array
        [y, x] in logical pixels.
    color : QColor
    is_current : bool
    """

    landmark: Landmark
    at: NDArray[np.float64]
    color: QColor
    is_current: bool


class MarkOverlay(QWidget):
    """Transparent widget over the canvas; the mouse goes through it.

    The points of napari below it are what is clicked, dragged and deleted. They have no shape with a rim for both dark
    and light backgrounds that leaves its middle free, and their names cannot avoid each other.

    Parameters
    ----------
    canvas : QWidget
    viewer : ViewerModel
    session : Session
    landmarks : LandmarkLayer
    preview : PreviewLayer
        Its points are napari's; only their names are drawn here.
    """

    def __init__(
        self,
        canvas: QWidget,
        viewer: ViewerModel,
        session: Session,
        landmarks: LandmarkLayer,
        preview: PreviewLayer,
    ) -> None:
        super().__init__(canvas)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.screen_of = Screen(viewer, canvas)
        self._session = session
        self._landmarks, self._preview = landmarks, preview
        self.hovered = ""
        self._picture: QPixmap | None = None
        self.setGeometry(canvas.rect())
        self.show()

    def marks(self) -> list[ShownMark]:
        """Marks that the slice on the canvas shows now, the current one first; during a drag where the mouse has it."""
        return self._shown() if self.screen_of.is_flat else []

    def rendered(self) -> list[ShownMark]:
        """Landmarks of the 3-D rendering: the current one, those selected, the others. Napari draws their spheres."""
        layer = self._landmarks.layer
        if layer is None or not self.screen_of.is_rendered:
            return []
        marks, selected = self._shown(), self._selected()
        marks = [mark for mark in marks if np.isfinite(mark.at).all() and self._is_near(mark.at)]
        return sorted(marks, key=lambda mark: (not mark.is_current, mark.landmark.name not in selected))

    def _selected(self) -> set[str]:
        """Names of the landmarks whose points are selected."""
        layer = self._landmarks.layer
        if layer is None:
            return set()
        names = layer.features["name"]
        return {str(names.iloc[row]) for row in layer.selected_data if row < len(names)}

    def _shown(self) -> list[ShownMark]:
        """Landmarks of the current image on the canvas, the current one first."""
        layer, session = self._landmarks.layer, self._session
        if layer is None or not layer.visible:
            return []
        if session.study is None or not session.current_image or not len(layer.data):
            return []
        result = session.result()
        names = [str(name) for name in layer.features["name"]]
        rows = [row for row, name in enumerate(names) if name in result]
        positions = np.asarray(layer.data, dtype=float)
        if layer.ndim == 3 and self.screen_of.is_flat:
            (axis,) = set(range(3)) - set(self.screen_of.displayed(layer))
            shown = session.crosshair.indices[axis] if session.crosshair.position else 0
            rows = [row for row in rows if abs(positions[row, axis] - shown) <= _THICKNESS]
        if not rows:
            return []
        places = self.screen_of.to_screen(layer, positions[rows])
        marks = [result[names[row]] for row in rows]
        colors = mark_colors(
            marks,
            session.require_study().schema,
            by_confidence=shows_confidence(list(result.values()), wanted=session.color_by_confidence),
        )
        made = [
            ShownMark(mark, place, QColor.fromRgbF(*color[:3]), mark.name == session.current_landmark)
            for mark, place, color in zip(marks, places, colors.tolist(), strict=True)
        ]
        return sorted(made, key=lambda mark: not mark.is_current)

    def previewed(self, marks: list[ShownMark]) -> list[ShownMark]:
        """Points of a running training whose names are written: those of landmarks without a mark of their own."""
        layer, session = self._preview.layer, self._session
        if layer is None or layer.ndim != 2 or session.schema is None or not self.screen_of.is_flat:
            return []
        shown = {mark.landmark.name for mark in marks}
        found = {name: at for name, at in self._preview.landmarks().items() if name not in shown}
        if not found:
            return []
        places = self.screen_of.to_screen(layer, list(found.values()))
        return [
            ShownMark(Landmark(name, position, Status.PREDICTED), place, QColor("white"), False)
            for (name, position), place in zip(found.items(), places, strict=True)
        ]

    def labels(self, marks: list[ShownMark]) -> dict[str, NDArray[np.float64]]:
        """Boxes [top, left, bottom, right] of the names that are written, by name of the landmark."""
        named = [mark for mark in marks if self._is_named(mark, len(marks))]
        if not named:
            return {}
        metrics = QFontMetricsF(self._font(bold=True))
        sizes = [(metrics.height(), metrics.horizontalAdvance(mark.landmark.name)) for mark in named]
        # All marks are obstacles; those without a name take no room for one.
        rest = [mark for mark in marks if mark not in named]
        boxes = place_labels(
            [mark.at for mark in (*named, *rest)],
            [*sizes, *[(0.0, 0.0)] * len(rest)],
            reach=CURRENT_MARK_RADIUS,
            shape=self.screen_of.shape,
        )
        return {mark.landmark.name: box for mark, box in zip(named, boxes[: len(named)], strict=True)}

    def rendered_labels(self, marks: list[ShownMark]) -> dict[str, NDArray[np.float64]]:
        """Boxes of the names in the 3-D rendering; one that would cover a more important one is left out.

        A rendering has room for few names where many landmarks lie behind each other. The current landmark, and those
        that are selected, have theirs.
        """
        boxes = self.labels(marks)
        wanted = self._selected() | {mark.landmark.name for mark in marks if mark.is_current}
        written = uncovered(list(boxes.values()))
        return {
            name: box
            for (name, box), free in zip(boxes.items(), written, strict=True)
            if free or name in wanted
        }

    def mark_at(self, at: QPointF, *, reach: float = CURRENT_MARK_RADIUS + 3) -> str:
        """Name of the landmark whose mark is nearest to a place within reach; empty without one."""
        marks = self.marks()
        if not marks:
            return ""
        away = np.hypot(*(np.array([mark.at for mark in marks]) - (at.y(), at.x())).T)
        nearest = int(np.argmin(away))
        return marks[nearest].landmark.name if away[nearest] <= reach else ""

    def redraw(self) -> None:
        """Draw the marks anew, with the next drawing of the canvas."""
        self._picture = None
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Show the marks; what moves over them, such as the loupe, does not draw them anew."""
        ratio = self.devicePixelRatioF()
        if self._picture is None or self._picture.size() != self.size() * ratio:
            self._picture = QPixmap(self.size() * ratio)
            self._picture.setDevicePixelRatio(ratio)
            self._picture.fill(Qt.GlobalColor.transparent)
            self._draw(QPainter(self._picture))
        painter = QPainter(self)
        if event is not None:
            painter.setClipRect(event.rect())
        painter.drawPixmap(0, 0, self._picture)
        painter.end()

    def _draw(self, painter: QPainter) -> None:
        """Draw lines to names, then marks, then names."""
        marks = self.marks()
        inside = [mark for mark in marks if self._is_near(mark.at)]
        preview = [mark for mark in self.previewed(marks) if self._is_near(mark.at)]
        rendered = self.rendered()
        if not inside and not preview and not rendered:
            painter.end()
            return
        labels = self.rendered_labels(rendered) if rendered else self.labels([*inside, *preview])
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for mark in (*inside, *preview, *rendered):
            box = labels.get(mark.landmark.name)
            line = None if box is None else leader(box, mark.at, reach=radius_of(mark.is_current))
            if line is not None:
                ends = QPointF(line[1], line[0]), QPointF(line[3], line[2])
                for color, width in ((QColor(0, 0, 0, 170), 2.6), (mark.color, 1.0)):
                    painter.setPen(QPen(color, width))
                    painter.drawLine(*ends)
        for mark in reversed(inside):  # the current one on top
            draw_mark(
                painter,
                QPointF(mark.at[1], mark.at[0]),
                mark.color,
                shape=self._session.marks.shape,
                is_current=mark.is_current,
                is_manual=mark.landmark.status.is_manual,
            )
        for mark in reversed([*inside, *preview, *rendered]):
            box = labels.get(mark.landmark.name)
            if box is not None:
                painter.setFont(self._font())
                base = box[2] - QFontMetricsF(self._font()).descent()
                color = QColor("#ffe45c") if mark.is_current else QColor("white")
                draw_text(painter, QPointF(box[1], base), mark.landmark.name, color, bold=mark.is_current)
        result = list(self._session.result().values())
        if shows_confidence(result, wanted=self._session.color_by_confidence):
            self._draw_bar(painter)
        painter.end()

    def _draw_bar(self, painter: QPainter) -> None:
        """Draw what the colours mean."""
        width, height = _BAR
        box = QRectF(self.width() - width - 14, self.height() - height - 12, width, height)
        gradient = QLinearGradient(box.topLeft(), box.topRight())
        for step in np.linspace(0, 1, 9):
            color = np.asarray(CONFIDENCE_COLORS.map([step]), dtype=float)[0]
            gradient.setColorAt(float(step), QColor.fromRgbF(*color[:3].tolist()))
        painter.setPen(QPen(QColor(0, 0, 0, 200), 1))
        painter.setBrush(gradient)
        painter.drawRect(box)
        painter.setFont(self._font())
        draw_text(painter, box.topLeft() + QPointF(0, -5), "unsure", QColor("white"))
        sure = QFontMetricsF(self._font()).horizontalAdvance("sure")
        draw_text(painter, box.topRight() + QPointF(-sure, -5), "sure", QColor("white"))

    def _is_named(self, mark: ShownMark, count: int) -> bool:
        mode = self._session.marks.names
        if mark.landmark.name == self.hovered:
            return True
        if mode is NameMode.NONE:
            return False
        return mark.is_current or (mode is NameMode.ALL and count <= _MOST_NAMES)

    def _is_near(self, at: NDArray[np.float64]) -> bool:
        height, width = self.screen_of.shape
        return bool(
            -MARK_RADIUS <= at[0] <= height + MARK_RADIUS and -MARK_RADIUS <= at[1] <= width + MARK_RADIUS
        )

    def _font(self, *, bold: bool = False) -> QFont:
        font = QFont(self.font())
        font.setPointSizeF(_POINTS)
        font.setBold(bold)
        return font
