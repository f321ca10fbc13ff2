"""Texts, table and buttons of the Annotate widget; importing and calibrating."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog, QInputDialog, QMessageBox

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import write_landmarks
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.gui.jobs.open_study import reread_job
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.widgets.annotate import AnnotateWidget
from napari_landmark.gui.widgets.study_bar import StudyBar

from ..conftest import NAMES, on_disk, predict


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


class TestAnnotate:
    def test_it_says_what_to_click(self, annotate, session):
        assert "thumb_tip" in annotate.task.text()
        assert annotate.definition.text() == "Tip of the thumb."
        AnnotationEditor(session).place_next((5, 5))
        assert "index_tip" in annotate.task.text()
        assert "1 of 4 done" in annotate.task.text()

    def test_the_table_shows_each_state(self, annotate, session):
        AnnotationEditor(session).place_next((5, 5))
        AnnotationEditor(session).mark_missing("index_tip")
        model = annotate.table.view.model()
        states = [model.index(row, 1).data() for row in range(4)]
        assert states == ["✓ placed", "missing", "to place", "to place"]

    def test_a_row_makes_its_landmark_the_next(self, annotate, session):
        view = annotate.table.view
        view.clicked.emit(view.model().index(2, 0))
        AnnotationEditor(session).place_next((5, 5))
        assert session.result()["middle_tip"].position == (5, 5)

    def test_it_leads_on_when_all_is_done(self, annotate, session):
        assert annotate.onward.isHidden()
        for row in range(3):
            AnnotationEditor(session).place_next((row + 5, 5))
        AnnotationEditor(session).mark_missing("capitate")
        assert not annotate.onward.isHidden()

    def test_keys(self, annotate, viewer, session):
        keymap = {str(key): action for key, action in viewer.keymap.items()}
        keymap["N"](viewer)
        assert session.current_landmark == "index_tip"
        keymap["U"](viewer)
        assert session.result()["index_tip"].status is Status.MISSING
        keymap["Ctrl+Z"](viewer)
        assert session.result()["index_tip"].status is Status.UNPLACED
        keymap["."](viewer)
        assert session.current_image == "hand_001.png"
        keymap[","](viewer)
        assert session.current_image == "hand_000.png"

    def test_import_adds_what_is_new_and_keeps_the_rest(self, annotate, session, tmp_path):
        AnnotationEditor(session).place("thumb_tip", (5, 5))
        path = tmp_path / "some.csv"
        path.write_text("image,landmark,x,y\nhand_000.png,capitate,9,8\nhand_000.png,new one,3,4\n")
        assert annotate.import_file(path) == 2
        assert session.schema.names == (*NAMES, "new one")
        assert session.result()["capitate"].position == (8, 9)
        assert session.result()["thumb_tip"].position == (5, 5)
        AnnotationEditor(session).undo()
        assert session.result()["capitate"].status is Status.UNPLACED

    def test_import_of_another_image_is_refused(self, annotate, session, tmp_path):
        path = tmp_path / "some.csv"
        path.write_text("image,landmark,x,y\na.png,capitate,9,8\nb.png,capitate,9,8\n")
        with pytest.raises(InputError, match=r"no landmarks of hand_000.png; it has those of a.png, b.png"):
            annotate.import_file(path)

    def test_import_of_another_image_of_the_study_is_no_import_of_this_one(self, annotate, session, tmp_path):
        path = tmp_path / "some.csv"
        path.write_text("image,landmark,x,y\nhand_002.png,capitate,9,8\n")
        with pytest.raises(InputError, match=r"no landmarks of hand_000.png; it has those of hand_002.png"):
            annotate.import_file(path)
        assert session.annotation().ndim is None

    @pytest.mark.parametrize("name", ["hand_002.mrk.json", "F.mrk.json"])
    def test_import_of_a_file_in_millimetres(self, annotate, session, tmp_path, qtbot, name):
        """It belongs to the image that it is called after, and to the one that is shown if it is called after none."""
        session.require_study().update(spacing=0.5)
        session.run(reread_job(session))
        qtbot.waitUntil(lambda: session.job is None, timeout=20_000)
        geometry, schema = session.geometry("hand_002.png"), LandmarkSchema(("capitate",))
        marks = LandmarkSet.from_array(schema, [[9.0, 8.0]], Status.PLACED)
        path = tmp_path / "hand_002.mrk.json"
        write_landmarks(path, {"hand_002.png": marks}, geometries={"hand_002.png": geometry})
        if name != path.name:
            text = path.read_text().replace("hand_002", "F")
            path = tmp_path / name
            path.write_text(text)
            assert annotate.import_file(path) == 1
            assert session.annotation("hand_000.png")["capitate"].position == pytest.approx((9, 8))
        else:
            with pytest.raises(
                InputError, match=r"no landmarks of hand_000.png; it has those of hand_002.png"
            ):
                annotate.import_file(path)
            assert annotate.import_file(path, choose=lambda found: found) == 1
            qtbot.waitUntil(lambda: session.job is None, timeout=5000)
            assert session.annotation("hand_000.png").ndim is None
            assert session.annotation("hand_002.png")["capitate"].position == pytest.approx((9, 8))


class TestImportOfManyImages:
    """A file with landmarks of several images of the study."""

    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "some.csv"
        rows = ["hand_000.png,capitate,9,8", "hand_002.png,capitate,19,18", "hand_002.png,new one,3,4"]
        path.write_text("\n".join(["image,landmark,x,y", *rows, "other.png,capitate,1,1"]) + "\n")
        return path

    @pytest.fixture
    def answer(self, monkeypatch):
        """Answers the question by the button with that text; the question itself is kept."""
        asked = []

        def choose(text):
            def exec_(box):
                asked.append((box.text(), [button.text().replace("&", "") for button in box.buttons()]))
                button = next(b for b in box.buttons() if b.text().replace("&", "") == text)
                button.click()

            monkeypatch.setattr(QMessageBox, "exec", exec_)
            return asked

        return choose

    def load(self, annotate, path, monkeypatch, qtbot):
        monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
        annotate.load.click()
        qtbot.waitUntil(lambda: annotate.session.job is None, timeout=5000)

    def test_all_are_imported_and_undone_as_one(self, annotate, session, path, answer, monkeypatch, qtbot):
        session.show("hand_002.png")
        AnnotationEditor(session).place("capitate", (5, 5))
        AnnotationEditor(session).place("thumb_tip", (6, 6))
        asked = answer("All 2 images")
        self.load(annotate, path, monkeypatch, qtbot)
        ((text, buttons),) = asked
        assert text.startswith("This file has landmarks of 2 images of the study. In 1 of them it replaces")
        assert set(buttons) == {"All 2 images", "This image only", "Cancel"}
        assert session.schema.names == (*NAMES, "new one")
        assert on_disk(session, "hand_000.png")["capitate"].position == (8, 9)
        assert on_disk(session, "hand_002.png")["capitate"].position == (18, 19)
        assert on_disk(session, "hand_002.png")["new one"].position == (4, 3)
        assert session.result("hand_002.png")["thumb_tip"].position == (6, 6)
        assert session.result("hand_001.png").ndim is None
        AnnotationEditor(session).undo()
        assert on_disk(session, "hand_000.png").ndim is None
        assert on_disk(session, "hand_002.png")["capitate"].position == (5, 5)

    def test_the_current_image_alone(self, annotate, session, path, answer, monkeypatch, qtbot):
        answer("This image only")
        self.load(annotate, path, monkeypatch, qtbot)
        assert on_disk(session, "hand_000.png")["capitate"].position == (8, 9)
        assert session.result("hand_002.png").ndim is None
        assert session.study.template == "hand_000.png"

    def test_the_first_becomes_the_template_where_there_is_none(
        self, annotate, session, path, answer, monkeypatch, qtbot
    ):
        session.show("hand_001.png")
        asked = answer("All 2 images")
        self.load(annotate, path, monkeypatch, qtbot)
        assert "and none of hand_001.png, which is shown" in asked[0][0]
        assert "This image only" not in asked[0][1]
        assert Study.open(session.study.folder).template == "hand_000.png"

    def test_giving_up_changes_nothing(self, annotate, session, path, answer, monkeypatch, qtbot):
        answer("Cancel")
        self.load(annotate, path, monkeypatch, qtbot)
        assert session.schema.names == NAMES
        assert not session.require_store().any_annotation

    def test_one_position_outside_its_image_and_nothing_is_imported(
        self, annotate, session, path, answer, monkeypatch, qtbot
    ):
        path.write_text(path.read_text() + "hand_003.png,capitate,9000,1\n")
        messages = []
        session.message.connect(lambda kind, text: messages.append(text))
        answer("All 3 images")
        self.load(annotate, path, monkeypatch, qtbot)
        assert "hand_003.png" in messages[0]
        assert session.schema.names == NAMES
        assert not session.require_store().any_annotation


def test_a_calibration_holds_for_the_whole_study(annotate, session, qtbot, monkeypatch):
    monkeypatch.setattr(QInputDialog, "getDouble", lambda *_: (12.5, True))
    annotate.calibrate.click()
    annotate.viewer.layers.selection.active.add([[10, 10], [40, 50]])
    qtbot.waitUntil(lambda: session.study.spacing is not None, timeout=5000)
    qtbot.waitUntil(lambda: session.job is None, timeout=20_000)
    assert Study.open(session.study.folder).spacing == 0.25
    assert session.geometry("hand_002.png").spacing == (0.25, 0.25)
    assert "0.25 x 0.25 mm (from the calibration)" in annotate.spacing.text()


@pytest.mark.parametrize("answer", ["Yes", "No"])
def test_a_calibration_asks_before_it_replaces_the_pixel_sizes_of_files(
    preferences, tmp_path, qtbot, monkeypatch, answer
):
    for number in range(2):
        image = sitk.GetImageFromArray(
            np.random.default_rng(number).integers(0, 200, (70, 60)).astype(np.uint8)
        )
        image.SetSpacing((0.2, 0.2 + 0.02 * number))
        sitk.WriteImage(image, str(tmp_path / f"{number}.nrrd"))
    viewer = ViewerModel()
    session = get_session(viewer)
    study = Study.create(tmp_path / "study", schema=LandmarkSchema(NAMES), images=tmp_path)
    session.open(study, Cohort.from_folder(tmp_path, working_size=64, cache_dir=preferences.cache))
    widget = AnnotateWidget(viewer)
    qtbot.addWidget(widget)
    asked = []

    def question(parent, title, text):
        asked.append(text)
        return getattr(QMessageBox.StandardButton, answer)

    monkeypatch.setattr(QMessageBox, "question", question)
    monkeypatch.setattr(QInputDialog, "getDouble", lambda *_: (5.0, True))
    widget.calibrate.click()
    viewer.layers.selection.active.add([[10, 10], [40, 50]])
    qtbot.waitUntil(lambda: widget._calibration is None, timeout=5000)
    qtbot.waitUntil(lambda: session.job is None, timeout=20_000)
    assert asked[0].startswith("2 of 2 images have a pixel size in their files.")
    kept = session.geometry("1.nrrd").spacing
    assert kept == pytest.approx((0.1, 0.1) if answer == "Yes" else (0.22, 0.2))
    assert widget.uncalibrate.isHidden() == (answer == "No")
    if answer == "Yes":
        widget.uncalibrate.click()
        qtbot.waitUntil(lambda: session.job is None, timeout=20_000)
        assert session.geometry("1.nrrd").spacing == pytest.approx((0.22, 0.2))
        assert Study.open(study.folder).spacing is None
        assert widget.uncalibrate.isHidden()
    session.close()


def test_a_pixel_size_is_typed_and_undo_goes_on(viewer, session, qtbot, monkeypatch):
    widget = AnnotateWidget(viewer)
    qtbot.addWidget(widget)
    AnnotationEditor(session).place("thumb_tip", (5, 5))
    monkeypatch.setattr(QInputDialog, "getDouble", lambda *_: (0.2, True))
    widget.type_size.click()
    qtbot.waitUntil(lambda: session.job is None and session.geometry().has_spacing, timeout=20_000)
    assert session.geometry().spacing == (0.2, 0.2)
    assert "0.2 x 0.2 mm" in widget.spacing.text()
    AnnotationEditor(session).undo()
    assert session.result()["thumb_tip"].position is None


def test_a_calibration_says_what_to_do_until_it_is_cancelled(viewer, session, qtbot):
    widget = AnnotateWidget(viewer)
    qtbot.addWidget(widget)
    layers = len(viewer.layers)
    widget.calibrate.click()
    assert "both ends of a known length" in widget.task.text()
    assert widget.calibrate.isHidden()
    widget.cancel_calibration.click()
    assert "Click on" in widget.task.text()
    assert not widget.calibrate.isHidden()
    assert len(viewer.layers) == layers
    widget.calibrate.click()
    layer = viewer.layers.selection.active
    next(action for key, action in layer.keymap.items() if str(key) == "Escape")(layer)
    assert widget.cancel_calibration.isHidden()
    assert session.geometry().spacing is None


def test_a_double_click_renames_a_landmark_in_all_images(viewer, session, qtbot, monkeypatch):
    widget = AnnotateWidget(viewer)
    qtbot.addWidget(widget)
    AnnotationEditor(session).place("index_tip", (5, 6))
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: (" tip of the index finger ", True))
    widget.table.view.doubleClicked.emit(widget.table.model.index(1, 0))
    qtbot.waitUntil(lambda: session.job is None, timeout=20_000)
    assert session.schema.names == ("thumb_tip", "tip of the index finger", "middle_tip", "capitate")
    assert session.result()["tip of the index finger"].position == (5, 6)


def test_a_study_that_is_open_elsewhere_says_so_until_it_is_free(viewer, session, study, cohort, qtbot):
    other = ViewerModel()
    second = get_session(other)
    second.open(Study.open(study.folder), cohort)
    bar = StudyBar(other, second)
    qtbot.addWidget(bar)
    assert "Read only: is being annotated" in bar.read_only.text()
    assert not bar.read_only.isHidden()
    session.close()
    second.attempt(lambda: AnnotationEditor(second).place("thumb_tip", (5, 5)))  # the study is read again
    assert bar.read_only.isHidden()
    second.close()


def test_predicted_landmarks_are_not_called_annotated(annotate, session, truth):
    predict(session, session.current_image, truth[session.current_image])
    assert "thumb_tip</b> is predicted" in annotate.task.text()
    assert "0 of 4 done" in annotate.task.text()
    editor = AnnotationEditor(session)
    for name, position in zip(NAMES, truth[session.current_image], strict=True):
        editor.place(name, tuple(position))
    assert "All landmarks are annotated" in annotate.task.text()
    assert "4 of 4 done" in annotate.task.text()
