"""The dock with all steps of the work under one header: study, image and counts."""

from __future__ import annotations

from importlib import import_module

from napari.components import ViewerModel
from qtpy.QtCore import QSize
from qtpy.QtWidgets import (
    QDockWidget,
    QMainWindow,
    QSizePolicy,
    QStackedWidget,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from napari_landmark.gui.controls import NARROWEST, button
from napari_landmark.gui.layers.napari_internals import main_window, rename_dock
from napari_landmark.gui.layers.viewer_session import unwrapped
from napari_landmark.gui.next_turn import in_next_turn
from napari_landmark.gui.widgets.dock_widget import Dock
from napari_landmark.gui.widgets.step_widget import StepWidget
from napari_landmark.gui.widgets.steps import Step
from napari_landmark.gui.widgets.study_bar import StudyBar

TITLE = "Landmarks"
_USUAL_WIDTH = 420  # pixels; the narrowest is less
_MODULES = "napari_landmark.gui.widgets"
_WIDGETS = {  # imported when they are first shown
    Step.PLACE: ("annotate", "AnnotateWidget"),
    Step.TRAIN: ("train", "TrainWidget"),
    Step.REVIEW: ("review", "ReviewWidget"),
    Step.MEASURE: ("measure", "MeasureWidget"),
    Step.REGISTER: ("register", "RegisterWidget"),
}
_TIPS = {
    Step.PLACE: "Place the landmarks of one image, the template, by clicking",
    Step.TRAIN: "Train a model that finds the landmarks in all other images",
    Step.REVIEW: "Detect landmarks, review and correct them, export",
    Step.MEASURE: "Angles, distances and ratios between landmarks",
    Step.REGISTER: "Register two images; train a registration",
}
_PLANES = "Axial, coronal and sagittal plane of the volume, linked by a crosshair; and its surface"


def landmarks_dock(viewer: ViewerModel, step: Step) -> LandmarksDock:
    """Content of the viewer's dock, at a step; made where the viewer has none. Whoever calls it docks it."""
    window = main_window(unwrapped(viewer))
    found = None if window is None else window.findChild(LandmarksDock)
    made = found if isinstance(found, LandmarksDock) else LandmarksDock(viewer)
    made.show_step(step)
    return made


class LandmarksDock(Dock):
    """Header with study, image and counts, and below it the steps of the work, of which one is shown.

    A step is made when it is first shown. There is one such dock a viewer: where napari docks it once more, for another
    entry of its menu, the new dock takes the place of the one before.

    Parameters
    ----------
    viewer : ViewerModel

    Attributes
    ----------
    study_bar : StudyBar
        The header.
    tabs : QTabBar
        Names of the steps.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(viewer)
        self._steps: dict[Step, StepWidget] = {}
        self.study_bar = StudyBar(viewer, self.session)
        self.planes = button("Planes and 3-D rendering", lambda: self.open_dock("Planes"), tip=_PLANES)
        self.tabs = QTabBar()
        self.tabs.setAccessibleName("Steps")
        self.tabs.setDrawBase(False)
        self.tabs.setExpanding(True)
        self.tabs.setUsesScrollButtons(False)
        for step in Step:
            self.tabs.setTabToolTip(self.tabs.addTab(str(step)), _TIPS[step])
        self._pages = QStackedWidget()
        self._pages.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        for widget in (self.study_bar, self.planes, self.tabs):
            layout.addWidget(widget)
        layout.addWidget(self._pages, 1)
        self.setMinimumWidth(NARROWEST)
        self.tabs.currentChanged.connect(lambda number: self.show_step(list(Step)[number]))
        for signal in (self.session.study_changed, self.session.image_changed):
            self.listen(signal, self._offer_planes)
        self._offer_planes()

    @property
    def step(self) -> Step:
        """The step that is shown."""
        return list(Step)[self.tabs.currentIndex()]

    @property
    def widget(self) -> StepWidget:
        """Widget of the step that is shown."""
        return self.show_step(self.step)

    def show_step(self, step: Step) -> StepWidget:
        """Show a step and return its widget, which is made at the first call."""
        if step not in self._steps:
            module, name = _WIDGETS[step]
            made = self._steps[step] = getattr(import_module(f"{_MODULES}.{module}"), name)(self.viewer)
            made.step_wanted.connect(self.show_step)
            self._pages.addWidget(made)
        self.study_bar.set_step(
            asks_for_study=step is not Step.REGISTER,
            shows_training=step is not Step.TRAIN,
            begins=step is Step.PLACE,
        )
        self._pages.setCurrentWidget(self._steps[step])
        self.tabs.setCurrentIndex(list(Step).index(step))
        return self._steps[step]

    def sizeHint(self) -> QSize:
        """Wide enough for all steps, and no wider: the image needs the room."""
        return QSize(_USUAL_WIDTH, super().sizeHint().height())

    def _offer_planes(self) -> None:
        """Offer the planes of a volume; the first volume of a viewer opens them."""
        is_volume = bool(self.session.current_image) and bool(self.session.crosshair.position)
        self.planes.setVisible(is_volume)
        if is_volume and not self.layer_manager.planes_were_shown:
            self.layer_manager.planes_were_shown = True
            self.open_dock("Planes")

    def _on_docked(self, before: QWidget | None) -> None:
        super()._on_docked(before)
        dock = self.dock
        if dock is not None:
            rename_dock(dock, TITLE)
        if before is not None:
            in_next_turn(self, lambda: self._take_place_of(before))

    def _take_place_of(self, before: QWidget) -> None:
        """Put the dock where the one before is, which goes."""
        dock = self.dock
        window = None if dock is None else dock.parent()
        if dock is None or not isinstance(window, QMainWindow):
            return
        if before.isWindow():
            dock.setFloating(True)
            dock.setGeometry(before.geometry())
        elif isinstance(before, QDockWidget) and not before.isHidden():
            window.tabifyDockWidget(before, dock)
        rename_dock(before, "")  # napari forgets it by its name, which is that of the new one
        self.viewer.window.remove_dock_widget(before)
        dock.show()
        dock.raise_()
