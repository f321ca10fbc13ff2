"""`train`: what goes into the study, and going on with a study that is there."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import typer

from napari_landmark.cli.app import main
from napari_landmark.data.formats.registry import read_landmarks, write_landmarks
from napari_landmark.data.landmarks import Landmark, LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.synthetic import SCHEMA

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def train(tmp_path, data):
    """Runs the command on the small cohort; keyword arguments replace or, as None, take out options."""

    def run(*flags, **options):
        options = {
            "images": data / "images",
            "template": data / "images" / "hand_000.png",
            "landmarks": data / "template.csv",
            "out": tmp_path / "study",
            "device": "cpu",
            **options,
        }
        given = [
            part for key, value in options.items() if value is not None for part in (f"--{key}", str(value))
        ]
        return main(["train", *given, *flags])

    return run


def _stop(*arguments, **options):
    raise typer.Exit(130)


def again(tmp_path, *options):
    return main(["train", "--out", str(tmp_path / "study"), "--device", "cpu", *options])


class TestNewStudy:
    def test_holds_everything_that_was_given(self, train, tmp_path, data, phantoms, capsys):
        assert train(spacing=0.5) == 0
        study = Study.open(tmp_path / "study")
        assert study.template == "hand_000.png"
        assert study.images.resolve() == (data / "images").resolve()
        assert study.spacing == 0.5
        assert study.schema.names == SCHEMA.names
        truth = phantoms[0].landmarks.positions()
        np.testing.assert_allclose(study.load_annotations("hand_000.png").positions(), truth, atol=1e-3)
        assert len(study.predictions()) == 4
        out = capsys.readouterr().out
        assert "4 images at 64 x 64 pixels, 23 landmarks" in out
        assert str(study.report_page("001")) in out

    def test_a_template_from_elsewhere_stays_known(self, train, tmp_path, data, capsys):
        (data / "elsewhere").mkdir()
        outside = data / "elsewhere" / "hand_000.png"
        shutil.move(data / "images" / "hand_000.png", outside)
        assert train(template=outside) == 0
        study = Study.open(tmp_path / "study")
        assert [path.resolve() for path in study.extra] == [outside.resolve()]
        assert set(study.predictions()) == {f"hand_00{k}.png" for k in range(4)}
        assert again(tmp_path) == 0  # and without being told of it

    def test_a_template_of_the_same_name_as_an_image(self, train, tmp_path, data, phantoms):
        (data / "elsewhere").mkdir()
        outside = data / "elsewhere" / "hand_000.png"
        shutil.copy(data / "images" / "hand_000.png", outside)
        assert train(template=outside) == 0
        study = Study.open(tmp_path / "study")
        assert study.template == "elsewhere/hand_000.png"
        assert study.load_annotations(study.template).ndim == 2
        assert len(study.predictions()) == 5

    def test_predictions_handed_over_as_landmarks_count_as_placed(self, train, tmp_path, data, phantoms):
        marks = phantoms[0].landmarks
        predicted = LandmarkSet.from_array(
            marks.schema, marks.positions(), Status.PREDICTED, confidence=np.full(23, 0.5)
        )
        write_landmarks(data / "template.csv", {"hand_000.png": predicted})
        assert train() == 0
        known = Study.open(tmp_path / "study").load_annotations("hand_000.png")
        assert {mark.status for mark in known.values()} == {Status.PLACED}

    def test_several_templates(self, train, tmp_path, data):
        assert train("--template", str(data / "images" / "hand_002.png"), landmarks=data / "truth.csv") == 0
        assert set(Study.open(tmp_path / "study").annotations()) == {"hand_000.png", "hand_002.png"}

    @pytest.mark.parametrize(
        ("names", "taken"),
        [
            (("left/hand_000.png", "images/hand_000.png"), 1),
            (("images/hand_000.png", "left/hand_000.png"), 0),
            (("x/images/hand_000.png", "data/images/hand_000.png", "hand_000.png"), 1),
            (("left/hand_000.png", "hand_000.png"), 1),
            (("C:\\left\\hand_000.png", "D:\\images\\hand_000.png"), 1),
            (("C:\\elsewhere\\hand_000.png",), 0),
        ],
    )
    def test_rows_of_several_folders(self, train, tmp_path, data, phantoms, names, taken, monkeypatch):
        table = {name: phantoms[(k - taken) % 4].landmarks for k, name in enumerate(names)}
        write_landmarks(data / "template.csv", table)
        monkeypatch.setattr("napari_landmark.detection.training.train.train", _stop)
        assert train() == 130
        known = Study.open(tmp_path / "study").load_annotations("hand_000.png")
        np.testing.assert_allclose(known.positions(), phantoms[0].landmarks.positions(), atol=1e-3)

    def test_rows_that_may_both_be_meant(self, train, data, phantoms, capsys):
        marks = phantoms[0].landmarks
        write_landmarks(data / "template.csv", {"left/hand_000.png": marks, "right/hand_000.png": marks})
        assert train() == 2
        message = capsys.readouterr().err
        assert "hand_000.png may be left/hand_000.png or right/hand_000.png; name it there" in message

    def test_a_landmark_the_template_lacks(self, train, tmp_path, data, phantoms):
        marks = phantoms[0].landmarks.with_landmark(Landmark("index_tip", None, Status.MISSING))
        write_landmarks(data / "template.csv", {"hand_000.png": marks})
        assert train() == 0
        predicted = Study.open(tmp_path / "study").load_predictions("hand_001.png")
        assert predicted["index_tip"].position is None
        assert sum(mark.position is not None for mark in predicted.values()) == 22

    def test_one_image_is_warned_about(self, train, data, capsys):
        for number in (1, 2, 3):
            (data / "images" / f"hand_00{number}.png").unlink()
        assert train() == 0
        assert "warning: the cohort is a single image" in capsys.readouterr().err


class TestKnownStudy:
    def test_trains_again_without_being_told_anything(self, train, tmp_path):
        train()
        assert again(tmp_path) == 0
        assert len(list((tmp_path / "study" / "models").iterdir())) == 2

    def test_the_same_command_twice(self, train, tmp_path, data, phantoms):
        marks = phantoms[0].landmarks  # more digits than are kept
        lines = ["image,landmark,x,y"]
        lines += [
            f"hand_000.png,{name},{x!r},{y!r}"
            for name, (y, x) in zip(marks, marks.positions().tolist(), strict=True)
        ]
        (data / "template.csv").write_text("\n".join(lines))
        assert train() == 0
        before = (tmp_path / "study" / "annotations" / "hand_000.png.csv").read_bytes()
        assert train() == 0
        assert (tmp_path / "study" / "annotations" / "hand_000.png.csv").read_bytes() == before

    def test_other_positions_of_the_template_are_refused(self, train, tmp_path, data, phantoms, capsys):
        assert train() == 0
        moved = phantoms[0].landmarks.with_landmark(Landmark("index_tip", (30.0, 30.0), Status.PLACED))
        write_landmarks(data / "template.csv", {"hand_000.png": moved})
        before = Study.open(tmp_path / "study").load_annotations("hand_000.png")
        assert train() == 2
        err = capsys.readouterr().err
        assert "holds other manual positions for hand_000.png; leave out --template and --landmarks" in err
        assert Study.open(tmp_path / "study").load_annotations("hand_000.png") == before

    def test_another_template_is_added(self, train, tmp_path, data):
        assert train() == 0
        code = again(
            tmp_path,
            "--template",
            str(data / "images" / "hand_001.png"),
            "--landmarks",
            str(data / "truth.csv"),
        )
        assert code == 0
        assert set(Study.open(tmp_path / "study").annotations()) == {"hand_000.png", "hand_001.png"}

    def test_images_that_moved(self, train, tmp_path, data, capsys):
        assert train() == 0
        shutil.move(data / "images", data / "moved")
        assert again(tmp_path) == 2
        assert "its images are not in" in capsys.readouterr().err
        assert again(tmp_path, "--images", str(data / "moved")) == 0
        assert Study.open(tmp_path / "study").images.name == "moved"
        assert again(tmp_path) == 0

    def test_what_is_given_later_is_kept(self, train, tmp_path):
        assert train() == 0
        assert not Study.open(tmp_path / "study").chose_sides
        assert again(tmp_path, "--spacing", "0.25", "--mirrored", "swapped") == 0
        study = Study.open(tmp_path / "study")
        assert study.spacing == 0.25
        assert study.sides.mirroring == "swapped"
        assert len((study.folder / "poses.csv").read_text().splitlines()) == 1 + 4

    def test_corrections_by_a_person_become_templates(self, train, tmp_path, data):
        assert train() == 0
        study = Study.open(tmp_path / "study")
        truth = read_landmarks(data / "truth.csv")["hand_003.png"]
        study.save_annotations("hand_003.png", truth)
        assert again(tmp_path) == 0
        record = (study.models_dir / "002" / "run.json").read_text()
        assert "hand_003.png" in record
        np.testing.assert_allclose(study.load_annotations("hand_003.png").positions(), truth.positions())


def test_training_again_after_images_changed_keeps_every_placed_landmark(train, tmp_path, data, phantoms):
    """One image is deleted, one is damaged; what was placed in the others and in these stays to the last byte."""
    assert train() == 0
    study = Study.open(tmp_path / "study")
    for phantom in phantoms[1:3]:
        study.save_annotations(phantom.image.name, phantom.landmarks, phantom.image.geometry)
    before = {path.name: path.read_bytes() for path in (study.folder / "annotations").iterdir()}
    assert len(before) == 3
    (data / "images" / "hand_003.png").unlink()
    content = (data / "images" / "hand_002.png").read_bytes()
    (data / "images" / "hand_002.png").write_bytes(content[:200])
    assert again(tmp_path) == 0
    assert {path.name: path.read_bytes() for path in (study.folder / "annotations").iterdir()} == before
    (data / "images" / "hand_002.png").write_bytes(content)
    assert Study.open(study.folder).load_annotations("hand_002.png") == study.load_annotations("hand_002.png")
    assert set(Study.open(study.folder).annotations()) == {f"hand_00{number}.png" for number in range(3)}
