from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from napari_landmark.cli.app import main
from napari_landmark.data.curves import Curve
from napari_landmark.data.formats.registry import read_landmarks, write_landmarks
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.data.study.provenance import sha256
from napari_landmark.data.study.schema_migration import with_curve
from napari_landmark.data.study.study import Study

TABLE = """image,landmark,x,y,status,confidence
a.png,tip,3,4,placed,
a.png,base,5.25,6,predicted,0.5
b.png,tip,7,8,placed,
b.png,base,,,missing,
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with a table and two pictures, and the place to work in."""
    (tmp_path / "images").mkdir()
    for name, height in (("a.png", 30), ("b.png", 40)):
        Image.fromarray(np.zeros((height, 20), np.uint8)).save(tmp_path / "images" / name)
    (tmp_path / "in.csv").write_text(TABLE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def convert(*arguments):
    return main(["convert", *arguments])


class TestThereAndBack:
    @pytest.mark.parametrize("form", ["{image}.mrk.json", "c.json", "c.csv"])
    def test_formats_that_keep_everything(self, work, capsys, form):
        options = ("--images", "images", "--spacing", "0.5")
        assert convert("in.csv", f"out/{form}", *options) == 0
        files = sorted(map(str, (work / "out").iterdir()))
        assert convert(*files, "back.csv", *options) == 0
        assert read_landmarks("back.csv") == read_landmarks("in.csv")
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize(
        ("form", "lost"),
        [
            ("c.tps", ["status of 1", "confidence of 1"]),
            ("c.dlc.csv", ["status of 1"]),
            ("{image}.fcsv", ["status of 1"]),
        ],
    )
    def test_what_others_lose_is_said(self, work, capsys, form, lost):
        assert convert("in.csv", form, "--images", "images", "--spacing", "0.5") == 0
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == len(lost)
        for line, what in zip(lines, lost, strict=True):
            assert f"does not keep the {what} landmarks" in line

    def test_names_for_a_format_without(self, work):
        assert convert("in.csv", "c.tps", "--images", "images") == 0
        for names in ("in.csv", "study"):
            Study.exists("study") or Study.create("study", schema=LandmarkSchema(("tip", "base")))
            assert convert("c.tps", "back.csv", "--images", "images", "--names", names) == 0
            back = read_landmarks("back.csv")
            assert back["a.png"]["base"].position == (6, 5.25)
            assert back["b.png"]["base"].status is Status.MISSING

    def test_millimetres_in_the_table(self, work):
        assert convert("in.csv", "out.csv", "--images", "images", "--spacing", "0.5") == 0
        assert "a.png,tip,3.0,4.0,1.5,2.0,placed" in (work / "out.csv").read_text()


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("in.csv", "a.mrk.json", "--images", "images", "--spacing", "1"), "{image}.mrk.json"),
            (("in.csv", "{image}.mrk.json", "--images", "images"), "give --spacing MM"),
            (("in.csv", "{image}.mrk.json"), "give --images DIR"),
            (("in.csv", "c.tps"), "give --images DIR"),
            (("in.csv", "c.json"), "give --images DIR"),
            (("in.csv", "c.csv", "--spacing", "1"), "--images DIR"),
            (("in.csv", "in.csv"), "is read and written"),
            (("in.csv", "in.csv", "c.csv"), "has landmarks of a.png, and so has in.csv"),
            (("in.csv", "c.xls"), "not a known landmark format"),
            (("none.csv", "c.csv"), "there is no such file"),
            (("in.csv", "c.csv", "--images", "none"), "no such folder"),
            (("in.csv", "c.csv", "--names", "none"), "not a known landmark format"),
        ],
    )
    def test_one_line_and_nothing_written(self, work, capsys, arguments, message):
        before = sorted(work.rglob("*"))
        assert convert(*arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
        assert sorted(work.rglob("*")) == before

    def test_all_files_or_none(self, work, capsys):
        (work / "images" / "b.png").write_text("broken")
        assert convert("in.csv", "out/{image}.fcsv", "--images", "images", "--spacing", "1") == 2
        assert "b.png" in capsys.readouterr().err
        assert not (work / "out").exists()

    def test_two_images_for_one_file(self, work, capsys):
        (work / "in.csv").write_text("image,landmark,x,y\na.png,t,1,1\na.jpg,t,1,1\n")
        assert convert("in.csv", "{image}.csv") == 2
        assert "would hold a.png and a.jpg" in capsys.readouterr().err


def test_names_of_all_files_come_together(work):
    (work / "more.csv").write_text("image,landmark,x,y\nc.png,elbow,1,2\n")
    assert convert("in.csv", "more.csv", "all.json.csv") == 0
    found = read_landmarks("all.json.csv")
    assert found["c.png"].schema.names == ("tip", "base", "elbow")


def test_the_file_names_are_those_of_the_images(work):
    convert("in.csv", "p/{image}.mrk.json", "--images", "images", "--spacing", "2")
    data = json.loads((work / "p" / "b.mrk.json").read_text())
    assert data["markups"][0]["name"] == "b.png"
    assert data["markups"][0]["controlPoints"][0]["position"] == [14, 16, 0]


def test_what_it_was_made_of_stands_beside_it(work):
    assert convert("in.csv", "out.csv") == 0
    record = json.loads((work / "out.csv.run.json").read_text())
    assert record["command"] == "convert"
    assert record["read"] == [{"name": "in.csv", "sha256": sha256(work / "in.csv")}]
    assert record["sha256"] == sha256(work / "out.csv")
    assert convert("in.csv", "p/{image}.mrk.json", "--images", "images", "--spacing", "2") == 0
    record = json.loads((work / "p" / "all.mrk.json.run.json").read_text())
    assert set(record["sha256"]) == {path.name for path in (work / "p").glob("*.mrk.json")}


@pytest.mark.parametrize("name", ["../../outside.png", "/etc/passwd", "..\\..\\outside.png"])
def test_names_of_images_are_no_paths(tmp_path, name):
    (tmp_path / "a" / "b" / "out").mkdir(parents=True)
    source = tmp_path / "a" / "b" / "in.csv"
    write_landmarks(source, {name: LandmarkSet.from_array(LandmarkSchema(("a",)), [[1, 2]])})
    before = set(tmp_path.rglob("*"))
    assert convert(str(source), str(source.parent / "out" / "{image}.csv")) == 0
    made = set(tmp_path.rglob("*")) - before
    assert len(made) == 2  # the table and its record
    assert all(path.is_relative_to(source.parent / "out") for path in made)


def test_a_study_is_converted_with_its_curves_and_spacing(work, capsys):
    schema = with_curve(LandmarkSchema(("tip", "base")), Curve("edge", "tip", "base", 2))
    study = Study.create(work / "study", schema=schema, images=work / "images", spacing=0.5)
    points = {"tip": (4.0, 3.0), "base": (10.0, 3.0), "edge[1]": (6.0, 3.0), "edge[2]": (8.0, 3.0)}
    for name in ("a.png", "b.png"):
        marks = [Landmark(one, at, Status.PLACED) for one, at in points.items()]
        study.save_annotations(name, LandmarkSet(study.schema, marks))
    study.decide("b.png", ImageDecision.LEFT_OUT)
    assert convert("study", "out.tps") == 0
    text = (work / "out.tps").read_text()
    assert "LM=2" in text and "CURVES=1" in text and "POINTS=2" in text and "SCALE=0.5" in text
    assert "b.png" not in text
    assert convert("study", "in.csv", "both.csv") == 2
    assert "converted alone" in capsys.readouterr().err
