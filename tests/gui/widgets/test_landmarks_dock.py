"""One dock a viewer with all steps, whichever entry of the menu opens it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget

from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.widgets.step_widget import StepWidget
from napari_landmark.gui.widgets.steps import Step

from ..conftest import docked


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(strict_qt="raise", show=True)
    viewer.window.resize(1280, 800)
    return viewer


def open_entry(viewer, qtbot, name):
    """What a script does; the dock is there once napari's own one before is gone."""
    _, landmarks = viewer.window.add_plugin_dock_widget("napari-landmark", name)
    qtbot.waitUntil(lambda: settled(viewer, landmarks), timeout=20_000)
    return landmarks


def docks(viewer):
    """Docks with the steps, and such as lost them to another one."""
    found = viewer.window._qt_window.findChildren(QDockWidget)
    return [dock for dock in found if dock.windowTitle() in ("Landmarks", "")]


def settled(viewer, landmarks):
    """Whether the steps are in the only dock, which is in front."""
    found = docks(viewer)
    return found == [landmarks.dock] and not landmarks.visibleRegion().isEmpty()


def test_every_entry_opens_the_same_dock_at_its_step(viewer, qtbot):
    first = open_entry(viewer, qtbot, "Place")
    place, width = first.widget, first.width()
    for step in (*Step, Step.TRAIN, Step.TRAIN):
        assert open_entry(viewer, qtbot, str(step)) is first
        assert (first.step, first.tabs.tabText(first.tabs.currentIndex())) == (step, str(step))
        assert first.widget.isVisible() and not first.visibleRegion().isEmpty()
        assert first.width() == width
        assert first.dock.windowTitle() == "Landmarks"
        assert list(viewer.window.dock_widgets) == ["Landmarks"]
    assert first.show_step(Step.PLACE) is place


def test_a_dock_that_floats_or_stands_at_the_left_stays_there(viewer, qtbot):
    landmarks, window = open_entry(viewer, qtbot, "Place"), viewer.window._qt_window
    window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, landmarks.dock)
    open_entry(viewer, qtbot, "Review")
    assert window.dockWidgetArea(landmarks.dock) == Qt.DockWidgetArea.LeftDockWidgetArea
    landmarks.dock.setFloating(True)
    landmarks.dock.setGeometry(40, 50, 500, 600)
    qtbot.wait(20)
    open_entry(viewer, qtbot, "Train")
    assert landmarks.dock.isFloating()
    assert landmarks.dock.geometry().getRect() == (40, 50, 500, 600)
    assert landmarks.widget.isVisible()


def test_a_hidden_dock_is_shown_and_a_closed_one_made_anew(viewer, qtbot):
    landmarks = open_entry(viewer, qtbot, "Place")
    landmarks.dock.close()  # the button that hides it
    assert open_entry(viewer, qtbot, "Measure") is landmarks
    assert landmarks.widget.isVisible()
    landmarks.dock.destroyOnClose()
    qtbot.waitUntil(lambda: not docks(viewer), timeout=10_000)
    again = open_entry(viewer, qtbot, "Measure")
    assert again is not landmarks and again.step is Step.MEASURE


def test_the_menu_of_napari_shows_a_step_for_the_second_time(viewer, qtbot):
    """napari hides a dock whose entry it has opened before."""
    from napari._app_model import get_app_model

    for name, step in (("train", Step.TRAIN), ("detect", Step.REVIEW), ("train", Step.TRAIN)):
        get_app_model().commands.execute_command(f"napari-landmark.{name}").result(timeout=5)
        landmarks = docks(viewer)[-1].widget()
        qtbot.waitUntil(lambda landmarks=landmarks: settled(viewer, landmarks), timeout=10_000)
        assert landmarks.step is step
        landmarks.tabs.setCurrentIndex(0)  # by hand


def test_steps_are_made_when_they_are_first_shown(viewer, qtbot):
    landmarks = open_entry(viewer, qtbot, "Place")
    assert [type(made).__name__ for made in landmarks.findChildren(StepWidget)] == ["AnnotateWidget"]
    for number in (1, 0, 1):
        landmarks.tabs.setCurrentIndex(number)
    made = [type(made).__name__ for made in landmarks.findChildren(StepWidget)]
    assert sorted(made) == ["AnnotateWidget", "TrainWidget"]
    script = (
        "import sys; from napari_landmark.gui.widgets import menu_entries; "
        "sys.exit(any(f'napari_landmark.gui.widgets.{name}' in sys.modules "
        "for name in ('annotate', 'train', 'review', 'measure', 'register')))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_each_viewer_has_its_own(viewer, qtbot, make_napari_viewer):
    other = make_napari_viewer(show=True)
    first, second = open_entry(viewer, qtbot, "Place"), open_entry(other, qtbot, "Train")
    assert first is not second
    assert (first.step, second.step) == (Step.PLACE, Step.TRAIN)
    assert (first.session, second.session) == (get_session(viewer), get_session(other))


def test_steps_lead_to_each_other_under_one_header(viewer, qtbot, study, cohort):
    session = get_session(viewer)
    landmarks = open_entry(viewer, qtbot, "Place")
    assert landmarks.study_bar.first.isVisible()
    landmarks.show_step(Step.REGISTER)
    assert not landmarks.study_bar.first.isVisible()
    session.open(study, cohort)
    place = landmarks.show_step(Step.PLACE)
    place.onward.click()
    assert landmarks.step is Step.TRAIN
    assert session.names[0] in landmarks.study_bar.images.currentText()
    docked(viewer, "Error map")
    assert landmarks.step is Step.TRAIN
