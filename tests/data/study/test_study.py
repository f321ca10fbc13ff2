from __future__ import annotations

import json
import os

import numpy as np
import pytest

from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.sides import Mirroring, Sides
from napari_landmark.data.study.study import Study

SCHEMA = LandmarkSchema(("sella", "nasion"), ("#ff0000", "#00ff00"), ("middle of the seat", ""))
PLACED = LandmarkSet(SCHEMA, [Landmark("sella", (1, 2), Status.PLACED)])
PREDICTED = LandmarkSet.from_array(SCHEMA, [[9, 9], [3, 4]], Status.PREDICTED, [0.5, 0.75], [2, 3])


@pytest.fixture
def study(tmp_path):
    return Study.create(tmp_path / "study", schema=SCHEMA, images=tmp_path / "images", template="001.png")


class TestFolder:
    def test_opening_gives_what_was_created(self, study, tmp_path):
        opened = Study.open(study.folder)
        assert opened.schema == SCHEMA
        assert opened.template == "001.png"
        assert opened.images == tmp_path / "images"
        assert opened.spacing is None
        assert opened.annotations() == opened.predictions() == {}

    @pytest.mark.parametrize(("given", "expected"), [(0.1, 0.1), ((0.1, 0.2), (0.1, 0.2)), (1, 1.0)])
    def test_spacing(self, tmp_path, given, expected):
        Study.create(tmp_path, schema=SCHEMA, spacing=given)
        assert Study.open(tmp_path).spacing == expected
        with pytest.raises(InputError, match="spacing of 0"):
            Study.create(tmp_path / "other", schema=SCHEMA, spacing=0)

    @pytest.mark.skipif(os.name == "nt", reason="there the paths are its own")
    @pytest.mark.parametrize("recorded", ["D:/scans/left/images", "D:\\scans\\left\\images"])
    def test_a_study_from_windows(self, tmp_path, recorded):
        study = Study.create(tmp_path / "study", schema=SCHEMA, images=tmp_path / "there")
        data = json.loads((study.folder / "study.json").read_text())
        data.update(images=recorded, images_absolute=recorded)
        (study.folder / "study.json").write_text(json.dumps(data))
        moved = Study.open(study.folder)
        with pytest.raises(
            InputError, match=r"its images are not in D:/scans/left/images \(of a Windows computer\)$"
        ) as caught:
            moved.require_images()
        assert caught.value.code is ErrorCode.IMAGES_NOT_FOUND
        (tmp_path / "left" / "images").mkdir(parents=True)
        with pytest.raises(InputError, match=f"they may be in {tmp_path / 'left' / 'images'}$"):
            moved.require_images()
        moved.update(images=tmp_path / "left" / "images")
        assert Study.open(study.folder).require_images() == tmp_path / "left" / "images"

    def test_a_calibration_is_taken_back(self, tmp_path):
        study = Study.create(tmp_path, schema=SCHEMA, spacing=0.1)
        study.update(template="a.png")
        assert Study.open(tmp_path).spacing == 0.1
        study.update(spacing=None)
        assert study.spacing is None
        assert Study.open(tmp_path).spacing is None
        assert study.template == "a.png"

    def test_images_inside_move_with_it(self, tmp_path):
        Study.create(tmp_path / "a", schema=SCHEMA, images=tmp_path / "a" / "images")
        (tmp_path / "a").rename(tmp_path / "b")
        assert Study.open(tmp_path / "b").images == tmp_path / "b" / "images"

    def test_images_beside_it_move_with_it(self, tmp_path):
        (tmp_path / "a" / "images").mkdir(parents=True)
        (tmp_path / "a" / "other").mkdir()
        (tmp_path / "a" / "other" / "t.png").touch()
        images, extra = tmp_path / "a" / "images", [tmp_path / "a" / "other" / "t.png"]
        Study.create(tmp_path / "a" / "study", schema=SCHEMA, images=images, extra=extra)
        data = json.loads((tmp_path / "a" / "study" / "study.json").read_text())
        assert (data["images"], data["extra"]) == ("../images", ["../other/t.png"])
        (tmp_path / "a").rename(tmp_path / "b")
        moved = Study.open(tmp_path / "b" / "study")
        assert moved.images == tmp_path / "b" / "images"
        assert list(moved.extra) == [tmp_path / "b" / "other" / "t.png"]

    def test_it_moves_without_its_images(self, tmp_path):
        (tmp_path / "images").mkdir()
        (tmp_path / "t.png").touch()
        Study.create(
            tmp_path / "study", schema=SCHEMA, images=tmp_path / "images", extra=[tmp_path / "t.png"]
        )
        (tmp_path / "deep").mkdir()
        (tmp_path / "study").rename(tmp_path / "deep" / "study")
        moved = Study.open(tmp_path / "deep" / "study")
        assert (moved.images, tuple(moved.extra)) == (tmp_path / "images", (tmp_path / "t.png",))
        (tmp_path / "images").rename(tmp_path / "away")
        (tmp_path / "t.png").rename(tmp_path / "u.png")
        moved.update(template="x.png")
        assert moved.places_of_images == (tmp_path / "deep" / "images", tmp_path / "images")
        (tmp_path / "away").rename(tmp_path / "images")
        (tmp_path / "u.png").rename(tmp_path / "t.png")
        again = Study.open(moved.folder)
        assert (again.images, tuple(again.extra)) == (tmp_path / "images", (tmp_path / "t.png",))
        again.update(template="y.png")
        assert json.loads((again.folder / "study.json").read_text())["images"] == "../../images"

    def test_a_file_of_an_older_version(self, study, tmp_path):
        path = study.folder / "study.json"
        data = json.loads(path.read_text())
        for key in ("images_absolute", "extra_absolute"):
            del data[key]
        data["images"], data["extra"] = str(tmp_path / "images"), [str(tmp_path / "t.png")]
        path.write_text(json.dumps(data))
        old = Study.open(study.folder)
        assert (old.images, tuple(old.extra)) == (tmp_path / "images", (tmp_path / "t.png",))

    def test_a_study_is_not_made_over_another(self, study):
        with pytest.raises(InputError, match="holds a study already"):
            Study.create(study.folder, schema=SCHEMA)

    def test_update(self, study):
        study.update(template="β.png", spacing=0.2)
        assert study.template == "β.png"
        opened = Study.open(study.folder)
        assert (opened.template, opened.spacing, opened.schema) == ("β.png", 0.2, SCHEMA)

    def test_sides(self, study):
        assert not study.chose_sides
        assert study.sides == Sides()
        study.update(schema=LandmarkSchema(("left hip", "right hip", "x")))
        pairs = (("left hip", "right hip"),)
        assert study.sides == Sides(pairs=pairs)
        study.update(sides=Sides(Mirroring.SWAPPED))
        opened = Study.open(study.folder)
        assert opened.chose_sides
        assert opened.sides == Sides(Mirroring.SWAPPED, pairs)
        opened.update(sides=Sides(Mirroring.NEVER, (("left hip", "x"),)))
        opened.update(schema=LandmarkSchema(("left hip", "right hip", "y")), renamed={"x": "y"})
        assert Study.open(study.folder).sides == Sides(Mirroring.NEVER, (("left hip", "y"),))
        opened.choose_mirroring(Mirroring.SWAPPED)
        assert Study.open(study.folder).sides == Sides(Mirroring.SWAPPED, (("left hip", "y"),))

    def test_folders_are_made_when_asked_for(self, study):
        assert study.models_dir.is_dir()
        assert study.report_dir == study.folder / "report"

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("{", "is damaged"),
            ("[]", "holds no JSON object"),
            ('{"version": "1"}', "does not describe a study"),
            ('{"version": 2}', "newer version"),
            ('{"version": 1}', "list of landmarks"),
            ('{"version": 1, "landmarks": [{"name": "a"}], "spacing": "wide"}', "spacing of 'wide'"),
            ('{"version": 1, "landmarks": [{"name": "a"}], "template": 3}', "must be text"),
        ],
    )
    def test_other_content(self, tmp_path, content, message):
        (tmp_path / "study.json").write_text(content)
        with pytest.raises(InputError, match=rf"study\.json: .*{message}"):
            Study.open(tmp_path)

    def test_no_study(self, tmp_path):
        with pytest.raises(InputError, match=r"is not a study: it has no study\.json"):
            Study.open(tmp_path)
        with pytest.raises(InputError, match="is not a study"):
            Study.open(tmp_path / "gone")
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match="choose a folder"):
            Study.create(tmp_path / "file", schema=SCHEMA)


