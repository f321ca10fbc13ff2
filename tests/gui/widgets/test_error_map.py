"""Map of expected errors: colours, clicks and keys."""

from __future__ import annotations

import time

import numpy as np
import pytest
from qtpy.QtCore import QPointF, Qt
from qtpy.QtTest import QTest

from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.error_map import CellState, ErrorMap
from napari_landmark.gui.widgets.error_map import ErrorMapWidget
from napari_landmark.gui.widgets.error_map_view import ERROR_COLORS, STATE_COLORS, ErrorMapView

from ..conftest import predict


@pytest.fixture
def widget(viewer, truth, qtbot):
    """The expected error grows from the second image to the last; the first has none."""
    session = get_session(viewer)
    for number, name in enumerate(session.names[1:], 1):
        predict(session, name, truth[name], error=float(number))
    made = ErrorMapWidget(viewer)
    qtbot.addWidget(made)
    made.resize(400, 500)
    made.show()
    qtbot.wait(20)
    return made


def large(count, landmarks=19):
    """A map whose error grows with the row, but for one image."""
    errors = np.repeat(np.linspace(0, 5, count)[:, None], landmarks, axis=1)
    errors[count // 3, 7] = 50.0
    names = tuple(f"image {number}" for number in range(count))
    states = np.full(errors.shape, CellState.PREDICTED, np.uint8)
    return ErrorMap(names, tuple(f"landmark {n}" for n in range(landmarks)), errors, states)


def show(view, qtbot, size=(400, 500)):
    qtbot.addWidget(view)
    view.resize(*size)
    view.show()
    qtbot.wait(20)


def color(view, row, column):
    cell = view.cell(row, column)
    at = cell.topLeft() + QPointF(5, min(3.0, cell.height() / 2))  # beside its sign
    return view.viewport().grab().toImage().pixelColor(at.toPoint()).name()


def click(view, row, column):
    at = view.cell(row, column).center().toPoint()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at)


def test_colours_tell_error_and_state(widget):
    session, view = widget.session, widget.view
    assert color(view, 0, 2) == ERROR_COLORS[-1]
    assert color(view, 3, 2) == STATE_COLORS[CellState.EMPTY]
    session.show("hand_003.png")
    editor = AnnotationEditor(session)
    editor.place("index_tip", (5, 5))
    editor.mark_missing("capitate")
    assert color(view, 0, 1) == STATE_COLORS[CellState.CORRECTED]
    assert color(view, 0, 3) == STATE_COLORS[CellState.MISSING]
    assert "corrected" in widget.text(0, 1)


def test_a_click_goes_to_the_landmark_of_the_image(widget):
    click(widget.view, 1, 2)
    assert widget.session.current_image == "hand_002.png"
    assert widget.session.current_landmark == "middle_tip"
    assert widget.about.text().startswith("middle_tip: about")
    assert "hand_002.png (2 of 4)" in widget.about.text()


def test_keys_move_the_cursor_and_enter_goes_there(widget, qtbot):
    session, view = widget.session, widget.view
    click(view, 0, 0)
    view.setFocus()
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Down, Qt.Key.Key_Right):
        QTest.keyClick(view, key)
    assert session.current_image == "hand_003.png"  # not before Enter
    assert view.accessibleDescription().startswith("index_tip: about")
    QTest.keyClick(view, Qt.Key.Key_Return)
    assert (session.current_image, session.current_landmark) == ("hand_001.png", "index_tip")
    QTest.keyClick(view, Qt.Key.Key_End)
    QTest.keyClick(view, Qt.Key.Key_Space)
    assert session.current_image == "hand_000.png"


def test_the_current_landmark_is_followed(widget):
    widget.session.show("hand_001.png")
    widget.session.select_landmark("capitate")
    assert widget.about.text().startswith("capitate: about")
    assert "hand_001.png" in widget.about.text()


def test_ten_thousand_images_are_seen_at_once_and_none_is_lost(qtbot):
    view, shown = ErrorMapView(), large(10_000)
    picked = []
    view.picked.connect(lambda row, column: picked.append((row, column)))
    show(view, qtbot)
    started = time.process_time()
    view.show_map(shown)
    picture = view.viewport().grab()
    assert time.process_time() - started < 0.25
    assert view.verticalScrollBar().maximum() == 0
    assert not picture.isNull()
    click(view, 3333, 7)  # in a row of twenty images, the worst of these is meant
    assert picked == [(3333, 7)]
    assert color(view, 3333, 7) == ERROR_COLORS[-1]


def test_rows_can_be_made_higher_and_the_current_one_is_scrolled_to(qtbot):
    view = ErrorMapView()
    show(view, qtbot)
    view.show_map(large(10_000))
    view.setFocus()
    for _ in range(40):
        QTest.keyClick(view, Qt.Key.Key_Plus)
    assert view.cell(0, 0).height() > 10
    view.select(8000, 3)
    assert view.viewport().rect().contains(view.cell(8000, 3).center().toPoint())
    assert view.at(view.cell(8000, 3).center()) == (8000, 3)
    for _ in range(60):
        QTest.keyClick(view, Qt.Key.Key_Minus)
    assert view.verticalScrollBar().maximum() == 0


def test_nothing_happens_beside_the_map(widget):
    before = widget.session.current_image
    QTest.mouseClick(widget.view.viewport(), Qt.MouseButton.LeftButton, pos=QPointF(50, 20).toPoint())
    assert widget.session.current_image == before
    assert widget.view.at(QPointF(50, 20)) == (-1, -1)


def test_it_fits_a_dock_of_400_pixels(widget):
    assert widget.minimumSizeHint().width() <= 400
