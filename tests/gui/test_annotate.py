"""Importing and calibrating leave the study, the button and the clicks as they should be."""

from __future__ import annotations

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.gui.annotate import AnnotateWidget
from napari_landmark.gui.schema_dialog import SchemaDialog
from napari_landmark.gui.stage import get_session

from .conftest import NAMES


@pytest.fixture
def session(viewer):
    return get_session(viewer)


@pytest.fixture
def annotate(viewer, qtbot):
    widget = AnnotateWidget(viewer)
    qtbot.addWidget(widget)
    return widget


@pytest.mark.parametrize("columns", ["x,y\nhand_000.png,new one,3,9000", "x,y,z\nhand_000.png,new one,3,4,5"])
def test_a_file_that_does_not_fit_defines_no_landmarks(annotate, session, tmp_path, columns):
    path = tmp_path / "some.csv"
    path.write_text(f"image,landmark,{columns}\n")
    with pytest.raises(InputError, match="new one"):
        annotate.import_file(path)
    assert session.schema.names == NAMES
    assert session.annotation().ndim is None


def test_a_dialog_swaps_names_and_takes_that_of_a_removed_one(session, qtbot):
    for row, name in enumerate(NAMES):
        session.place(name, (row, row))
    dialog = SchemaDialog(session)
    qtbot.addWidget(dialog)
    dialog.table.item(0, 0).setText("index_tip")
    dialog.table.item(1, 0).setText("thumb_tip")
    dialog.table.item(2, 0).setText("capitate")
    dialog.table.removeRow(3)
    dialog._on_save()
    assert dialog.problem.text() == ""
    assert {name: mark.position for name, mark in session.annotation().items()} == {
        "index_tip": (0, 0),
        "thumb_tip": (1, 1),
        "capitate": (2, 2),
    }
