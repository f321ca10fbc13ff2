"""Bad landmark files of every kind are refused in one line that names the file."""

from __future__ import annotations

import json

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats import text_file
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.geometry import Geometry

from ...bad_files import huge, one_line

MRK = {
    "markups": [
        {
            "type": "Fiducial",
            "coordinateSystem": "LPS",
            "controlPoints": [{"label": "a", "position": [1, 2, 0]}],
        }
    ]
}
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 24, "height": 32}],
    "categories": [{"id": 1, "name": "x", "keypoints": ["a"]}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "keypoints": [3, 4, 2]}],
}


def changed(content: dict, *path: str | int, to: object) -> str:
    """JSON text of `content` with the value at `path` replaced."""
    copy = json.loads(json.dumps(content))
    parent = copy
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = to
    return json.dumps(copy)


HEAD = "image,landmark,x,y\n"
TABLES: dict[str, tuple[str, bytes | str, str]] = {
    "an empty table": ("a.csv", "", "is empty"),
    "zeros": ("a.csv", b"\0" * 500, "no column|readable|empty"),
    "not text": ("a.csv", b"\xff\xfe\0a", "is not UTF-8"),
    "only titles": ("a.csv", HEAD, "no landmarks"),
    "a column less": ("a.csv", "image,landmark,x\na.png,a,1\n", "no column 'y'"),
    "a name twice": ("a.csv", HEAD + "a.png,a,1,2\na.png,a,3,4\n", "is there twice"),
    "a column twice": ("a.csv", "image,landmark,x,y,x\na.png,a,1,2,3\n", "twice"),
    "nan": ("a.csv", HEAD + "a.png,a,nan,2\n", "expected a number"),
    "infinity": ("a.csv", HEAD + "a.png,a,1e999,2\n", "expected a number"),
    "half a position": ("a.csv", HEAD + "a.png,a,1,\n", "has x and no y"),
    "a name over two lines": ("a.csv", HEAD + 'a.png,"a\nb",1,2\n', "one line of text"),
    "an open quote": ("a.csv", HEAD + 'a.png,"a,1,2\n', "readable row"),
    "an unknown status": ("a.csv", HEAD[:-1] + ",status\na.png,a,1,2,perhaps\n", "has the status 'perhaps'"),
    "an endless cell": ("a.csv", HEAD + "a.png," + "a" * 200_000 + ",1,2\n", "readable row"),
    "no json": ("a.mrk.json", "{", "is not valid JSON"),
    "json of a list": (
        "a.mrk.json",
        "[]",
        "holds a list, and landmarks are in an object",
    ),
    "brackets without end": ("a.mrk.json", '{"a":' + "[" * 100_000, "is not .*JSON"),
    "a number of 10000 digits": ("a.mrk.json", '{"a":' + "9" * 10_000 + "}", "JSON|markups"),
    "markups of nan": ("a.mrk.json", '{"a": NaN}', "is no number"),
    "no markups": ("a.mrk.json", "{}", "markups"),
    "a position of text": (
        "a.mrk.json",
        changed(MRK, "markups", 0, "controlPoints", 0, "position", to=["x", 2, 0]),
        "expected a number",
    ),
    "an unknown system": ("a.mrk.json", changed(MRK, "markups", 0, "coordinateSystem", to="XYZ"), "XYZ"),
    "tps without points": ("a.tps", "LM=3\n1 2\n", "a.tps"),
    "tps of a negative number": ("a.tps", "LM=-3\n1 2\nIMAGE=a.png\n", "a.tps"),
    "tps of a billion": ("a.tps", "LM=1000000000\n1 2\nIMAGE=a.png\n", "a.tps"),
    "coco without images": ("a.json", changed(COCO, "images", to=[]), "a.json"),
    "coco of half a keypoint": (
        "a.json",
        changed(COCO, "annotations", 0, "keypoints", to=[3, 4]),
        "keypoints",
    ),
    "coco of another image": ("a.json", changed(COCO, "annotations", 0, "image_id", to=7), "image"),
    "coco with a name that is none": ("a.json", changed(COCO, "images", 0, "file_name", to=[]), "a.json"),
    "fcsv of text": ("a.fcsv", "# Markups fiducial file version = 4.11\n1,x,y,z\n", "a.fcsv"),
    "fcsv that is empty": ("a.fcsv", "", "a.fcsv"),
    "deeplabcut cut off": ("a.dlc.csv", "scorer,a,a\nbodyparts,b,b\n", "a.dlc.csv"),
    "an unknown kind": ("a.xlsx", "x", "not a known landmark format"),
}


GEOMETRIES = {"a.png": Geometry((32, 24), spacing=(1, 1))}


@pytest.mark.parametrize("name", TABLES)
def test_is_refused_in_one_line(tmp_path, name):
    file, content, message = TABLES[name]
    path = tmp_path / file
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError, match=message) as caught:
        read_landmarks(path, geometries=GEOMETRIES)
    one_line(caught.value, path)


@pytest.mark.parametrize("ending", ["csv", "mrk.json", "fcsv", "tps", "json", "dlc.csv"])
def test_a_gigabyte_is_refused_before_it_is_read(tmp_path, ending, monkeypatch):
    monkeypatch.setattr(text_file, "total_memory", lambda: 8 * 1024**3)
    path = huge(tmp_path / f"a.{ending}", b"{")
    with pytest.raises(InputError, match=r"may need more memory|no table of landmarks") as caught:
        read_landmarks(path, geometries=GEOMETRIES)
    one_line(caught.value, path)
