from __future__ import annotations

import csv
import math

import numpy as np
import pytest

from napari_landmark.agreement.agreement import landmark_agreement, measurement_agreement
from napari_landmark.agreement.readings import Readings
from napari_landmark.agreement.report import write_agreement
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet

SCHEMA = LandmarkSchema(("sella", "nasion", "menton"))


def reading(positions: np.ndarray, prefix: str = "") -> dict[str, LandmarkSet]:
    return {f"{prefix}{n}.png": LandmarkSet.from_array(SCHEMA, rows) for n, rows in enumerate(positions)}


@pytest.fixture
def truth() -> np.ndarray:
    return np.random.default_rng(0).uniform(50, 400, (40, 3, 2))


def test_bias_and_error_are_those_that_were_put_in(truth):
    rng = np.random.default_rng(1)
    second = truth + np.array([0.5, -2.0]) + rng.normal(0, 1, truth.shape)
    given = {"anna": reading(truth), "ben": reading(second)}
    geometries = {image: Geometry((500, 500), (0.5, 0.25)) for image in given["anna"]}
    readings = Readings.from_landmarks(given, geometries=geometries)
    assert readings.unit == "mm"
    found = landmark_agreement(readings)["nasion"]
    pair = found.pairs["anna", "ben"]
    assert found.n == pair.n == 40
    np.testing.assert_allclose(pair.bias, (0.25, -0.5), atol=0.2)  # y, x in millimetres
    assert found.axes["x"].pairs["anna", "ben"].bias == pytest.approx(pair.bias[1])
    assert found.axes["y"].pairs["anna", "ben"].sd == pytest.approx(0.5, rel=0.3)
    assert found.axes["x"].agreement.value > 0.99
    differences = (second - truth)[:, 1] * (0.5, 0.25)
    assert pair.dahlberg == pytest.approx(math.sqrt((differences**2).sum() / 80))
    assert found.dahlberg == pytest.approx(pair.dahlberg)


def test_three_readers_in_volumes(truth):
    rng = np.random.default_rng(2)
    volumes = np.concatenate([truth, truth[..., :1]], axis=2)
    given = {name: reading(volumes + rng.normal(0, 1, volumes.shape)) for name in "abc"}
    found = landmark_agreement(Readings.from_landmarks(given))["sella"]
    assert set(found.axes) == {"x", "y", "z"}
    assert set(found.pairs) == {("a", "b"), ("a", "c"), ("b", "c")}
    assert found.axes["z"].dahlberg == pytest.approx(1, rel=0.3)
    assert found.pairs["a", "b"].ellipse.half_axes.shape == (3,)


def test_images_of_one_reader_are_named_and_gaps_left_out(truth):
    first, second = reading(truth), reading(truth[:30])
    second["extra.png"] = second.pop("7.png")
    gaps = truth.copy()
    gaps[3, 1] = np.nan
    first["3.png"] = LandmarkSet.from_array(SCHEMA, gaps[3])
    readings = Readings.from_landmarks({"a": first, "b": second})
    assert readings.single == {
        "a": ("7.png", *(f"{n}.png" for n in range(30, 40))),
        "b": ("extra.png",),
    }
    assert len(readings.images) == 29
    assert readings.only_one_has(0, 1) == 1
    found = landmark_agreement(readings)
    assert (found["nasion"].n, found["sella"].n) == (28, 29)
    assert readings.unit == "px"


def test_pixels_and_millimetres_are_not_mixed(truth):
    given = {"a": reading(truth), "b": reading(truth)}
    geometries = {image: Geometry((500, 500), (0.5, 0.5)) for image in list(given["a"])[1:]}
    with pytest.raises(InputError, match=r"1 of 40 images is not known \(0.png\)"):
        Readings.from_landmarks(given, geometries=geometries)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda sets: {"a": sets}, "two or more"),
        (lambda sets: {"a": sets, "b": {f"x{k}": v for k, v in sets.items()}}, "no image was read by two"),
        (lambda sets: {"a": sets, "b": {}}, "b: has no landmark"),
        (
            lambda sets: {"a": sets, "b": {k: LandmarkSet(
                LandmarkSchema(("other",)), [Landmark("other", (1, 2), "placed")]) for k in sets}},
            "no landmark was placed by two",
        ),
        (
            lambda sets: {"a": sets, "b": {k: LandmarkSet(
                LandmarkSchema(("sella",)), [Landmark("sella", (1, 2, 3), "placed")]) for k in sets}},
            "two coordinates",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(truth, change, words):
    with pytest.raises(InputError, match=words):
        Readings.from_landmarks(change(reading(truth)))


def test_measurements_are_compared_like_coordinates():
    rng = np.random.default_rng(3)
    angles = rng.normal(80, 5, 50)
    images = [f"{n}.png" for n in range(50)]
    readers = {
        "a": dict(zip(images, angles, strict=True)),
        "b": dict(zip(images, angles + 1 + rng.normal(0, 0.5, 50), strict=True)),
    }
    readers["b"]["3.png"] = None
    readers["a"]["4.png"] = math.nan
    del readers["a"]["5.png"]
    found = measurement_agreement({"SNA": readers, "nowhere": {"a": {"1.png": 2.0}, "b": {"2.png": 1.0}}})
    assert list(found) == ["SNA"]
    assert found["SNA"].n == 47
    assert found["SNA"].pairs["a", "b"].bias == pytest.approx(1, abs=0.3)
    assert found["SNA"].consistency.value > found["SNA"].agreement.value > 0.9
    with pytest.raises(InputError, match=r"1\.png: SNA is infinite"):
        measurement_agreement({"SNA": {"a": {"1.png": math.inf}, "b": {"1.png": 1.0}}})


def test_tables_and_figures_are_written(truth, tmp_path):
    second = truth + np.random.default_rng(1).normal(0, 1, truth.shape)
    readings = Readings.from_landmarks({"a": reading(truth), "=b(1)": reading(second), "c": reading(truth)})
    measured = measurement_agreement(
        {"SNA": {name: {f"{n}.png": n + k for n in range(9)} for k, name in enumerate(readings.readers)}}
    )
    found, files = write_agreement(tmp_path / "out", readings, measurements=measured)
    assert {file.name for file in files} >= {
        "landmarks.csv",
        "coordinates.csv",
        "measurements.csv",
        "agreement.pdf",
    }
    assert all(file.stat().st_size > 100 for file in files)
    rows = list(csv.DictReader((tmp_path / "out/landmarks.csv").read_text().splitlines()))
    assert len(rows) == 3 * 3
    assert rows[0]["second"] == "'=b(1)"  # no formula for a spreadsheet
    assert float(rows[0]["dahlberg_px"]) == pytest.approx(
        found["sella"].pairs["a", "=b(1)"].dahlberg, rel=1e-5
    )
    wide = list(csv.DictReader((tmp_path / "out/coordinates.csv").read_text().splitlines()))
    assert float(wide[0]["icc_2_1"]) == pytest.approx(found["sella"].axes["x"].agreement.value, rel=1e-5)
    assert (tmp_path / "out/agreement.pdf").read_bytes().startswith(b"%PDF")
