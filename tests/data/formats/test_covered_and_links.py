"""Landmarks that are seen but covered, and links, in the formats that hold them."""

from __future__ import annotations

import json

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import read_landmarks, write_landmarks
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.links import Link

LINKS = (Link(("A", "B"), name="edge"), Link(("A", "B", "C"), closed=True, name="outline"))
SCHEMA = LandmarkSchema(("A", "B", "C"), links=LINKS)
IMAGES = {"a.png": Geometry((50, 60), (0.5, 0.5))}
MARKS = LandmarkSet(
    SCHEMA,
    [
        Landmark("A", (1, 2), Status.PLACED, covered=True),
        Landmark("B", (3, 4), Status.PLACED),
        Landmark("C", (9, 4), Status.CORRECTED, covered=True),
    ],
)


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.mrk.json"])
def test_covered_landmarks_come_back(tmp_path, name):
    write_landmarks(tmp_path / name, {"a.png": MARKS}, geometries=IMAGES)
    found = read_landmarks(tmp_path / name, schema=SCHEMA, geometries=IMAGES)["a.png"]
    assert {key: mark.covered for key, mark in found.items()} == {"A": True, "B": False, "C": True}
    assert found["C"].status is Status.CORRECTED


def test_the_column_is_there_only_where_something_is_covered(tmp_path):
    plain = LandmarkSet(SCHEMA, [Landmark("A", (1, 2), Status.PLACED)])
    write_landmarks(tmp_path / "a.csv", {"a.png": plain})
    assert "covered" not in (tmp_path / "a.csv").read_text()


@pytest.mark.parametrize(
    ("row", "expected"), [("a,A,1,2,maybe", "covered is 'maybe'"), ("a,A,,,yes", "only a placed one can be")]
)
def test_tables_that_contradict_themselves_are_refused(tmp_path, row, expected):
    (tmp_path / "a.csv").write_text(f"image,landmark,x,y,covered\n{row}\n")
    with pytest.raises(InputError, match=expected):
        read_landmarks(tmp_path / "a.csv")


def test_coco_holds_visibility_and_skeleton(tmp_path):
    write_landmarks(tmp_path / "a.json", {"a.png": MARKS}, geometries=IMAGES)
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["annotations"][0]["keypoints"][2::3] == [1, 2, 1]
    assert content["categories"][0]["skeleton"] == [[1, 2], [2, 3], [3, 1]]
    found = read_landmarks(tmp_path / "a.json")["a.png"].schema
    assert [link.landmarks for link in found.links] == [("A", "B"), ("B", "C"), ("C", "A")]


@pytest.mark.parametrize("skeleton", [[[0, 1]], [[1, 4]], [[1]], [["A", "B"]], 3, [[True, 2]]])
def test_a_skeleton_of_unknown_keypoints_is_refused(tmp_path, skeleton):
    write_landmarks(tmp_path / "a.json", {"a.png": MARKS}, geometries=IMAGES)
    content = json.loads((tmp_path / "a.json").read_text())
    content["categories"][0]["skeleton"] = skeleton
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="the skeleton of the category has"):
        read_landmarks(tmp_path / "a.json")


def test_slicer_gets_lines_and_outlines_between_placed_landmarks(tmp_path):
    write_landmarks(tmp_path / "a.mrk.json", {"a.png": MARKS}, geometries=IMAGES)
    markups = json.loads((tmp_path / "a.mrk.json").read_text())["markups"]
    assert [markup["type"] for markup in markups] == ["Fiducial", "Line", "ClosedCurve"]
    assert [point["position"][:2] for point in markups[1]["controlPoints"]] == [[1.0, 0.5], [2.0, 1.5]]
    without = LandmarkSet(SCHEMA, [MARKS["A"], MARKS["B"]])
    write_landmarks(tmp_path / "a.mrk.json", {"a.png": without}, geometries=IMAGES)
    markups = json.loads((tmp_path / "a.mrk.json").read_text())["markups"]
    assert [markup["type"] for markup in markups] == ["Fiducial", "Line"]


def test_deeplabcut_gets_the_lines_of_its_configuration(tmp_path):
    write_landmarks(tmp_path / "a.dlc.csv", {"a.png": MARKS})
    lines = (tmp_path / "a.dlc.skeleton.yaml").read_text().splitlines()
    assert lines == ["skeleton:", '  - ["A", "B"]', '  - ["B", "C"]', '  - ["C", "A"]']
    plain = LandmarkSet(LandmarkSchema(("A", "B")), [MARKS["B"]])
    write_landmarks(tmp_path / "b.dlc.csv", {"b.png": plain})
    assert not (tmp_path / "b.dlc.skeleton.yaml").exists()
