from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.formats.coco import read_coco, write_coco
from napari_landmark.data.formats.registry import read_landmarks, write_landmarks
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status

SCHEMA = LandmarkSchema(("nose", "ear", "eye"))
PICTURES = {"a.png": Geometry((100, 80)), "b.png": Geometry((50, 60))}
SETS = {
    "a.png": LandmarkSet(
        SCHEMA, [Landmark("nose", (10, 20), "predicted", 0.5), Landmark("ear", (30, 5.5), "placed")]
    ),
    "b.png": LandmarkSet(SCHEMA, [Landmark("nose", None, "missing")]),
}


def good():
    return {
        "images": [{"id": 7, "file_name": "dir/a.png", "width": 80, "height": 100}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "keypoints": [1, 2, 2, 3, 4, 1, 0, 0, 0]}],
        "categories": [{"id": 3, "name": "person", "keypoints": ["nose", "ear", "eye"]}],
    }


def json_file(path, data):
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


class TestRoundTrip:
    @settings(max_examples=40, deadline=None)
    @given(st.data())
    def test_everything_comes_back(self, folder, drawn, data):
        sets, geometries = data.draw(drawn.sets(2))
        path = folder / "points.json"
        write_landmarks(path, sets, geometries=geometries)
        found = read_landmarks(path)
        assert list(found) == list(sets)
        for image, before in sets.items():
            np.testing.assert_allclose(found[image].positions(), before.positions(), atol=1e-6)
            for name, mark in before.items():
                after = found[image][name]
                assert after.status is mark.status
                if mark.position is not None:
                    assert (after.confidence, after.expected_error) == (mark.confidence, mark.expected_error)


class TestReading:
    def test_visibility(self, tmp_path):
        found = read_coco(json_file(tmp_path / "c.json", good()), geometries=PICTURES)["a.png"]
        assert found["nose"] == Landmark("nose", (2, 1), Status.PLACED)
        assert found["ear"] == Landmark("ear", (4, 3), Status.PLACED, covered=True)
        assert found["eye"] == Landmark("eye")

    @pytest.mark.parametrize(
        ("shape", "reason"), [((50, 40), "was resized"), ((80, 100), "was turned, as the EXIF orientation")]
    )
    def test_the_annotations_of_another_copy(self, tmp_path, shape, reason):
        path = json_file(tmp_path / "c.json", good())
        width, height = shape[::-1]
        with pytest.raises(
            InputError, match=f"80 x 100 pixels, and a.png has {width} x {height}: .*{reason}"
        ):
            read_coco(path, geometries={"a.png": Geometry(shape)})

    @pytest.mark.parametrize(
        "other",
        [
            {"iscrowd": 1, "bbox": [0, 0, 9, 9]},
            {"iscrowd": 1, "keypoints": [0] * 9, "num_keypoints": 0},
            {"iscrowd": 0, "num_keypoints": 0},
            {"iscrowd": 0, "keypoints": [0] * 9},
        ],
    )
    def test_annotations_without_keypoints_beside_one_with(self, tmp_path, other):
        data = good()
        data["annotations"].append({"id": 2, "image_id": 7, "category_id": 3, **other})
        found = read_coco(json_file(tmp_path / "c.json", data))["dir/a.png"]
        assert found["nose"].position == (2, 1)
        assert found["ear"].position == (4, 3)

    def test_two_crowds_with_keypoints(self, tmp_path):
        data = good()
        data["annotations"].append({**data["annotations"][0], "iscrowd": 1})
        with pytest.raises(InputError, match="has several annotations"):
            read_coco(json_file(tmp_path / "c.json", data))

    def test_a_file_without_sizes(self, tmp_path):
        data = good()
        data["images"] = [{"id": 7, "file_name": "a.png"}]
        found = read_coco(json_file(tmp_path / "c.json", data), geometries={"a.png": Geometry((50, 40))})
        assert found["a.png"]["nose"].position == (2, 1)

    def test_images_without_an_annotation(self, tmp_path):
        data = {**good(), "annotations": []}
        found = read_coco(json_file(tmp_path / "c.json", data))
        assert found == {"dir/a.png": LandmarkSet(SCHEMA)}

    def test_a_prediction_moved_since_was_corrected(self, tmp_path):
        write_coco(tmp_path / "c.json", SETS, geometries=PICTURES)
        data = json.loads((tmp_path / "c.json").read_text())
        data["annotations"][0]["keypoints"][0] += 2
        found = read_coco(json_file(tmp_path / "c.json", data))["a.png"]
        assert found["nose"] == Landmark("nose", (10, 22), Status.CORRECTED)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda d: d.pop("images"), "no list 'images'"),
            (lambda d: d["images"].append(dict(d["images"][0])), "image 2: .* there twice"),
            (
                lambda d: d["annotations"].append(d["annotations"][0]),
                r"annotation 2: image dir/a\.png has several",
            ),
            (lambda d: d["annotations"][0].update(image_id=9), "annotation 1: belongs to image 9"),
            (
                lambda d: d["annotations"][0].update(keypoints=[1, 2]),
                "annotation 1: 'keypoints' must be a list of 9",
            ),
            (lambda d: d["annotations"][0]["keypoints"].__setitem__(2, 3), "'nose' has the visibility 3"),
            (
                lambda d: d["annotations"][0]["keypoints"].__setitem__(0, None),
                "'nose' is None: expected a number",
            ),
            (lambda d: d["categories"].clear(), "0 categories with keypoints"),
            (lambda d: d["categories"][0].update(keypoints=["a", "a", "b"]), "there twice"),
        ],
    )
    def test_what_is_wrong_is_said(self, tmp_path, change, message):
        data = good()
        change(data)
        with pytest.raises(InputError, match=message):
            read_coco(json_file(tmp_path / "c.json", data))

    def test_a_point_list_of_slicer(self, tmp_path):
        with pytest.raises(InputError, match=r"\.mrk\.json"):
            read_coco(json_file(tmp_path / "c.json", {"markups": []}))

    @pytest.mark.parametrize(
        "text",
        ["[" * 100_000, "9" * 5000, '{"a": NaN}', "[]", "{", '{"images": [' + "1" * 5000 + "]}", "\x00"],
    )
    def test_json_that_is_none(self, tmp_path, text):
        (tmp_path / "c.json").write_text(text)
        with pytest.raises(InputError, match=r"c\.json"):
            read_coco(tmp_path / "c.json")

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_spoiled_files(self, folder, drawn, survives, data):
        path = folder / "spoiled.json"
        write_coco(path, SETS, geometries=PICTURES)
        content = path.read_bytes()
        spoiled = data.draw(drawn.spoiled(content) | drawn.spoiled_json(content))
        survives(read_coco, path, spoiled)


