"""`napari-landmark agree`, of files and of studies."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_landmark.cli.app import main
from napari_landmark.data.formats.registry import write_landmarks
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.readers import start_reading
from napari_landmark.data.study.study import Study

SCHEMA = LandmarkSchema(("tip", "base", "side"))
IMAGES = [f"{n}.png" for n in range(20)]


@pytest.fixture
def truth() -> np.ndarray:
    return np.random.default_rng(0).uniform(10, 200, (20, 3, 2))


def sets(positions: np.ndarray, status: Status = Status.PLACED) -> dict[str, LandmarkSet]:
    return {
        image: LandmarkSet.from_array(SCHEMA, rows, status)
        for image, rows in zip(IMAGES, positions, strict=False)
    }


@pytest.fixture
def files(truth, tmp_path):
    write_landmarks(tmp_path / "anna.csv", sets(truth))
    write_landmarks(tmp_path / "ben.csv", sets(truth[:15] + np.array([1.0, -2.0])))
    return tmp_path / "anna.csv", tmp_path / "ben.csv"


def test_two_files(files, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["agree", *map(str, files), "--spacing", "0.5", "--out", str(out), "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["readers"] == ["anna", "ben"]
    assert found["n_images"] == 15
    assert found["unit"] == "mm"
    assert "only anna has 15.png" in captured.err
    pair = found["landmarks"]["tip"]["pairs"][0]
    assert pair["bias"] == pytest.approx({"x": -1.0, "y": 0.5})
    assert pair["mean_distance"] == pytest.approx(np.hypot(1, 0.5))
    assert found["landmarks"]["tip"]["axes"]["x"]["icc_3_1"]["value"] == pytest.approx(1)
    assert (out / "agreement.pdf").exists()
    assert json.loads((out / "agreement.run.json").read_text())["arguments"]["readers"] == ["anna", "ben"]


def test_the_table(files, capsys):
    assert main(["agree", *map(str, files), "--names", "first,second"]) == 0
    captured = capsys.readouterr()
    assert "second − first, px" in captured.out
    assert captured.out.count("tip") == 1
    assert "in pixels" in captured.err


def test_readers_and_model_of_a_study(truth, tmp_path, capsys):
    study = Study.create(tmp_path / "study", schema=SCHEMA, spacing=0.1)
    for image, marks in sets(truth).items():
        study.save_annotations(image, marks)
        study.save_predictions(image, sets(truth + 3, Status.PREDICTED)[image])
    reading = start_reading(study, "Anna", images=IMAGES, count=8)
    for image in reading.plan.images:
        reading.save_annotations(image, sets(truth + 1)[image])
    assert main(["agree", str(study.folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["readers"] == ["study", "Anna"]
    assert found["n_images"] == 8
    assert main(["agree", str(study.folder), "--model", "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["readers"] == ["study", "Anna", "model"]
    biases = {(p["first"], p["second"]): p["bias"]["x"] for p in found["landmarks"]["tip"]["pairs"]}
    assert biases == pytest.approx({("study", "Anna"): 0.1, ("study", "model"): 0.3, ("Anna", "model"): 0.2})
    assert "are predictions" in captured.err


def test_what_cannot_be_compared_is_told(files, tmp_path, refused):
    first, second = files
    assert "agreement is of two or more" in refused("agree", first)
    assert "two readers are called 'anna'" in refused("agree", first, first)
    assert "1 names for 2 readers" in refused("agree", first, second, "--names", "x")
    assert "--model takes the predictions of a study" in refused("agree", first, second, "--model")
    assert "is not a study" in refused("agree", tmp_path)


MEASURED = {
    "version": 1,
    "landmarks": [{"name": name} for name in SCHEMA.names],
    "measurements": [
        {
            "name": "length",
            "distance": ["tip", "base"],
            "classes": [{"name": "short", "below": 50}, {"name": "long", "from": 50}],
        },
        {"name": "angle", "angle": ["tip", "base", "side"]},
    ],
}


@pytest.fixture
def schema_file(tmp_path):
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(MEASURED))
    return path


def test_measurements_of_a_schema(truth, tmp_path, schema_file, capsys):
    """The second reader sees everything a tenth larger: lengths grow by that, angles stay."""
    write_landmarks(tmp_path / "anna.csv", sets(truth))
    write_landmarks(tmp_path / "ben.csv", sets(1.1 * truth))
    files = [str(tmp_path / name) for name in ("anna.csv", "ben.csv")]
    command = ["agree", *files, "--spacing", "0.5", "--schema", str(schema_file)]
    assert main([*command, "--out", str(tmp_path / "out"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["measurements"]
    lengths = 0.5 * np.linalg.norm(truth[:, 0] - truth[:, 1], axis=1)
    assert found["length"]["pairs"][0]["bias"] == pytest.approx(0.1 * lengths.mean(), rel=1e-6)
    assert found["angle"]["pairs"][0]["dahlberg"] == pytest.approx(0, abs=1e-6)
    assert found["angle"]["icc_2_1"]["value"] == pytest.approx(1)
    rows = (tmp_path / "out" / "measurements.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["measurement", "length", "length", "angle", "angle"]
    assert main(command) == 0
    text = capsys.readouterr().out
    same = np.mean((lengths < 50) == (1.1 * lengths < 50))
    (line,) = [line for line in text.splitlines() if line.startswith("length ")]
    assert line.endswith(f"{100 * same:.0f}%")


def test_lengths_need_a_spacing_and_angles_do_not(files, schema_file, capsys):
    assert main(["agree", *map(str, files), "--schema", str(schema_file), "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["measurements"]) == ["angle"]


def test_an_unknown_schema_is_refused(files, capsys):
    assert main(["agree", *map(str, files), "--schema", "cephalometrik"]) == 2
    assert "did you mean 'cephalometric'" in capsys.readouterr().err
