"""A study from a folder, from open files and from layers."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.gui.dialogs import path_edit
from napari_landmark.gui.dialogs.new_study import NewStudyDialog
from napari_landmark.gui.jobs.open_study import open_job
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.measurement.presets.preset import preset


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
        assert session.schema == preset("cephalometric").landmarks
        assert session.require_study().measurements == preset("cephalometric").measurements
        assert len(session.names) == 4
        assert session.placing

    def test_it_says_what_the_folder_holds(self, empty, qtbot, hands, tmp_path):
        dialog = NewStudyDialog(empty, get_session(empty))
        qtbot.addWidget(dialog)
        dialog.images.edit.setText(str(hands[0] / "nowhere"))
        qtbot.waitUntil(lambda: dialog.found.text() == "There is no such folder.", timeout=5000)
        dialog.images.edit.setText(str(hands[0]))
        assert dialog.found.text() == ""
        qtbot.waitUntil(lambda: dialog.found.text().startswith("4 images, "), timeout=10_000)
        assert "no pixel size" in dialog.found.text()
        dialog.images.edit.setText("")
        qtbot.waitUntil(lambda: dialog.found.text() == "", timeout=5000)

    def test_files_of_landmarks_are_offered_alone(self, empty, qtbot, monkeypatch):
        asked = []
        monkeypatch.setattr(
            path_edit.QFileDialog, "getOpenFileName", lambda *given: (asked.append(given[-1]), ("", ""))[1]
        )
        dialog = NewStudyDialog(empty, get_session(empty))
        qtbot.addWidget(dialog)
        dialog.landmarks.setCurrentText("From a landmark file…")
        for suffix in ("*.csv", "*.tps", "*.mrk.json"):
            assert suffix in asked[0].split(";;")[0]

    def test_from_an_opened_file_of_the_folder(self, empty, qtbot, hands, tmp_path):
        from skimage.io import imread

        file = hands[0] / "hand_002.png"
        empty.add_image(imread(file), metadata={"napari_landmark": {"file": str(file)}})
        empty.add_points([(5, 6), (7, 8)], features={"name": ["one", "two"]})
        dialog, session = self.create(empty, qtbot, tmp_path / "new")
        assert dialog.landmarks.currentText() == "The named points in the viewer"
        assert session.current_image == "hand_002.png"
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

    def test_a_tps_file_is_read_against_the_folder_of_images(self, empty, qtbot, hands, tmp_path, truth):
        """Its y is counted from the bottom, so the heights of the images are needed; all of them are taken."""
        from PIL import Image

        lines = []
        for name, rows in truth.items():
            with Image.open(hands[0] / name) as picture:
                height = picture.height
            lines += [f"LM={len(rows)}", *(f"{x} {height - 1 - y}" for y, x in rows), f"IMAGE={name}"]
        file = tmp_path / "elsewhere" / "wings.tps"
        file.parent.mkdir()
        file.write_text("\n".join(lines) + "\n")
        dialog = NewStudyDialog(empty, get_session(empty))
        qtbot.addWidget(dialog)
        dialog.images.edit.setText(str(hands[0]))
        dialog.file.edit.setText(str(file))
        dialog.landmarks.setCurrentText("From a landmark file…")
        dialog.folder.edit.setText(str(tmp_path / "new"))
        dialog._on_accept()
        assert dialog.problem.text() == ""
        session = get_session(empty)
        qtbot.waitUntil(lambda: session.job is None, timeout=20_000)
        for name, rows in truth.items():
            np.testing.assert_allclose(session.annotation(name).positions(), rows, atol=1e-3)

    def test_images_of_a_landmark_file_are_found_by_the_names_of_other_programs(
        self, empty, qtbot, hands, tmp_path
    ):
        file = tmp_path / "some.csv"
        rows = ["C:\\pictures\\hand_001.png,tip,9,8", "HAND_002,tip,19,18", "other.png,tip,1,1"]
        file.write_text("\n".join(["image,landmark,x,y", *rows]) + "\n")
        heard = []
        get_session(empty).message.connect(lambda kind, text: heard.append((kind, text)))
        _, session = self.create(
            empty,
            qtbot,
            tmp_path / "new",
            images=hands[0],
            file=file,
            landmarks="From a landmark file…",
        )
        assert session.annotation("hand_001.png")["tip"].position == (8, 9)
        assert session.annotation("hand_002.png")["tip"].position == (18, 19)
        assert ("warning", "1 of the images in the landmark file is not in the folder: other.png") in heard

    def test_one_image_by_two_names_is_refused(self, empty, qtbot, hands, tmp_path):
        file = tmp_path / "some.csv"
        file.write_text("image,landmark,x,y\nhand_001.png,tip,9,8\nHAND_001,tip,19,18\n")
        heard = []
        get_session(empty).message.connect(lambda kind, text: heard.append(text))
        options = {"images": hands[0], "file": file, "landmarks": "From a landmark file…"}
        self.create(empty, qtbot, tmp_path / "new", **options)
        assert "has hand_001.png twice, by two names" in heard[0]
        assert not Study.exists(tmp_path / "new")

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
        session.run(open_job(session, tmp_path / "new", create=create, annotations=starting))
        qtbot.waitUntil(lambda: session.job is None, timeout=20_000)
        assert "hand_001.png: landmark 'two' at (9000, 5) lies outside" in heard[0]
        assert not (tmp_path / "new").exists()