class TestWriting:
    def test_it_needs_the_sizes(self, tmp_path):
        with pytest.raises(InputError, match=r"a\.png is needed") as caught:
            write_coco(tmp_path / "c.json", SETS)
        assert caught.value.code is ErrorCode.NEEDS_IMAGES

    def test_volumes(self, tmp_path):
        with pytest.raises(InputError, match="is a volume"):
            write_coco(
                tmp_path / "c.json", {"a.png": SETS["a.png"]}, geometries={"a.png": Geometry((9, 9, 9))}
            )

    def test_pycocotools_reads_it(self, tmp_path, capsys):
        coco = pytest.importorskip("pycocotools.coco")
        write_coco(tmp_path / "c.json", SETS, geometries=PICTURES)
        found = coco.COCO(str(tmp_path / "c.json"))
        assert found.loadCats(found.getCatIds())[0]["keypoints"] == list(SCHEMA.names)
        assert found.loadImgs(1)[0] == {"id": 1, "file_name": "a.png", "width": 80, "height": 100}
        (annotation,) = found.loadAnns(found.getAnnIds(imgIds=1))
        assert annotation["keypoints"] == [20, 10, 2, 5.5, 30, 2, 0, 0, 0]
        assert annotation["num_keypoints"] == 2
        assert annotation["bbox"] == [5.5, 10, 14.5, 20]

    def test_pycocotools_finds_no_error_against_itself(self, tmp_path, capsys):
        coco = pytest.importorskip("pycocotools.coco")
        evaluation = pytest.importorskip("pycocotools.cocoeval")
        write_coco(tmp_path / "c.json", SETS, geometries=PICTURES)
        truth = coco.COCO(str(tmp_path / "c.json"))
        results = [{**a, "score": 1.0} for a in truth.loadAnns(truth.getAnnIds()) if a["num_keypoints"]]
        job = evaluation.COCOeval(truth, truth.loadRes(results), "keypoints")
        job.params.kpt_oks_sigmas = np.full(3, 0.1)
        job.params.areaRng, job.params.areaRngLbl = [[0, 1e10]], ["all"]
        job.evaluate()
        job.accumulate()
        assert job.eval["precision"].max() == pytest.approx(1)
