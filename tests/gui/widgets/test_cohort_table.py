"""Order, texts and changes of the table of images."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.widgets.cohort_table import CohortTable
from napari_landmark.gui.widgets.cohort_table_model import CohortTableModel
from napari_landmark.gui.widgets.table_view import TableView

from ..conftest import predict


@pytest.fixture
def table(session, qtbot, truth):
    """The expected error grows from the first image to the last."""
    for number, name in enumerate(session.names):
        predict(session, name, truth[name], error=1.0 + number)
    table = CohortTable(session)
    qtbot.addWidget(table)
    table.resize(330, 200)
    table.show()
    return table


def text(table, row, column):
    return table.view.model().index(row, column).data()


def click(table, row):
    index = table.view.model().index(row, 0)
    QTest.mouseClick(
        table.view.viewport(), Qt.MouseButton.LeftButton, pos=table.view.visualRect(index).center()
    )


def selected(table):
    return [index.row() for index in table.view.selectionModel().selectedRows()]


def test_the_largest_expected_error_comes_first(table, session):
    session.show("hand_003.png")
    AnnotationEditor(session).accept()
    table.refresh()
    assert table.names == ["hand_002.png", "hand_001.png", "hand_000.png", "hand_003.png"]
    assert [text(table, row, 0) for row in range(4)] == table.names
    assert text(table, 0, 2) == "3.0 px (3.0 px)"
    assert text(table, 3, 1) == "✓ annotated"
    assert text(table, 3, 2) == ""
    assert [table.view.model().headerData(n, Qt.Orientation.Horizontal) for n in range(3)] == [
        "Image",
        "State",
        "Expected error",
    ]


def test_images_without_errors_keep_their_order(session, qtbot):
    table = CohortTable(session)
    qtbot.addWidget(table)
    assert table.names == list(session.names)


def test_a_click_shows_the_image_and_rows_stay_while_they_are_worked_on(table, session):
    before = table.names
    click(table, 0)
    assert session.current_image == before[0]
    AnnotationEditor(session).place("thumb_tip", (5, 5))
    assert table.names == before
    assert text(table, 0, 1) == "1 of 4 reviewed"
    AnnotationEditor(session).accept()
    assert text(table, 0, 1) == "✓ corrected"


def test_the_row_of_the_current_image_is_selected(table, session):
    session.show("hand_001.png")
    assert selected(table) == [table.names.index("hand_001.png")]
    table.refresh()
    assert selected(table) == [table.names.index("hand_001.png")]


def test_a_change_of_an_image_is_a_change_of_its_row_alone(table, session):
    changed = []
    table.view.model().dataChanged.connect(lambda first, last, _: changed.append((first.row(), last.row())))
    session.show("hand_001.png")
    AnnotationEditor(session).place("thumb_tip", (5, 5))
    row = table.names.index("hand_001.png")
    assert changed == [(row, row)]


def test_only_visible_rows_are_asked_for(qtbot):
    names = [f"image {number}" for number in range(10_000)]
    store = SimpleNamespace(
        expected_error=lambda name: (1.0, 2.0),
        expected_errors=lambda names: dict.fromkeys(names, (1.0, 2.0)),
        state=lambda name: "predicted",
        image_state=lambda name: None,
        is_flagged=lambda name: False,
        flagged_images=set,
        decision=lambda name: None,
    )
    session = SimpleNamespace(
        names=names,
        pixel_lengths=dict.fromkeys(names, 1.0),
        landmark_store=store,
        odd_shapes=None,
        require_store=lambda: store,
        geometry=lambda name: Geometry((50, 40)),
    )
    model, asked = CohortTableModel(session), set()

    model.update()
    read = model.data
    model.data = lambda index, role=0: (asked.add(index.row()), read(index, role))[1]
    view = TableView(model, row_height=22)
    qtbot.addWidget(view)
    view.resize(330, 220)
    view.show()
    qtbot.waitUntil(lambda: bool(asked), timeout=5000)
    view.select(5000)
    qtbot.wait(50)
    assert 5000 in asked
    assert len(asked) < 60


def test_images_that_the_model_doubts_come_first_and_say_so(table, session, truth):
    names = session.names
    predict(session, names[0], truth[names[0]], error=0.1, image_state=ImageState.SEVERAL)
    table.refresh()
    assert table.names == [names[0], names[3], names[2], names[1]]
    assert text(table, 0, 1) == "several subjects?"
    session.show(names[0])
    AnnotationEditor(session).decide(ImageDecision.LEFT_OUT)
    table.refresh()
    assert text(table, table.names.index(names[0]), 1) == "left out"
    assert table.names[-1] == names[0]


def test_the_next_image_is_that_of_the_table_while_it_is_on_show(table, session):
    session.show(table.names[0])
    session.step(1)
    assert session.current_image == table.names[1]
    table.filter.state.setCurrentText("Reviewed")
    AnnotationEditor(session).accept()
    table.refresh()
    assert table.names == [session.current_image]
    session.step(1)
    assert session.current_image == table.names[0]
    table.hide()
    session.show("hand_000.png")
    session.step(1)
    assert session.current_image == "hand_001.png"


def test_an_empty_list_says_so(table, session):
    table.filter.state.setCurrentText("Corrected")
    table.refresh()
    assert table.names == []
    with pytest.raises(InputError, match="choose another filter"):
        session.step(1)


def test_arrow_keys_go_through_the_rows_and_other_keys_to_the_viewer(table, session, qtbot):
    click(table, 1)
    QTest.keyClick(table.view, Qt.Key.Key_Down)
    assert session.current_image == table.names[2]
    QTest.keyClick(table.view, Qt.Key.Key_Home)
    assert session.current_image == table.names[0]
    heard = []
    table.keyPressEvent = lambda event: heard.append(event.text())
    for key in (Qt.Key.Key_K, Qt.Key.Key_H, Qt.Key.Key_Period, Qt.Key.Key_Left):
        QTest.keyClick(table.view, key)
    assert heard == ["k", "h", "."]
    assert session.current_image == table.names[0]
