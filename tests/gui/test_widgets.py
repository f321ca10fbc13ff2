"""What each widget shows and does, in a viewer without a window."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.provenance import sha256
from napari_landmark.data.study.study import Study
from napari_landmark.gui.dialogs.calibration import Calibration, spacing_from
from napari_landmark.gui.dialogs.edit_landmarks import SchemaDialog
from napari_landmark.gui.dialogs.export import export
from napari_landmark.gui.dialogs.new_study import NewStudyDialog
from napari_landmark.gui.jobs.open_study import open_job
from napari_landmark.gui.layers.layer_manager import get_session
from napari_landmark.gui.layers.open_layers import export_layers, open_images
from napari_landmark.gui.presets import cephalometric
from napari_landmark.gui.widgets.annotate import AnnotateWidget
from napari_landmark.gui.widgets.cohort_table import CohortTable
from napari_landmark.gui.widgets.loss_plot import LossPlot
from napari_landmark.gui.widgets.review import DetectWidget
from napari_landmark.gui.widgets.train import TrainWidget
from napari_landmark.progress import ProgressEvent

from .conftest import NAMES, predict


@pytest.fixture
def session(viewer):
    return get_session(viewer)


@pytest.fixture
def annotate(viewer, qtbot):
    widget = AnnotateWidget(viewer)
    qtbot.addWidget(widget)
    return widget


class TestAnnotate:
    def test_it_says_what_to_click(self, annotate, session):
        assert "thumb_tip" in annotate.task.text()
        assert annotate.definition.text() == "Tip of the thumb."
        session.edits.place_next((5, 5))
        assert "index_tip" in annotate.task.text()
        assert "1 of 4 done" in annotate.task.text()

    def test_the_table_shows_each_state(self, annotate, session):
        session.edits.place_next((5, 5))
        session.edits.mark_missing("index_tip")
        states = [annotate.table.table.item(row, 1).text() for row in range(4)]
        assert states == ["✓ placed", "missing", "to place", "to place"]

    def test_a_row_makes_its_landmark_the_next(self, annotate, session):
        annotate.table._on_clicked(2, 0)
        session.edits.place_next((5, 5))
        assert session.result()["middle_tip"].position == (5, 5)

    def test_it_leads_on_when_all_is_done(self, annotate, session):
        assert annotate.onward.isHidden()
        for row in range(3):
            session.edits.place_next((row + 5, 5))
        session.edits.mark_missing("capitate")
        assert not annotate.onward.isHidden()

    def test_keys(self, annotate, viewer, session):
        keymap = {str(key): action for key, action in viewer.keymap.items()}
        keymap["N"](viewer)
        assert session.landmark == "index_tip"
        keymap["U"](viewer)
        assert session.result()["index_tip"].status is Status.MISSING
        keymap["Ctrl+Z"](viewer)
        assert session.result()["index_tip"].status is Status.UNPLACED
        keymap["."](viewer)
        assert session.image == "hand_001.png"
        keymap[","](viewer)
        assert session.image == "hand_000.png"

    def test_import_adds_what_is_new_and_keeps_the_rest(self, annotate, session, tmp_path):
        session.edits.place("thumb_tip", (5, 5))
        path = tmp_path / "some.csv"
        path.write_text("image,landmark,x,y\nhand_000.png,capitate,9,8\nhand_000.png,new one,3,4\n")
        assert annotate.import_file(path) == 2
        assert session.schema.names == (*NAMES, "new one")
        assert session.result()["capitate"].position == (8, 9)
        assert session.result()["thumb_tip"].position == (5, 5)
        session.edits.undo()
        assert session.result()["capitate"].status is Status.UNPLACED

    def test_import_of_another_image_is_refused(self, annotate, session, tmp_path):
        path = tmp_path / "some.csv"
        path.write_text("image,landmark,x,y\na.png,capitate,9,8\nb.png,capitate,9,8\n")
        with pytest.raises(InputError, match=r"nothing about hand_000.png; it is about a.png, b.png"):
            annotate.import_file(path)


class TestCalibration:
    def test_two_clicks_and_a_length(self, viewer, session, qtbot):
        found = []
        calibration = Calibration(viewer, session, ask=lambda: 25.0, done=found.append)
        layer = viewer.layers.selection.active
        layer.add([10, 10])
        layer.add([40, 50])
        qtbot.waitUntil(lambda: bool(found), timeout=1000)
        assert found == [0.5]
        assert layer not in viewer.layers
        calibration.stop()  # twice does no harm

    def test_giving_up_changes_nothing(self, viewer, session, qtbot):
        found = []
        calibration = Calibration(viewer, session, ask=lambda: None, done=found.append)
        viewer.layers.selection.active.add([[10, 10], [40, 50]])
        qtbot.waitUntil(lambda: bool(found), timeout=1000)
        assert found == [None]
        calibration.stop()

    def test_it_holds_for_the_whole_study(self, annotate, session, qtbot):
        annotate._calibrated(0.25)
        qtbot.waitUntil(lambda: session.job is None, timeout=20_000)
        assert Study.open(session.study.folder).spacing == 0.25
        assert session.geometry("hand_002.png").spacing == (0.25, 0.25)
        assert "0.25 x 0.25 mm (from the calibration)" in annotate.spacing.text()

    def test_points_on_each_other_are_refused(self):
        with pytest.raises(InputError, match="both ends"):
            spacing_from(np.array([3, 3]), np.array([3, 3.2]), 10)


class TestSchemaDialog:
    def test_renaming_ordering_and_adding(self, session, qtbot):
        session.edits.place("capitate", (5, 5))
        dialog = SchemaDialog(session)
        qtbot.addWidget(dialog)
        dialog.table.item(3, 0).setText("wrist")
        dialog.table.setCurrentCell(3, 0)
        dialog._move(-1)
        dialog._append("extra", "#123456", "")
        dialog._on_save()
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


class TestNewStudy:
    @pytest.fixture
    def empty(self):
        viewer = ViewerModel()
        yield viewer
        get_session(viewer).close()

    def create(self, viewer, qtbot, folder, **texts):
        session = get_session(viewer)
        dialog = NewStudyDialog(viewer, session)
        qtbot.addWidget(dialog)
        dialog.folder.edit.setText(str(folder))
        for name, text in texts.items():
            part = getattr(dialog, name)
            part.setCurrentText(text) if name == "landmarks" else part.edit.setText(str(text))
        dialog.folder.edit.setText(str(folder))
        dialog._on_accept()
        qtbot.waitUntil(lambda: session.job is None, timeout=20_000)
        return dialog, session

    def test_from_a_folder_with_a_preset(self, empty, qtbot, hands, tmp_path):
        _, session = self.create(
            empty,
            qtbot,
            tmp_path / "new",
            images=hands[0],
            landmarks="Lateral cephalogram, 19 landmarks (ISBI 2015)",
        )
        assert session.schema == cephalometric()
        assert len(session.names) == 4
        assert session.placing

    def test_from_an_opened_file_of_the_folder(self, empty, qtbot, hands, tmp_path):
        from skimage.io import imread

        file = hands[0] / "hand_002.png"
        empty.add_image(imread(file), metadata={"napari_landmark": {"file": str(file)}})
        empty.add_points([(5, 6), (7, 8)], features={"name": ["one", "two"]})
        dialog, session = self.create(empty, qtbot, tmp_path / "new")
        assert dialog.landmarks.currentText() == "The named points in the viewer"
        assert session.image == "hand_002.png"
        assert session.study.template == "hand_002.png"
        assert session.result()["two"].position == (7, 8)
        assert len(session.names) == 4

    def test_from_layers_that_no_file_holds(self, empty, qtbot, tmp_path):
        rng = np.random.default_rng(0)
        for number in range(2):
            empty.add_image(
                rng.integers(0, 200, (70, 60)).astype(np.uint8),
                name=f"scan {number}",
                scale=(-0.5, 0.25),
                units=("mm", "mm"),
                axis_labels=("y", "x"),
            )
        first = empty.layers[0]
        world = first.data_to_world((30, 20))
        empty.add_points([world], features={"name": ["here"]}, units=("mm", "mm"), axis_labels=("y", "x"))
        pixels = first.data.copy()
        _, session = self.create(empty, qtbot, tmp_path / "new")
        assert session.names == ("scan 0.nrrd", "scan 1.nrrd")
        np.testing.assert_array_equal(session.read_image().array, pixels)
        assert session.result()["here"].position == pytest.approx((30, 20))
        assert session.geometry().spacing == pytest.approx((0.5, 0.25))
        np.testing.assert_allclose(session.geometry().to_world([(30, 20)])[0], world)

    def test_what_is_missing_is_said(self, empty, qtbot, tmp_path):
        dialog, session = self.create(empty, qtbot, tmp_path / "new")
        assert "Choose a folder of images" in dialog.problem.text()
        assert session.study is None

    def test_a_folder_without_images_leaves_no_study(self, empty, qtbot, tmp_path):
        (tmp_path / "nothing").mkdir()
        heard = []
        get_session(empty).message.connect(lambda kind, text: heard.append(text))
        _, session = self.create(empty, qtbot, tmp_path / "new", images=tmp_path / "nothing")
        assert session.study is None
        assert not (tmp_path / "new").exists()
        assert "holds no images" in heard[0]

    def test_positions_outside_the_image_leave_no_study(self, empty, qtbot, hands, tmp_path):
        heard, session = [], get_session(empty)
        session.message.connect(lambda kind, text: heard.append(text))
        schema = LandmarkSchema(("one", "two"))
        marks = LandmarkSet(schema, [Landmark("two", (5, 9000), Status.PLACED)])
        starting = {"hand_000.png": LandmarkSet(schema), "hand_001.png": marks}
        create = {"schema": schema, "images": hands[0]}
        session.run(open_job(session, tmp_path / "new", create=create, starting=starting))
        qtbot.waitUntil(lambda: session.job is None, timeout=20_000)
        assert "hand_001.png: landmark 'two' at (9000, 5) lies outside" in heard[0]
        assert not (tmp_path / "new").exists()


class TestOpenImages:
    def test_colours_become_luminance(self, tmp_path):
        array = np.zeros((20, 16, 3), np.uint8)
        array[..., 1] = 100
        (name,) = export_layers([Image(array, name="a/b", rgb=True)], tmp_path)
        assert name == "a_b.tif"
        from napari_landmark.data.images.image import read_image

        assert read_image(tmp_path / name).array[0, 0] == 59

    def test_another_grid_than_the_files_is_not_taken_for_it(self, hands):
        from skimage.io import imread

        file = hands[0] / "hand_000.png"
        viewer = ViewerModel()
        viewer.add_image(imread(file)[::-1], metadata={"napari_landmark": {"file": str(file)}})
        assert open_images(viewer).folder is None

    def test_a_study_that_is_none_is_told(self, qtbot, tmp_path):
        viewer = ViewerModel()
        session = get_session(viewer)
        heard = []
        session.message.connect(lambda kind, text: heard.append((kind, text)))
        session.run(open_job(session, tmp_path))
        qtbot.waitUntil(lambda: session.job is None, timeout=10_000)
        assert heard[0][0] == "error"
        assert "is not a study" in heard[0][1]

    def test_images_that_are_nowhere_are_told(self, qtbot, tmp_path):
        viewer = ViewerModel()
        session = get_session(viewer)
        heard = []
        session.message.connect(lambda kind, text: heard.append((kind, text)))
        study = Study.create(
            tmp_path / "study", schema=LandmarkSchema(NAMES), images=tmp_path / "a" / "images"
        )
        (tmp_path / "deep").mkdir()
        moved = study.folder.rename(tmp_path / "deep" / "study")
        session.run(open_job(session, moved))
        qtbot.waitUntil(lambda: session.job is None, timeout=10_000)
        (kind, text), *_ = heard
        assert kind == "error"
        places = f"not in {tmp_path / 'deep' / 'a' / 'images'} nor {tmp_path / 'a' / 'images'};"
        assert places in text
        assert "New study…" in text


class TestTrain:
    def test_it_waits_for_a_template(self, viewer, session, qtbot):
        widget = TrainWidget(viewer)
        qtbot.addWidget(widget)
        assert not widget.run.isEnabled()
        session.edits.place_next((5, 5))
        assert widget.run.isEnabled()
        assert "1 landmarks" not in widget.ready.text()

    def test_the_size_is_the_one_the_images_are_drawn_at(self, viewer, session, qtbot, monkeypatch):
        session.open(session.study, Cohort.from_folder(session.study.images, working_size=64))
        widget, started = TrainWidget(viewer), []
        qtbot.addWidget(widget)
        assert widget.size.currentText() == "64 pixels"
        monkeypatch.setattr(widget, "_train", lambda **options: started.append(options))
        widget.size.setCurrentText("128 pixels")
        session.edits.place("thumb_tip", (12, 12))
        assert widget.size.currentText() == "128 pixels"  # a choice waits
        with monkeypatch.context() as patch:  # reading fails
            patch.setattr(Study, "images", Path("nowhere"))
            widget._start(resume=False)
            qtbot.waitUntil(lambda: session.job is None)
        assert max(session.cohort.canvas) == 64
        widget._start(resume=True)
        qtbot.waitUntil(lambda: started == [{"resume": True}])
        assert max(session.cohort.canvas) == 128
        widget._start(resume=False)
        assert started[1:] == [{"resume": False}]

    def test_a_size_that_no_image_has_is_not_kept(self, viewer, session, qtbot, monkeypatch):
        widget, started = TrainWidget(viewer), []
        qtbot.addWidget(widget)
        monkeypatch.setattr(widget, "_train", lambda **options: started.append(options))
        widget.size.setCurrentText("1024 pixels")
        widget._start(resume=False)
        qtbot.waitUntil(lambda: started == [{"resume": False}])
        assert widget.size.currentText() == f"{max(session.cohort.canvas)} pixels" == "128 pixels"

    def test_the_plot_takes_any_progress(self, qtbot):
        plot = LossPlot()
        qtbot.addWidget(plot)
        for step, loss in ((1, None), (2, 3.0), (2, 3.0), (4, float("nan")), (5, 1.0)):
            plot.add(ProgressEvent("learning", 0.1, loss=loss, step=step))
        assert plot.stages == {"learning": [(2, 3.0), (5, 1.0)]}
        plot.resize(200, 120)
        plot.grab()
        plot.clear()
        plot.grab()


class TestReview:
    def test_the_worst_come_first(self, viewer, session, qtbot, truth):
        for number, name in enumerate(session.names):
            predict(session, name, truth[name], error=1.0 + number)
        session.show("hand_003.png")
        session.edits.accept()
        table = CohortTable(session)
        qtbot.addWidget(table)
        assert table.names == ["hand_002.png", "hand_001.png", "hand_000.png", "hand_003.png"]
        assert table.table.item(0, 2).text() == "3.0 px (3.0 px)"
        assert table.table.item(3, 1).text() == "✓ annotated"

    def test_rows_stay_while_they_are_worked_on(self, viewer, session, qtbot, truth):
        for number, name in enumerate(session.names):
            predict(session, name, truth[name], error=1.0 + number)
        table = CohortTable(session)
        qtbot.addWidget(table)
        before = table.names
        table._on_clicked(0, 0)
        session.edits.place("thumb_tip", (5, 5))
        assert table.names == before
        assert table.table.item(0, 1).text() == "✓ corrected"

    def test_a_model_that_was_stopped_is_marked_and_not_chosen(self, viewer, session, qtbot):
        widget = DetectWidget(viewer)
        qtbot.addWidget(widget)
        for name, complete in (("001", False), ("002", True), ("003", False)):
            folder = session.study.models_dir / name
            folder.mkdir()
            (folder / "model.json").write_text(json.dumps({"training": {"complete": complete}}))
            widget.refresh()
            chosen = widget.models.currentData()
            assert chosen == ("001" if name == "001" else "002")
        labels = [widget.models.itemText(row) for row in range(3)]
        assert labels == ["003 (stopped early)", "002", "001 (stopped early)"]
        train = TrainWidget(viewer)
        qtbot.addWidget(train)
        assert train.models.text().count("stopped early") == 2

    def test_buttons_follow_the_state(self, viewer, session, qtbot, truth):
        widget = DetectWidget(viewer)
        qtbot.addWidget(widget)
        assert not widget.detect_all.isEnabled()
        assert not widget.hint.isHidden()
        predict(session, session.image, truth[session.image])
        assert widget.accept.isEnabled()
        session.edits.place("thumb_tip", (5, 5))
        session.choose("thumb_tip")
        assert widget.back.isEnabled()
        widget.back.click()
        assert session.result()["thumb_tip"].status is Status.PREDICTED
        widget.accept.click()
        assert not widget.accept.isEnabled()


class TestExport:
    @pytest.mark.parametrize("suffix", [".csv", ".tps", ".json"])
    def test_all_images_that_have_landmarks(self, session, truth, tmp_path, suffix):
        for name in session.names[:2]:
            predict(session, name, truth[name])
        assert export(session, tmp_path / f"out{suffix}", suffix=suffix, whole=True) == 2
        geometries = {name: session.geometry(name) for name in session.names}
        found = read_landmarks(tmp_path / f"out{suffix}", geometries=geometries)
        assert set(found) == set(session.names[:2])
        np.testing.assert_allclose(
            found["hand_001.png"].positions(),  # TPS has the order only, no names
            truth["hand_001.png"],
            atol=1e-3,
        )
        record = json.loads((tmp_path / f"out{suffix}.run.json").read_text())
        assert record["command"] == "export"
        assert record["landmarks"] == {"predicted": 2 * len(session.schema)}
        assert record["sha256"] == sha256(tmp_path / f"out{suffix}")
        assert str(tmp_path) not in json.dumps(record)

    def test_formats_of_one_image_make_a_folder(self, session, truth, tmp_path, qtbot):
        session.study.update(spacing=0.5)
        from napari_landmark.gui.jobs.open_study import regather_job

        session.run(regather_job(session))
        qtbot.waitUntil(lambda: session.job is None, timeout=20_000)
        for name in session.names[:2]:
            predict(session, name, truth[name])
        assert export(session, tmp_path / "out", suffix=".mrk.json", whole=True) == 2
        written = list((tmp_path / "out").glob("*.mrk.json"))
        assert len(written) == 2
        record = json.loads((tmp_path / "out" / "all.mrk.json.run.json").read_text())
        assert record["sha256"] == {path.name: sha256(path) for path in written}

    def test_nothing_to_export_is_said(self, session, tmp_path):
        with pytest.raises(InputError, match="nothing to export"):
            export(session, tmp_path / "out.csv", suffix=".csv", whole=True)
