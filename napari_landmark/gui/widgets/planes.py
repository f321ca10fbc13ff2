"""Dock widget with the axial, coronal and sagittal plane of the current volume, linked by a crosshair."""

from __future__ import annotations

from napari.components import ViewerModel
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QResizeEvent, QShowEvent
from qtpy.QtWidgets import (
    QComboBox,
    QDockWidget,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_landmark.data.landmarks import Status
from napari_landmark.data.planes import Plane, orthogonal_planes
from napari_landmark.gui.controls import note
from napari_landmark.gui.layers.mark_colors import CONFIDENCE_COLORS
from napari_landmark.gui.next_turn import in_next_turn
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.image_display import ADJUSTED
from napari_landmark.gui.widgets.dock_widget import Dock
from napari_landmark.gui.widgets.plane_view import PlaneMark, PlaneView

_MOST_ZOOM = 32.0
_LARGEST = 1e9


class PlanesWidget(Dock):
    """Planes: the current volume in three planes, to place and correct landmarks in any of them."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.editor = AnnotationEditor(self.session)
        self.views = tuple(PlaneView(number) for number in range(3))
        self.window_level = QComboBox()
        self.window_level.setAccessibleName("Window")
        self.window_level.setToolTip(
            "Window and level; drag with the right mouse button in a plane to adjust them"
        )
        self.window_level.textActivated.connect(self._on_window)
        self.rendered = QPushButton("3-D rendering")
        self.rendered.setCheckable(True)
        self.rendered.setToolTip(
            "Show the surface of the volume in the main view; a click on it places a landmark"
        )
        self.rendered.clicked.connect(self.layer_manager.rendering.show)
        self.threshold = QDoubleSpinBox()
        self.threshold.setAccessibleName("Threshold of the surface")
        self.threshold.setRange(-_LARGEST, _LARGEST)
        self.threshold.setPrefix("≥ ")
        self.threshold.setMinimumWidth(110)
        self.threshold.setKeyboardTracking(False)
        self.threshold.setToolTip(
            "Intensity from which on the rendering shows a surface, and a click meets it"
        )
        self.threshold.valueChanged.connect(self.session.display.set_threshold)
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.about.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.about.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.hint = note("Planes show volumes: open a study of CT or MR volumes.")
        self._planes: tuple[Plane, ...] = ()
        self._centre: tuple[float, ...] = ()
        self._zoom = 1.0
        self._arranged = ""
        self._moved_down = False
        self._lay_out()
        session = self.session
        for signal, slot in (
            (session.study_changed, self._on_image),
            (session.image_changed, self._on_image),
            (session.landmark_changed, self._show_marks),
            (session.landmarks_changed, self._on_landmarks),
            (session.predictions_changed, self._show_marks),
            (session.view_changed, self._show_marks),
            (session.crosshair.moved, self._on_crosshair),
            (session.display.changed, self._on_display),
            (self.layer_manager.heatmaps.changed, self._on_image),
            (napari_viewer.dims.events.ndisplay, self._on_display),
        ):
            self.listen(signal, slot)
        self._on_image()

    def _lay_out(self) -> None:
        for view in self.views:
            view.pointed.connect(self._on_pointed)
            view.clicked.connect(self._on_clicked)
            view.picked.connect(self._on_picked)
            view.dropped.connect(self._on_dropped)
            view.scrolled.connect(self._on_scrolled)
            view.zoomed.connect(self._on_zoomed)
            view.panned.connect(self._on_panned)
            view.windowed.connect(self._on_windowed)
        row = QHBoxLayout()
        for widget in (self.window_level, self.rendered, self.threshold):
            row.addWidget(widget)
        row.addStretch(1)
        self.content = QWidget()
        self._grid = QGridLayout(self.content)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(
            self.about
        )  # beside the others it would be wrapped at five lines where there is little room
        layout.addWidget(self.hint)
        layout.addWidget(self.content, 1)
        self._arrange()

    def _arrange(self) -> None:
        """Put the planes side by side, one below the other, or in a square, as there is room."""
        width, height = self.content.width(), self.content.height()
        sides = {
            "row": min(width / 3, height),
            "column": min(width, height / 3),
            "square": min(width / 2, height / 2),
        }
        wanted = max(sides, key=sides.__getitem__)
        if wanted == self._arranged:
            return
        self._arranged = wanted
        places = {
            "row": ((0, 0), (0, 1), (0, 2)),
            "column": ((0, 0), (1, 0), (2, 0)),
            "square": ((0, 0), (0, 1), (1, 0)),
        }[wanted]
        for view in self.views:
            self._grid.removeWidget(view)
        for view, (line, column) in zip(self.views, places, strict=True):
            self._grid.addWidget(view, line, column)
        for number in range(3):
            self._grid.setColumnStretch(number, int(any(column == number for _, column in places)))
            self._grid.setRowStretch(number, int(any(line == number for line, _ in places)))

    # -- state of the session -----------------------------------------------------------------------------

    def _on_image(self, *_: object) -> None:
        session = self.session
        has = bool(session.crosshair.position) and bool(session.current_image)
        self.hint.setVisible(not has)
        for widget in (self.content, self.window_level, self.rendered, self.threshold, self.about):
            widget.setVisible(has)
        if not has:
            self._planes = ()
            for view in self.views:
                view.show_volume(None, (), None)
            return
        array = session.read_image().array
        self._planes = orthogonal_planes(session.geometry())
        self._centre = session.crosshair.position
        for view in self.views:
            view.show_volume(array, self._planes, self.layer_manager.heatmaps.current)
        self._on_display()
        self._show_marks()
        self._on_crosshair(True)

    def _on_landmarks(self, image: str) -> None:
        if image == self.session.current_image:
            self._show_marks()

    def _show_marks(self, *_: object) -> None:
        session = self.session
        if not self._planes or not session.current_image or session.schema is None:
            return
        unit = session.geometry().mean_spacing or 1.0
        colors = dict(zip(session.schema.names, session.schema.colors, strict=True))
        marks = []
        for mark in session.result().values():
            if mark.position is None or len(mark.position) != 3:
                continue
            color = colors[mark.name]
            if session.color_by_confidence and mark.status is Status.PREDICTED:
                color = _confidence_color(mark.confidence or 0.0)
            marks.append(
                PlaneMark(
                    mark.name,
                    mark.position,
                    color,
                    unit * (mark.expected_error or 0.0),
                    mark.name == session.current_landmark,
                    mark.status.is_manual,
                )
            )
        for view in self.views:
            view.show_marks(tuple(marks))

    def _on_crosshair(self, centre: bool) -> None:
        if not self._planes:
            return
        crosshair = self.session.crosshair
        if centre:
            self._centre = crosshair.position
        for view in self.views:
            view.show_place(crosshair.position, crosshair.indices, self._centre, self._zoom)
        self.about.setText(self._describe())

    def _describe(self) -> str:
        """Position of the crosshair as x, y, z, and the intensity there."""
        session = self.session
        geometry, position = session.geometry(), session.crosshair.position
        index = ", ".join(f"{value:.1f}" for value in reversed(position))
        text = f"x, y, z {index}"
        if geometry.has_spacing:
            world = geometry.to_world([position])[0]
            text += f" · {', '.join(f'{value:.1f}' for value in reversed(world))} mm"
            text += " LPS" if geometry.is_anatomical else ""
        value = float(session.read_image().array[session.crosshair.indices])
        return f"{text} · {value:.5g}{' HU' if session.display.is_ct else ''}"

    def _on_display(self, *_: object) -> None:
        display = self.session.display
        for view in self.views:
            view.show_display(display)
        names = [*display.windows, *([ADJUSTED] if display.window == ADJUSTED else [])]
        if names != [self.window_level.itemText(row) for row in range(self.window_level.count())]:
            self.window_level.clear()
            self.window_level.addItems(names)
        self.window_level.setCurrentText(display.window)
        rendered = self.layer_manager.rendering.is_shown
        self.rendered.setChecked(rendered)
        self.threshold.setVisible(rendered and bool(self._planes))
        with QSignalBlocker(self.threshold):
            whole = self.session.display.threshold == round(self.session.display.threshold)
            self.threshold.setDecimals(0 if whole or abs(display.threshold) > 100 else 3)
            self.threshold.setSingleStep(max(abs(display.limits[1] - display.limits[0]) / 100, 1e-3))
            self.threshold.setValue(display.threshold)

    # -- mouse ----------------------------------------------------------------------------------------------

    def _on_pointed(self, position: tuple[float, ...]) -> None:
        self.session.crosshair.move_to(position)

    def _on_clicked(self, position: tuple[float, ...]) -> None:
        session = self.session
        if not session.geometry().contains([position])[0]:
            return
        session.crosshair.move_to(position)
        if session.placing:
            session.attempt(lambda: self.editor.place_next(position))

    def _on_picked(self, name: str) -> None:
        self.session.select_landmark(name)

    def _on_dropped(self, name: str, position: tuple[float, ...]) -> None:
        self.session.select_landmark(name)
        self.session.attempt(lambda: self.editor.place(name, position))
        self.session.crosshair.move_to(position)
        self._show_marks()  # where it was, if it could not be saved

    def _on_scrolled(self, axis: int, steps: int) -> None:
        crosshair = self.session.crosshair
        position = list(crosshair.position)
        position[axis] = crosshair.indices[axis] + steps
        crosshair.move_to(position)

    def _on_zoomed(self, factor: float) -> None:
        if self._zoom <= 1:
            self._centre = self.session.crosshair.position
        self._zoom = min(max(self._zoom * factor, 1.0), _MOST_ZOOM)
        self._on_crosshair(False)

    def _on_panned(self, middle: tuple[float, ...]) -> None:
        self._centre = middle
        self._on_crosshair(False)

    def _on_windowed(self, wider: float, brighter: float) -> None:
        self.session.display.adjust_by(wider, brighter)

    def _on_window(self, window: str) -> None:
        if window in self.session.display.windows:
            self.session.display.choose(window)

    # -- dock -------------------------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Arrange the planes for the new size."""
        super().resizeEvent(event)
        self._arrange()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Move a new dock below the main view, where three planes have room side by side."""
        super().showEvent(event)
        if not self._moved_down:
            self._moved_down = True
            in_next_turn(self, self._move_down)

    def _move_down(self) -> None:
        dock: QWidget | None = self
        while dock is not None and not isinstance(dock, QDockWidget):
            dock = dock.parentWidget()
        window = None if dock is None else dock.parentWidget()
        if isinstance(dock, QDockWidget) and isinstance(window, QMainWindow):
            # The widgets at the sides keep the whole height.
            window.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
            window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
            window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
            window.resizeDocks([dock], [int(0.42 * window.height())], Qt.Orientation.Vertical)
            in_next_turn(self, self._refit)

    def _refit(self) -> None:
        """Show the whole image in the main view, which is smaller now."""
        self.viewer.reset_view()


def _confidence_color(confidence: float) -> str:
    red, green, blue = (round(255 * float(part)) for part in CONFIDENCE_COLORS.map([confidence])[0][:3])
    return f"#{red:02x}{green:02x}{blue:02x}"