class TestLandmarks:
    def test_many_predictions_are_saved_as_each_alone(self, study):
        geometries = {"002.png": Geometry((9, 9), (0.1, 0.1))}
        names = ("001.png", "002.png")
        for name in names:
            study.save_predictions(name, PREDICTED, geometries.get(name))
        files = sorted((study.folder / "predictions").iterdir())
        alone = [path.read_bytes() for path in files]
        for path in files:
            path.unlink()
        study.save_all_predictions(dict.fromkeys(names, PREDICTED), geometries)
        assert [path.read_bytes() for path in files] == alone

    def test_round_trip(self, study):
        study.save_annotations("001.png", PLACED)
        study.save_predictions("002.png", PREDICTED, Geometry((9, 9), (0.1, 0.1)))
        opened = Study.open(study.folder)
        assert opened.load_annotations("001.png") == PLACED
        assert opened.annotations() == {"001.png": PLACED}
        assert opened.predictions() == {"002.png": PREDICTED}
        assert (study.folder / "predictions" / "002.png.csv").read_text().count("0.9,0.9") == 1  # in mm
        assert opened.load_annotations("003.png") == LandmarkSet(SCHEMA)

    def test_a_prediction_never_replaces_a_person(self, study):
        study.save_annotations("001.png", PLACED)
        study.save_predictions("001.png", PREDICTED)
        result = study.result("001.png")
        assert result["sella"] == PLACED["sella"]
        assert result["nasion"] == PREDICTED["nasion"]
        assert study.load_annotations("001.png") == PLACED

    def test_predictions_do_not_become_annotations(self, study):
        study.save_annotations("001.png", PLACED.merged_with_prediction(PREDICTED))
        assert study.load_annotations("001.png") == PLACED

    def test_missing_stays_missing(self, study):
        missing = LandmarkSet(SCHEMA, [Landmark("nasion", None, Status.MISSING)])
        study.save_annotations("001.png", missing)
        study.save_predictions("001.png", PREDICTED)
        assert study.result("001.png")["nasion"].status is Status.MISSING

    def test_a_deleted_landmark_stays_deleted(self, study):
        study.save_annotations("001.png", PLACED)
        study.save_annotations("001.png", LandmarkSet(SCHEMA))
        assert study.load_annotations("001.png")["sella"].status is Status.UNPLACED

    def test_a_smaller_schema_reads_older_files(self, study):
        study.save_annotations("001.png", PLACED)
        study.update(schema=LandmarkSchema(("nasion", "menton")))
        assert list(study.load_annotations("001.png")) == ["nasion", "menton"]
        study.save_predictions("001.png", PREDICTED)  # of an older model
        with pytest.raises(InputError, match="'sella'"):
            study.save_annotations("001.png", PLACED)

    def test_a_damaged_file_is_named(self, study):
        study.save_annotations("001.png", PLACED)
        (study.folder / "annotations" / "001.png.csv").write_text("image,landmark\n")
        with pytest.raises(InputError, match=r"001\.png\.csv, line 1: no column 'x'"):
            study.annotations()

    def test_a_copy_by_hand_is_named(self, study):
        study.save_annotations("001.png", PLACED)
        file = study.folder / "annotations" / "001.png.csv"
        (study.folder / "annotations" / "001 - copy.csv").write_bytes(file.read_bytes())
        with pytest.raises(InputError, match=r"001 - copy\.csv: holds landmarks of '001\.png'"):
            study.annotations()

    @pytest.mark.parametrize(
        "name",
        [
            "../../etc/passwd",
            "a/b.png",
            "/etc/x",
            "..",
            "con.png",
            "é.png",
            "x" * 300,
            "a b",
            "C:\\x",
        ],
    )
    def test_names_that_would_lead_elsewhere(self, study, name):
        study.save_annotations(name, PLACED)
        assert study.annotations() == {name: PLACED}
        files = [path for path in study.folder.parent.rglob("*") if path.is_file()]
        assert {path.parent for path in files} == {study.folder, study.folder / "annotations"}

    def test_no_name(self, study):
        with pytest.raises(InputError, match="without a name"):
            study.save_annotations(" ", PLACED)


