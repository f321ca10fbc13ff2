"""Renaming, ordering, adding and removing landmarks."""

from __future__ import annotations

from qtpy.QtWidgets import QMessageBox

from napari_landmark.data.curves import Curve
from napari_landmark.gui.dialogs.edit_landmarks import SchemaDialog
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.schema_editor import SchemaEditor

from ..conftest import NAMES, on_disk, predict


class TestSchemaDialog:
    def test_renaming_ordering_and_adding(self, session, qtbot):
        AnnotationEditor(session).place("capitate", (5, 5))
        dialog = SchemaDialog(session)
        qtbot.addWidget(dialog)
        dialog.table.item(3, 0).setText("wrist")
        dialog.table.setCurrentCell(3, 0)
        dialog._move(-1)
        dialog._append("extra", "#123456", "")
        dialog._on_save()
        qtbot.waitUntil(lambda: session.job is None, timeout=10_000)
        assert session.schema.names == ("thumb_tip", "index_tip", "wrist", "middle_tip", "extra")
        assert session.schema.colors[-1] == "#123456"
        assert session.result()["wrist"].position == (5, 5)

    def test_a_name_twice_is_told_and_nothing_happens(self, session, qtbot):
        dialog = SchemaDialog(session)
        qtbot.addWidget(dialog)
        dialog.table.item(3, 0).setText("thumb_tip")
        dialog._on_save()
        assert "twice" in dialog.problem.text()
        assert session.schema.names == NAMES


def test_a_dialog_swaps_names_and_takes_that_of_a_removed_one(session, qtbot):
    for row, name in enumerate(NAMES):
        AnnotationEditor(session).place(name, (row, row))
    dialog = SchemaDialog(session)
    qtbot.addWidget(dialog)
    dialog.table.item(0, 0).setText("index_tip")
    dialog.table.item(1, 0).setText("thumb_tip")
    dialog.table.item(2, 0).setText("capitate")
    dialog.table.removeRow(3)
    dialog._on_save()
    assert dialog.problem.text() == ""
    qtbot.waitUntil(lambda: session.job is None, timeout=10_000)
    assert {name: mark.position for name, mark in session.annotation().items()} == {
        "index_tip": (0, 0),
        "thumb_tip": (1, 1),
        "capitate": (2, 2),
    }


def test_a_curve_is_added_and_follows_the_names_of_its_ends(session, qtbot):
    dialog = SchemaDialog(session)
    qtbot.addWidget(dialog)
    dialog.add_curve(Curve("finger", "index_tip", "capitate", 2))
    dialog._on_save()
    assert session.schema.names == (*NAMES, "finger[1]", "finger[2]")
    assert session.schema.curves == (Curve("finger", "index_tip", "capitate", 2),)
    dialog = SchemaDialog(session)
    qtbot.addWidget(dialog)
    dialog.table.item(1, 0).setText("second_tip")
    dialog._on_save()
    qtbot.waitUntil(lambda: session.job is None, timeout=10_000)
    assert session.schema.curves == (Curve("finger", "second_tip", "capitate", 2),)
    dialog = SchemaDialog(session)
    qtbot.addWidget(dialog)
    dialog.table.removeRow(5)  # one of its semilandmarks: the others stay landmarks
    dialog._on_save()
    assert dialog.problem.text() == ""
    assert session.schema.curves == ()
    assert "finger[1]" in session.schema


def test_removing_tells_of_annotations_and_predictions_and_how_to_get_them_back(
    session, qtbot, truth, monkeypatch
):
    for name in session.names[:3]:
        predict(session, name, truth[name])
    AnnotationEditor(session).place("index_tip", (5.0, 6.0))
    dialog, asked = SchemaDialog(session), []
    qtbot.addWidget(dialog)
    dialog.table.setCurrentCell(1, 0)

    def question(parent, title, text):
        asked.append(text)
        return QMessageBox.StandardButton.Yes

    monkeypatch.setattr(QMessageBox, "question", question)
    dialog._on_remove()
    assert asked[0].startswith("index_tip is annotated in 1 image and predicted in 3 images.")
    dialog._on_save()
    assert "index_tip" not in session.schema
    SchemaEditor(session).add("index_tip")
    assert session.result()["index_tip"].position == (5.0, 6.0)
    assert session.prediction(session.names[1])["index_tip"].position is not None
    assert on_disk(session)["index_tip"].position == (5.0, 6.0)
