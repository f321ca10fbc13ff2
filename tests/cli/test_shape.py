"""`napari-landmark shape`, on drawn hands."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from napari_landmark.cli.app import main
from napari_landmark.data.curves import Curve
from napari_landmark.data.formats.registry import read_landmarks, write_landmarks
from napari_landmark.data.landmarks import Landmark, LandmarkSet, Status
from napari_landmark.data.study.image_facts import ImageDecision, ImageFacts
from napari_landmark.data.study.schema_migration import change_schema, with_curve
from napari_landmark.data.study.study import Study
from napari_landmark.synthetic import SCHEMA, hand_phantom

COUNT = 9


@pytest.fixture(scope="module")
def hands() -> dict[str, LandmarkSet]:
    return {(p := hand_phantom(seed)).image.name: p.landmarks for seed in range(COUNT)}


@pytest.fixture
def table(hands, tmp_path):
    """Landmarks of nine hands, of which the fifth has two exchanged and the sixth misses one."""
    sets = dict(hands)
    fifth, sixth = list(sets)[4:6]
    positions = sets[fifth].positions()
    positions[[3, 10]] = positions[[10, 3]]
    sets[fifth] = LandmarkSet.from_array(SCHEMA, positions)
    sets[sixth] = sets[sixth].with_landmark(Landmark(SCHEMA.names[0], status=Status.MISSING))
    write_landmarks(tmp_path / "hands.csv", sets)
    return tmp_path / "hands.csv"


def rows(path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_tables_figures_and_summary(table, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["shape", str(table), "--out", str(out)]) == 0
    captured = capsys.readouterr()
    first, second = SCHEMA.names[3], SCHEMA.names[10]
    assert f"{first} and {second} seem exchanged" in captured.out
    assert "hand_005.png: left out, missing: " + SCHEMA.names[0] in captured.err
    assert "sizes are in pixels" in captured.err
    odd = rows(out / "odd_shapes.csv")
    assert odd[0]["image"] == "hand_004.png"
    assert odd[0]["finding"] == f"{first} and {second} seem exchanged"
    assert len(odd) == COUNT
    assert next(row for row in odd if row["image"] == "hand_005.png")["missing_landmarks"] == SCHEMA.names[0]
    assert {row["exchanged_with"] for row in rows(out / "odd_landmarks.csv")[:2]} == {first, second}
    coordinates = rows(out / "procrustes.csv")
    assert len(coordinates) == COUNT - 1
    values = np.array([[float(value) for key, value in row.items() if key != "image"] for row in coordinates])
    np.testing.assert_allclose((values**2).sum(1), 1, atol=1e-9)  # unit centroid size
    sizes = rows(out / "sizes.csv")
    assert "centroid_size_px" in sizes[0]
    assert len(rows(out / "scores.csv")) == COUNT - 1
    assert sum(float(row["share"]) for row in rows(out / "components.csv")) == pytest.approx(1)
    assert (out / "shape.pdf").read_bytes().startswith(b"%PDF")
    assert (out / "component_1.png").stat().st_size > 5000
    record = json.loads((out / "shape.run.json").read_text())
    assert record["arguments"]["source"] == "hands.csv"
    assert not (out / "sliders.csv").exists()


def test_millimetres_and_estimates(table, hands, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["shape", str(table), "--out", str(out), "--spacing", "0.5", "--missing", "estimate", "--json"]
    assert main(command) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["unit"] == "mm"
    assert found["n_images"] == COUNT
    assert found["estimated"] == {"hand_005.png": [SCHEMA.names[0]]}
    assert "estimated: " + SCHEMA.names[0] in captured.err
    assert found["odd"][0]["exchanged"] == [[SCHEMA.names[3], SCHEMA.names[10]]]
    sizes = {row["image"]: float(row["centroid_size_mm"]) for row in rows(out / "sizes.csv")}
    positions = hands["hand_000.png"].positions() * 0.5
    assert sizes["hand_000.png"] == pytest.approx(np.linalg.norm(positions - positions.mean(0)))


def test_a_study_with_curves_and_images_left_out(hands, tmp_path, capsys):
    study = Study.create(tmp_path / "study", schema=SCHEMA, spacing=0.25)
    change_schema(study, with_curve(SCHEMA, Curve("border", SCHEMA.names[0], SCHEMA.names[1], 2)))
    for image, marks in hands.items():
        ends = marks.positions()[:2]
        inner = [ends[0] + (ends[1] - ends[0]) * share for share in (1 / 3, 2 / 3)]
        study.save_annotations(
            image, LandmarkSet.from_array(study.schema, np.concatenate([marks.positions(), inner]))
        )
    study.decide("hand_003.png", ImageDecision.LEFT_OUT)
    study.set_facts("hand_001.png", ImageFacts(None, "", "", {"group": "control"}))
    out = tmp_path / "out"
    assert main(["shape", str(study.folder), "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert "hand_003.png: left out by a user" in captured.err
    assert " mm (SD" in captured.out
    groups = {row["image"]: row["group"] for row in rows(out / "sizes.csv")}
    assert groups["hand_001.png"] == "control" and groups["hand_002.png"] == ""
    n = len(SCHEMA)
    assert [list(row.values()) for row in rows(out / "sliders.csv")] == [
        ["1", str(n + 1), str(n + 2)],
        [str(n + 1), str(n + 2), "2"],
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--unit", "mm"], "spacing of 9 of 9 images is not known"),
        (["--without", "nothing"], "unknown landmark 'nothing'"),
    ],
)
def test_what_cannot_be_analysed_is_told(table, tmp_path, refused, options, words):
    assert words in refused("shape", table, "--out", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_a_study_without_landmarks(tmp_path, refused):
    Study.create(tmp_path / "study", schema=SCHEMA)
    assert "no image has landmarks" in refused("shape", tmp_path / "study", "--out", tmp_path / "out")


def test_converting_to_the_formats_of_morphometrics(table, tmp_path, capsys):
    assert main(["convert", str(table), str(tmp_path / "a.wide.csv")]) == 0
    assert read_landmarks(tmp_path / "a.wide.csv").keys() == read_landmarks(table).keys()
    capsys.readouterr()
    assert main(["convert", str(table), str(tmp_path / "a.morphoj.txt")]) == 2
    assert "hand_005.png: landmark" in capsys.readouterr().err
    whole = tmp_path / "whole.csv"
    write_landmarks(whole, {k: v for k, v in read_landmarks(table).items() if k != "hand_005.png"})
    assert main(["convert", str(whole), str(tmp_path / "a.morphoj.txt")]) == 0
    assert "in pixels" in capsys.readouterr().err
    assert len((tmp_path / "a.morphoj.txt").read_text().splitlines()) == COUNT
