"""Docks of the least width in a real window: nothing is cut off, and a screen reader can name every control."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QScrollBar,
    QTextEdit,
    QToolButton,
    QWidget,
)

from napari_landmark.gui.controls import NARROWEST
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor

from .conftest import docked, predict

WIDGETS = (
    "Place",
    "Train",
    "Review",
    "Contact sheet",
    "Error map",
    "Measure",
    "Register",
)
CONTROLS = (
    QAbstractButton,
    QComboBox,
    QAbstractSpinBox,
    QLineEdit,
    QAbstractSlider,
    QAbstractItemView,
    QPlainTextEdit,
    QTextEdit,
)
PARTS = (QScrollBar, QHeaderView)  # Qt names them by what they belong to


@pytest.fixture(params=("dark", "light"))
def window(make_napari_viewer, study, cohort, truth, request):
    """A viewer in which a study with predictions and corrections is open."""
    viewer = make_napari_viewer(show=True)
    viewer.theme = request.param
    viewer.window.resize(1280, 800)
    session = get_session(viewer)
    session.open(study, cohort)
    for name in session.names[1:]:
        predict(session, name, truth[name], error=12.3)
    AnnotationEditor(session).place("capitate", truth[session.current_image][3])
    return viewer


def open_docks(viewer, qtbot):
    for name in WIDGETS:
        dock, widget = docked(viewer, name)
        dock.show()
        dock.raise_()
        viewer.window._qt_window.resizeDocks([dock], [NARROWEST], Qt.Orientation.Horizontal)
        if name == "Review":
            widget.cohort.filter.state.setCurrentIndex(1)
            widget.cohort.filter.show_count(8888, 10_000)  # of a large study
        qtbot.wait(20)
        yield name, widget


def spoken(control, widget):
    """What a screen reader says of a control."""
    label = control.accessibleName() or (control.text() if isinstance(control, QAbstractButton) else "")
    buddies = [other.text() for other in widget.findChildren(QLabel) if other.buddy() is control]
    return label or " ".join(buddies)


def belongs_to_another(control):
    """Whether it is a part of a control, such as the line of a spin box."""
    parent = control.parent()
    while parent is not None:
        if isinstance(parent, (QComboBox, QAbstractSpinBox)):
            return True
        parent = parent.parent()
    return False


def test_nothing_is_cut_off_and_every_control_has_a_name(window, qtbot):
    faults = []
    for name, widget in open_docks(window, qtbot):
        if widget.width() > NARROWEST + 15:
            faults.append(f"{name}: is {widget.width()} wide")
        for part in widget.findChildren(QWidget):
            if not part.isVisibleTo(widget):
                continue
            if isinstance(part, QScrollArea) and part.widget() is not None:
                needed = part.widget().minimumSizeHint().width()
                if needed > part.viewport().width():
                    faults.append(f"{name}: needs {needed} of {part.viewport().width()} pixels")
            if isinstance(part, (QPushButton, QCheckBox, QToolButton)):
                needed = part.minimumSizeHint().width()
                if part.width() < needed - 2:
                    faults.append(f"{name}: {part.text()} needs {needed} of {part.width()} pixels")
            if isinstance(part, CONTROLS) and not isinstance(part, PARTS) and not belongs_to_another(part):
                said = spoken(part, widget)
                if not any(letter.isalnum() for letter in said):
                    faults.append(f"{name}: {type(part).__name__} {part.toolTip()[:40]!r} has no name")
    assert faults == []
