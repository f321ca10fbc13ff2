"""Mistakes in the input of `train`: one clear line, status 2, and nothing half-written."""

from __future__ import annotations

import os

import pytest

from napari_landmark.cli.app import main
from napari_landmark.data.study.study import Study

from ..data.images.dicom_files import VOLUME, save_series
from .tables import rows

pytestmark = pytest.mark.usefixtures("quick")


class TestTrainRefuses:
    @pytest.fixture
    def untouched(self, tmp_path):
        """Nothing may be left of a study."""
        yield
        assert not (tmp_path / "study").exists()

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            (
                ["hand_000.png,wrist,500,20"],
                "hand_000.png: landmark 'wrist' at (500, 20) lies outside the image",
            ),
            (["hand_000.png,wrist,20,-5"], "landmark 'wrist' at (20, -5) lies outside"),
            (
                ["hand_000.png,a,20,20", "hand_000.png,a,21,20"],
                "line 3: landmark 'a' of image 'hand_000.png' is there",
            ),
            (["hand_000.png,a,nan,20"], "line 2: x is 'nan': expected a number"),
            (["hand_000.png,a,inf,20"], "line 2: x is 'inf': expected a number"),
            (["hand_000.png,a,left,20"], "line 2: x is 'left': expected a number"),
            (["hand_000.png,a,20,"], "line 2: landmark 'a' has x and no y"),
            (["hand_000.png,a,,"], "no landmark of hand_000.png has a position"),
            (["other.png,a,20,20"], "has no rows for the template hand_000.png (it has other.png)"),
            ([], "has column titles and no landmarks"),
        ],
    )
    @pytest.mark.usefixtures("untouched")
    def test_landmarks(self, refused, train_options, data, lines, message):
        rows(data / "template.csv", *lines)
        line = refused("train", *train_options())
        assert message in line
        assert "hand_000.png" in line or "template.csv" in line

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "template.csv: is empty"),
            ("image,landmark,x\nhand_000.png,a,2\n", "no column 'y'"),
            ("image,landmark,x,y,z\nhand_000.png,a,20,20,3\n", "has 3 coordinates and the image 2 axes"),
            ("\0\0\0", "template.csv"),
        ],
    )
    @pytest.mark.usefixtures("untouched")
    def test_a_table_that_is_none(self, refused, train_options, data, content, message):
        (data / "template.csv").write_text(content)
        assert message in refused("train", *train_options())

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"template": "nothing.png"},
                "nothing.png: there is no such file or DICOM series; --template names",
            ),
            ({"landmarks": "nothing.csv"}, "nothing.csv: there is no such file"),
            ({"landmarks": "table.xlsx"}, "table.xlsx: not a known landmark format"),
            ({"images": "nothing"}, "nothing: there is no such folder; --images"),
            ({"images": None}, "give --images DIR, --template FILE and --landmarks CSV"),
            ({"template": None, "landmarks": None}, "give --images DIR, --template FILE and --landmarks CSV"),
            ({"template": None}, "--landmarks needs --template FILE"),
            ({"landmarks": None}, "--template needs --landmarks CSV"),
            ({"minutes": 0}, "minutes 0.0: must be a number above 0; change --minutes"),
            ({"minutes": -3}, "minutes -3.0: must be a number above 0; change --minutes"),
            ({"minutes": "nan"}, "minutes nan: must be a number above 0; change --minutes"),
            ({"minutes": "many"}, "--minutes"),
            ({"device": "tpu"}, "device 'tpu' is unknown: choose auto, cpu, cuda or mps"),
            ({"device": "cpu:x"}, "device 'cpu:x' is unknown"),
            ({"spacing": "nan"}, "--spacing"),
            ({"spacing": -0.1}, "--spacing"),
            ({"spacing": 0}, "--spacing"),
            ({"seed": "x"}, "--seed"),
            ({"out": None}, "--out"),
        ],
    )
    @pytest.mark.usefixtures("untouched")
    def test_options(self, refused, train_options, changes, message):
        assert message in refused("train", *train_options(**changes))

    @pytest.mark.usefixtures("untouched")
    def test_an_empty_folder(self, refused, train_options, tmp_path, data):
        (tmp_path / "empty").mkdir()
        # The template from elsewhere alone would be a cohort of one image.
        options = train_options(images=tmp_path / "empty", template=tmp_path / "empty" / "x.png")
        assert "x.png: there is no such file" in refused("train", *options)

    @pytest.mark.usefixtures("untouched")
    def test_a_template_that_cannot_be_read(self, refused, train_options, data):
        (data / "images" / "hand_000.png").write_bytes(b"\x89PNG nonsense")
        line = refused("train", *train_options())
        assert "hand_000.png" in line

    @pytest.mark.usefixtures("untouched")
    def test_nothing_to_resume(self, refused, train_options):
        assert "has no interrupted training to resume" in refused("train", *train_options(), "--resume")

    def test_a_finished_training_cannot_be_resumed(self, refused, study):
        line = refused("train", "--out", study.folder, "--resume", "--device", "cpu")
        assert "has no interrupted training to resume; leave out --resume" in line

    def test_a_study_that_is_a_file(self, refused, train_options, tmp_path):
        (tmp_path / "x").write_text("")
        assert "x: is a file" in refused("train", *train_options(out=tmp_path / "x"))
        assert "is a file" in refused("train", *train_options(out=tmp_path / "x" / "y"))

    def test_a_study_that_may_not_be_written(self, refused, train_options, tmp_path, monkeypatch):
        honest = os.access
        monkeypatch.setattr(os, "access", lambda path, mode, **o: mode != os.W_OK and honest(path, mode, **o))
        assert "choose a folder you may write to" in refused("train", *train_options())
        assert not (tmp_path / "study").exists()

    def test_a_full_disk(self, refused, train_options, monkeypatch):
        def full(self, *arguments, **options):
            raise OSError(28, "No space left on device", "/some/where")

        monkeypatch.setattr(Study, "log", full)
        assert "/some/where: No space left on device" in refused("train", *train_options())

    def test_an_unknown_landmark(self, refused, study, data):
        rows(data / "more.csv", "hand_001.png,elbow,20,20")
        line = refused(
            "train",
            "--out",
            study.folder,
            "--template",
            data / "images" / "hand_001.png",
            "--landmarks",
            data / "more.csv",
        )
        assert "more.csv, line 2: unknown landmark 'elbow': the landmarks are" in line
        assert set(study.annotations()) == {"hand_000.png"}

    def test_a_mistake_can_be_put_right(self, refused, train_options, data):
        good = (data / "template.csv").read_text()
        rows(data / "template.csv", "hand_000.png,wrong name,500,500")
        refused("train", *train_options())
        (data / "template.csv").write_text(good)
        assert main(["train", *train_options()]) == 0


def test_a_folder_of_dicom_slices_is_a_template(train_options, data, refused):
    """It is read as one image, so that the refusal is about the table."""
    save_series(data / "ct", VOLUME)
    message = refused("train", *train_options(template=data / "ct"))
    assert "has no rows for the template ct" in message
