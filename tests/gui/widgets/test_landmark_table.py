"""Texts, icons and changes of the table of landmarks."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_landmark.data.landmarks import LandmarkSet, Status
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.schema_editor import SchemaEditor
from napari_landmark.gui.widgets import landmark_table_model
from napari_landmark.gui.widgets.landmark_table import LandmarkTable

from ..conftest import NAMES, predict


@pytest.fixture
def table(session, qtbot):
    table = LandmarkTable(session, with_errors=True)
    qtbot.addWidget(table)
    table.resize(330, 200)
    table.show()
    return table


def cell(table, row, column, role=Qt.ItemDataRole.DisplayRole):
    return table.view.model().index(row, column).data(role)


def selected(table):
    return [index.row() for index in table.view.selectionModel().selectedRows()]


def test_names_colours_and_definitions(table, session):
    assert [cell(table, row, 0) for row in range(4)] == list(NAMES)
    assert cell(table, 0, 0, Qt.ItemDataRole.ToolTipRole) == "Tip of the thumb."
    assert cell(table, 1, 0, Qt.ItemDataRole.ToolTipRole) == "index_tip"
    picture = cell(table, 1, 0, Qt.ItemDataRole.DecorationRole).pixmap(14, 14).toImage()
    assert picture.pixelColor(7, 7).name() == session.schema.colors[1]


def test_states_and_expected_errors(table, session, truth):
    assert [cell(table, row, 1) for row in range(4)] == ["to place"] * 4
    predict(session, session.current_image, truth[session.current_image], error=2.0)
    editor = AnnotationEditor(session)
    editor.place("thumb_tip", (5, 5))
    editor.mark_missing("index_tip")
    states = [cell(table, row, 1) for row in range(4)]
    assert states == ["✓ corrected", "missing", "predicted, about 2.0 px", "predicted, about 2.0 px"]
    tip = cell(table, 2, 1, Qt.ItemDataRole.ToolTipRole)
    assert tip == "About 2.0 px off on average; a single prediction may be off by more"
    assert cell(table, 0, 1, Qt.ItemDataRole.ToolTipRole) is None
    assert table.view.model().headerData(1, Qt.Orientation.Horizontal) == "State, expected error"


def test_what_is_rarely_exceeded_is_told_as_corrections_calibrate_it(table, session, truth, monkeypatch):
    """With standard deviations of 3 along a contour and 1 across it, nine of ten errors are below 5.04."""
    image, factor = session.current_image, None
    monkeypatch.setattr(landmark_table_model, "region_factor", lambda session, name: factor)
    marks = LandmarkSet.from_array(
        session.schema,
        truth[image],
        Status.PREDICTED,
        np.full(4, 0.5),
        np.full(4, 2.7),
        np.broadcast_to(np.diag([9.0, 1.0]), (4, 2, 2)),
    )
    session.study.save_predictions(image, marks, session.geometry(image))
    session.load_predictions({image: marks})
    text = "About 2.7 px off on average, rarely over "
    assert cell(table, 0, 1, Qt.ItemDataRole.ToolTipRole) == f"{text}5.0 px"
    factor = 2.0
    fitted = f"{text}10.1 px (one in ten, by your corrections)"
    assert cell(table, 0, 1, Qt.ItemDataRole.ToolTipRole) == fitted


def test_a_change_of_a_landmark_is_a_change_of_its_row_alone(table, session):
    changed = []
    table.view.model().dataChanged.connect(lambda first, last, _: changed.append((first.row(), last.row())))
    AnnotationEditor(session).place("middle_tip", (5, 5))
    assert changed == [(2, 2)]


def test_a_click_selects_and_names_the_landmark(table, session, qtbot):
    index = table.view.model().index(2, 0)
    with qtbot.waitSignal(table.picked) as picked:
        QTest.mouseClick(
            table.view.viewport(), Qt.MouseButton.LeftButton, pos=table.view.visualRect(index).center()
        )
    assert picked.args == ["middle_tip"]
    assert session.current_landmark == "middle_tip"


def test_the_row_of_the_current_landmark_is_selected(table, session):
    assert selected(table) == [0]
    session.select_landmark("capitate")
    assert selected(table) == [3]
    session.step(1)
    assert selected(table) == [NAMES.index(session.current_landmark)]


def test_a_new_landmark_gets_a_row(table, session):
    SchemaEditor(session).add()
    assert table.view.model().rowCount() == 5
    assert cell(table, 4, 0) == session.schema.names[4]
    assert selected(table) == [session.schema.names.index(session.current_landmark)]
