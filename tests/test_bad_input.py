"""Bad input of every kind: either the right answer, or one clear line that names the file. Never anything else."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import read_landmarks, write_landmarks
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import load_model

from .bad_files import huge, one_line

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
    """A copy of a JSON file with one value another."""
    copy = json.loads(json.dumps(content))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
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
    "json of a list": ("a.mrk.json", "[]", "holds no JSON object"),
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


class TestLandmarkFiles:
    @pytest.mark.parametrize("name", TABLES)
    def test_refused_in_one_line(self, tmp_path, name):
        file, content, message = TABLES[name]
        path = tmp_path / file
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(InputError, match=message) as caught:
            read_landmarks(path, geometries=GEOMETRIES)
        one_line(caught.value, path)

    @pytest.mark.parametrize("ending", ["csv", "mrk.json", "fcsv", "tps", "json", "dlc.csv"])
    def test_a_gigabyte_is_refused_before_it_is_read(self, tmp_path, ending):
        path = huge(tmp_path / f"a.{ending}", b"{")
        with pytest.raises(InputError, match="larger than 200 MB") as caught:
            read_landmarks(path, geometries=GEOMETRIES)
        one_line(caught.value, path)

    @pytest.mark.parametrize(
        "name",
        ["../../outside.png", "/etc/passwd", "..\\..\\outside.png", "C:\\x.png", "a/../../b.png", "~/x"],
    )
    def test_names_of_images_are_no_paths(self, tmp_path, name):
        """What a table calls an image decides nothing about where files are written."""
        schema = LandmarkSchema(("a",))
        (tmp_path / "deep").mkdir()
        before = {path for path in tmp_path.rglob("*")}
        study = Study.create(tmp_path / "deep" / "study", schema=schema)
        study.save_annotations(name, LandmarkSet.from_array(schema, [[1, 2]]))
        study.save_predictions(name, LandmarkSet.from_array(schema, [[1, 2]], status="predicted"))
        made = {path for path in tmp_path.rglob("*")} - before
        assert all(path.is_relative_to(study.folder) for path in made)
        assert list(study.annotations()) == [name]

    @pytest.mark.parametrize("name", ["../../outside.png", "/etc/passwd", "..\\..\\outside.png"])
    def test_names_of_images_are_no_paths_when_converting(self, tmp_path, name):
        from napari_landmark.cli.app import main

        (tmp_path / "a" / "b" / "out").mkdir(parents=True)
        source = tmp_path / "a" / "b" / "in.csv"
        write_landmarks(source, {name: LandmarkSet.from_array(LandmarkSchema(("a",)), [[1, 2]])})
        before = set(tmp_path.rglob("*"))
        assert main(["convert", str(source), str(source.parent / "out" / "{image}.csv")]) == 0
        made = set(tmp_path.rglob("*")) - before
        assert len(made) == 2  # the table, and what it was made of
        assert all(path.is_relative_to(source.parent / "out") for path in made)


def spoil_json(key: str, value: object) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / "model.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))

    return spoil


def spoil_tensors(name: str, change: Callable[[dict[str, torch.Tensor]], dict]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / f"{name}.safetensors"
        tensors = change(load_file(path))
        path.unlink()
        save_file(tensors, path)

    return spoil


def deeper(part: str, key: str, value: object) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / "model.json"
        content = json.loads(path.read_text())
        content[part][key] = value
        path.write_text(json.dumps(content))

    return spoil


MODELS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "no weights": ("embedding.safetensors", lambda f: (f / "embedding.safetensors").unlink()),
    "no templates": ("templates.safetensors", lambda f: (f / "templates.safetensors").unlink()),
    "cut weights": ("detector.safetensors", lambda f: os.truncate(f / "detector.safetensors", 1000)),
    "a pickle": (
        "detector.safetensors",
        lambda f: (f / "detector.safetensors").write_bytes(b"\x80\4cos\nsystem\n."),
    ),
    "a huge header": (
        "detector.safetensors",
        lambda f: (f / "detector.safetensors").write_bytes(struct.pack("<Q", 2**60) + b"{}"),
    ),
    "weights of another": (
        "detector.safetensors",
        lambda f: (f / "detector.safetensors").write_bytes((f / "embedding.safetensors").read_bytes()),
    ),
    "wrong shapes": (
        "embedding.safetensors",
        spoil_tensors("embedding", lambda t: {name: v.flatten()[:1].clone() for name, v in t.items()}),
    ),
    "a weight less": (
        "embedding.safetensors",
        spoil_tensors("embedding", lambda t: dict(list(t.items())[1:])),
    ),
    "templates of other landmarks": (
        "templates.safetensors",
        spoil_tensors("templates", lambda t: {**t, "positions": t["positions"][:, :3].clone()}),
    ),
    "channels without number": ("embedding.safetensors", deeper("embedding", "channels", [10**6] * 5)),
    "shrunk to nothing": ("model.json", deeper("embedding", "downsampling", 0)),
    "of other axes": ("model.json", deeper("embedding", "spatial_dims", 3)),
    "an unknown setting": ("model.json", deeper("detector", "magic", 1)),
    "another schema": (
        "model.json",
        spoil_json("schema", LandmarkSchema(("a", "b")).to_json()),
    ),
    "no schema": ("model.json", spoil_json("schema", None)),
    "a canvas of text": ("model.json", spoil_json("canvas", "large")),
    "a huge canvas": ("model.json", spoil_json("canvas", [10**7, 10**7])),
    "another program's": ("model.json", spoil_json("format", "other")),
    "a newer version": ("model.json", spoil_json("version", 99)),
    "no sidecar": ("001", lambda f: (f / "model.json").unlink()),
    "a sidecar of a gigabyte": ("model.json", lambda f: huge(f / "model.json", b"{")),
    "brackets without end": ("model.json", lambda f: (f / "model.json").write_text("[" * 100_000)),
}


@pytest.mark.parametrize("name", MODELS)
def test_models(study, name):
    file, spoil = MODELS[name]
    spoil(study.models_dir / "001")
    with pytest.raises(InputError) as caught:
        load_model(study, name="001", device="cpu")
    assert file in str(caught.value) or "no model" in str(caught.value)
    assert "\n" not in str(caught.value)


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
def test_studies(tmp_path, name):
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


def test_there_are_enough_kinds():
    assert len(TABLES) + len(MODELS) + len(STUDIES) > 60
