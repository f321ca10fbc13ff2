"""Bad studies are refused in one line that names the file; names of images are never paths."""

from __future__ import annotations

import json

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.study.study import Study

from ...bad_files import huge, one_line

STUDIES: dict[str, object] = {
    "nothing": "",
    "cut off": '{"version": 1, "sche',
    "a list": "[]",
    "no landmarks": {"version": 1},
    "a newer version": {"version": 99},
    "brackets without end": "[" * 100_000,
    "a negative spacing": {"version": 1, "landmarks": [], "spacing": -1},
    "not text": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("name", STUDIES)
def test_is_refused_in_one_line(tmp_path, name):
    content = STUDIES[name]
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else json.dumps(content)).encode()
    (tmp_path / "study.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        Study.open(tmp_path)
    one_line(caught.value, tmp_path / "study.json")


def test_a_study_of_a_gigabyte(tmp_path):
    huge(tmp_path / "study.json", b"{")
    with pytest.raises(InputError, match="larger than 64 MB"):
        Study.open(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["../../outside.png", "/etc/passwd", "..\\..\\outside.png", "C:\\x.png", "a/../../b.png", "~/x"],
)
def test_names_of_images_are_no_paths(tmp_path, name):
    """The name of an image does not decide where files are written."""
    schema = LandmarkSchema(("a",))
    (tmp_path / "deep").mkdir()
    before = {path for path in tmp_path.rglob("*")}
    study = Study.create(tmp_path / "deep" / "study", schema=schema)
    study.save_annotations(name, LandmarkSet.from_array(schema, [[1, 2]]))
    study.save_predictions(name, LandmarkSet.from_array(schema, [[1, 2]], status="predicted"))
    made = {path for path in tmp_path.rglob("*")} - before
    assert all(path.is_relative_to(study.folder) for path in made)
    assert list(study.annotations()) == [name]
