from __future__ import annotations

import hashlib
import json

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.study.provenance import describe_spacing, write_run_record


def test_what_made_a_result_stands_beside_it(tmp_path):
    out = tmp_path / "found.csv"
    out.write_text("hello")
    geometries = [
        Geometry((9, 9)),
        Geometry((9, 9), (0.1, 0.1)),
        Geometry((9, 9), (1, 1), spacing_source="file"),
    ]
    path = write_run_record(
        out,
        "detect",
        {"images": tmp_path / "Jane Doe" / "images", "spacing": None, "device": "cpu"},
        geometries=geometries,
        model="001",
    )
    assert path == tmp_path / "found.csv.run.json"
    record = json.loads(path.read_text())
    assert record["arguments"] == {"images": "images", "device": "cpu"}
    assert record["sha256"] == hashlib.sha256(b"hello").hexdigest()
    assert record["spacing"] == {"unknown": 1, "user": 1, "file": 1}
    assert record["model"] == "001"
    assert {"python", "torch", "numpy"} <= record["versions"].keys()
    assert str(tmp_path) not in path.read_text()
    assert "Jane Doe" not in path.read_text()


def test_a_result_of_several_files(tmp_path):
    files = [tmp_path / "a.tps", tmp_path / "b.tps"]
    for file in files:
        file.write_text(file.name)
    path = write_run_record(tmp_path / "all.tps", "export", {}, files=files)
    record = json.loads(path.read_text())
    assert path == tmp_path / "all.tps.run.json"
    assert record["sha256"] == {file.name: hashlib.sha256(file.name.encode()).hexdigest() for file in files}


def test_the_line_for_people():
    detector = Geometry((9, 9), (1, 1), spacing_source="file", spacing_plane="detector plane")
    line = describe_spacing([detector, detector, Geometry((9, 9))])
    assert line == "spacing: file (detector plane) (2 images), unknown (1 image, in pixels)"
