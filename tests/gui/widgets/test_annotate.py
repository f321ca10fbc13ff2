"""Importing and calibrating leave the study, the button and the clicks as they should be."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QInputDialog

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.study.study import Study
from napari_landmark.gui.dialogs.edit_landmarks import SchemaDialog
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.widgets.annotate import AnnotateWidget

from ..conftest import NAMES, predict


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
        AnnotationEditor(session).place(name, (row, row))
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


class TestClickingPlaces:
    """The button says what a click does."""

    def agree(self, annotate, viewer):
        active = viewer.layers.selection.active
        clicks_place = active is annotate.layer_manager.landmarks.layer and active.mode == "add"
        return clicks_place == annotate.place.isChecked() == (annotate.place.text() == "Clicking places")

    @pytest.mark.parametrize("length", [25.0, None])
    def test_after_calibrating(self, annotate, viewer, session, qtbot, monkeypatch, length):
        monkeypatch.setattr(QInputDialog, "getDouble", lambda *_: (length or 0.0, length is not None))
        annotate.calibrate.click()
        viewer.layers.selection.active.add([[10, 10], [40, 50]])
        qtbot.waitUntil(lambda: annotate._calibration is None, timeout=5000)
        assert annotate.place.isChecked()
        assert self.agree(annotate, viewer)
        qtbot.waitUntil(lambda: session.job is None, timeout=20_000)
        assert annotate.place.isChecked()
        assert self.agree(annotate, viewer)

    def test_after_opening_another_study(self, annotate, viewer, session, cohort, tmp_path, truth):
        predict(session, session.current_image, truth[session.current_image])
        session.set_placing(False)
        other = Study.create(tmp_path / "other", schema=LandmarkSchema(NAMES))
        viewer.layers.selection.active = viewer.layers[0]
        session.open(other, cohort)
        assert annotate.place.isChecked()
        assert self.agree(annotate, viewer)

    def test_with_the_tools_of_napari(self, annotate, viewer, session):
        layer = annotate.layer_manager.landmarks.layer
        for mode in ("select", "add", "pan_zoom"):
            layer.mode = mode
            assert session.placing == (mode == "add")
            assert self.agree(annotate, viewer)
        annotate.place.click()
        assert layer.mode == "add"

    def test_after_the_points_were_deleted(self, annotate, viewer, session):
        viewer.layers.remove(annotate.layer_manager.landmarks.layer)
        session.step(1)
        assert annotate.place.isChecked()
        assert self.agree(annotate, viewer)

    def test_after_the_image_was_deleted(self, annotate, viewer, session):
        viewer.layers.remove(annotate.layer_manager.image)
        session.step(1)
        assert annotate.layer_manager.landmarks.layer.visible
        assert annotate.place.isChecked()
        assert self.agree(annotate, viewer)
