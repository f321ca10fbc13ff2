"""Every step of the dock in every state in a window of 1280 x 800: nothing is cut off, nothing is outside the dock."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QAbstractButton, QComboBox, QLabel, QSizePolicy, QTableView, QWidget
from superqt import QCollapsible

from napari_landmark.gui.widgets.steps import Step

from .states import STATES, Scene, draw_images

LEAST_ROWS = 4


@pytest.fixture(scope="module")
def hands(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "images"
    return folder, draw_images(folder)


def faults(landmarks):
    """What is cut off or outside the dock, in words."""
    found = []
    for part in landmarks.findChildren(QWidget):
        if not part.isVisibleTo(landmarks) or part.window() is not landmarks.window() or is_folded(part):
            continue
        name = f"{type(part).__name__} {getattr(part, 'text', str)()!r:.60}"
        left = part.mapTo(landmarks, QPoint(0, 0)).x()
        if left < 0 or left + part.width() > landmarks.width():
            found.append(f"{name}: from {left} to {left + part.width()} in a dock of {landmarks.width()}")
        if (
            isinstance(part, (QAbstractButton, QComboBox))
            and part.width() < part.minimumSizeHint().width() - 2
        ):
            found.append(f"{name}: {part.width()} wide, needs {part.minimumSizeHint().width()}")
        if isinstance(part, QLabel) and part.text():
            found += cut_text(part, name)
        if isinstance(part, QTableView) and part.model() is not None:
            rows = part.viewport().height() / part.rowHeight(0) if part.model().rowCount() else LEAST_ROWS
            if rows < min(LEAST_ROWS, part.model().rowCount()):
                found.append(f"{part.accessibleName()}: shows {rows:.1f} rows")
    return found


def is_folded(part):
    """Whether it is in a section that is not unfolded."""
    while part is not None:
        if isinstance(part, QCollapsible) and not part.isExpanded():
            return True
        part = part.parentWidget()
    return False


def cut_text(label, name):
    """A text that is higher or wider than its label; names of files and folders may be cut, a tool tip has them."""
    if label.wordWrap():
        needed = label.heightForWidth(label.width())
        return [f"{name}: {label.height()} high, needs {needed}"] if label.height() < needed - 1 else []
    may_be_cut = label.sizePolicy().horizontalPolicy() == QSizePolicy.Policy.Ignored
    wide = label.minimumSizeHint().width()
    return (
        [f"{name}: {label.width()} wide, needs {wide}"] if label.width() < wide - 1 and not may_be_cut else []
    )


@pytest.mark.parametrize("state", STATES)
def test_nothing_is_cut_off(state, make_napari_viewer, hands, tmp_path, qtbot, known_registration):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    scene = Scene(
        viewer, state, tmp_path / "study", *hands, wait=lambda until: qtbot.waitUntil(until, timeout=60_000)
    )
    found = {}
    for step in Step:
        scene.show(step)
        qtbot.wait(150)
        assert scene.landmarks.step is step
        found[str(step)] = faults(scene.landmarks)
    scene.close()
    assert found == {str(step): [] for step in Step}