def test_log_is_one_json_object_a_line(study):
    study.log({"event": "train", "path": study.folder, "value": np.float32(0.5).item()})
    study.log({"event": "two\nlines"})
    lines = (study.folder / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["train", "two\nlines"]
    assert all("time" in json.loads(line) for line in lines)


class TestRenamed:
    """A model says the names of its training; the study knows what they are called now."""

    def rename(self, study, **names):
        new = tuple(names.get(name, name) for name in study.schema.names)
        study.update(schema=LandmarkSchema(new), renamed=names)

    def test_predictions_get_the_new_names(self, study):
        self.rename(study, sella="S")
        self.rename(study, S="seat", nasion="N")
        opened = Study.open(study.folder)
        opened.save_predictions("001.png", PREDICTED)
        found = opened.load_predictions("001.png")
        assert {name: mark.position for name, mark in found.items()} == {"seat": (9, 9), "N": (3, 4)}
        assert found["seat"].confidence == 0.5
        assert opened.current_names(["sella", "other"]) == ("seat", "other")

    def test_back_to_the_first_name(self, study):
        self.rename(study, sella="S")
        self.rename(study, S="sella")
        study.save_predictions("001.png", PREDICTED)
        assert study.load_predictions("001.png")["sella"].position == (9, 9)
        assert study.current_names(["S"]) == ("sella",)

    def test_an_old_name_that_another_has_taken(self, study):
        self.rename(study, nasion="N")
        self.rename(study, sella="nasion")
        study.save_predictions("001.png", PREDICTED)
        found = study.load_predictions("001.png")
        assert {name: mark.position for name, mark in found.items()} == {"nasion": (9, 9), "N": (3, 4)}
        later = LandmarkSet(study.schema, [Landmark("nasion", (5, 5), Status.PREDICTED)])
        study.save_predictions("001.png", later)
        assert study.load_predictions("001.png") == later

    def test_the_name_of_a_removed_one_belongs_to_the_renamed_one(self, study):
        study.update(schema=LandmarkSchema(("nasion",)), renamed={"sella": "nasion"})
        study.save_predictions("001.png", PREDICTED)
        assert study.load_predictions("001.png")["nasion"].position == (9, 9)

    def test_a_damaged_list_is_told(self, study):
        path = study.folder / "study.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "renamed": ["sella"]}))
        with pytest.raises(InputError, match="renamed"):
            Study.open(study.folder)
