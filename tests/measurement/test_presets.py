from __future__ import annotations

import math

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.measurement_language.schema_file import SchemaFile
from napari_landmark.measurement.cohort_landmarks import CohortLandmarks
from napari_landmark.measurement.evaluation import BETWEEN_LIMITS, measure_cohort
from napari_landmark.measurement.presets.preset import PRESET_NAMES, preset

SPACING = 0.1
# A face that looks to the right, in pixels (x, y) in the order of the preset.
FACE = np.array([
    (600, 500), (1100, 450), (1050, 680), (500, 700), (1080, 980), (1050, 1300), (1060, 1420), (1000, 1490),
    (1040, 1470), (610, 1250), (1120, 1160), (1150, 1150), (1230, 1080), (1210, 1230), (1180, 1010), (1150, 1440),
    (720, 940), (1120, 930), (560, 800),
], float)  # fmt: skip


def measured(schema: SchemaFile, points: np.ndarray, *, spacing: float = SPACING, sex: str = "") -> dict:
    """Measured values by name, of points (x, y)."""
    n = len(points)
    landmarks = CohortLandmarks.from_arrays(
        ("film",),
        schema.landmarks.names,
        points[None, :, ::-1],
        np.full((1, n), np.nan),
        np.ones((1, n), bool),
        np.full((1, 2), spacing),
        ("user",),
    )
    row = measure_cohort(schema.measurements, landmarks).row("film", sex=sex)
    return {one.measurement.name: one for one in row}


def challenge(points: np.ndarray, spacing: float) -> dict[str, float]:
    """The eight measurements of the challenge, from points 1 to 19 of a face that looks to the right."""

    def line(a, b):
        return points[b - 1] - points[a - 1]

    def angle(u, v):
        return math.degrees(math.acos(np.dot(u, v) / np.linalg.norm(u) / np.linalg.norm(v)))

    def cross(u, v):
        return u[0] * v[1] - u[1] * v[0]

    sna, snb = angle(line(2, 1), line(2, 5)), angle(line(2, 1), line(2, 6))
    palatal = angle(line(4, 3), line(17, 18)) * (-1 if cross(line(4, 3), line(17, 18)) < 0 else 1)
    jaws = angle(line(2, 7), line(5, 6)) * (-1 if cross(line(2, 7), line(5, 6)) > 0 else 1)
    tips = line(11, 12)
    return {
        "SNA": sna,
        "SNB": snb,
        "ANB": sna - snb,
        "ODI": angle(line(8, 10), line(6, 5)) + palatal,
        "APDI": angle(line(3, 4), line(2, 7)) + jaws + palatal,
        "FHI": np.linalg.norm(line(1, 10)) / np.linalg.norm(line(2, 8)),
        "SN-GoGn (challenge FMA)": angle(line(1, 2), line(10, 9)),
        "incisor distance (challenge MW)": np.linalg.norm(tips) * spacing * (1 if tips[0] > 0 else -1),
    }


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("looks_left", [False, True])
def test_the_eight_measurements_of_the_challenge(seed, looks_left):
    points = FACE + np.random.default_rng(seed).normal(size=FACE.shape) * 25
    expected = challenge(points, SPACING)
    shown = points * [-1, 1] + [1935, 0] if looks_left else points
    found = measured(preset("cephalometric"), shown)
    assert {name: found[name].value for name in expected} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("SNA", {79.39: "retrognathic maxilla", 79.4: "normal maxilla", 83.2: "normal maxilla"}),
        ("SNA", {83.21: "prognathic maxilla"}),
        ("SNB", {74.59: "retrognathic mandible", 74.6: "normal mandible", 78.71: "prognathic mandible"}),
        ("ANB", {3.19: "class III", 3.2: "class I", 5.7: "class I", 5.71: "class II"}),
        ("ODI", {68.39: "open bite tendency", 68.4: "normal overbite", 80.51: "deep bite tendency"}),
        ("APDI", {77.59: "class II tendency", 77.6: "normal", 85.21: "class III tendency"}),
        ("FHI", {0.649: "long face", 0.65: "normal face height", 0.751: "short face"}),
        ("SN-GoGn (challenge FMA)", {26.79: "low angle", 26.8: "normal mandibular angle", 31.41: "high angle"}),
        ("incisor distance (challenge MW)", {-0.1: "anterior crossbite", 0: "edge to edge", 1: None}),
        ("incisor distance (challenge MW)", {1.99: None, 2: "normal overjet", 4.51: "large overjet"}),
    ],
)  # fmt: skip
def test_limits_of_the_classes(name, limits):
    measurement = preset("cephalometric").measurements.measurement(name)
    found = {value: measurement.class_of(value) for value in limits}
    assert {value: one and one.name for value, one in found.items()} == limits


def test_an_overjet_below_two_millimetres_is_between_the_limits():
    points = FACE.copy()
    points[11] = points[10] + [10, 0]
    overjet = measured(preset("cephalometric"), points)["incisor distance (challenge MW)"]
    assert overjet.value == pytest.approx(1.0)
    assert overjet.class_name == BETWEEN_LIMITS


def test_signs_of_downs_and_steiner():
    found = measured(preset("cephalometric"), FACE)
    assert found["angle of convexity"].value > 0  # A is in front of N-Pog
    assert found["A-B plane to facial plane"].value < 0  # B is behind A
    points = FACE.copy()
    points[4] -= [120, 0]  # A far behind
    behind = measured(preset("cephalometric"), points)
    assert behind["angle of convexity"].value < 0
    assert behind["A-B plane to facial plane"].value > found["A-B plane to facial plane"].value
    assert found["U1 to N-A"].value > 0
    assert found["Holdaway ratio"].value is None or found["Pog to N-B"].value > 0.5


def test_without_spacing_the_lengths_are_left_out_and_the_height_index_is_not():
    found = measured(preset("cephalometric"), FACE, spacing=math.nan)
    assert found["incisor distance (challenge MW)"].left_out == "needs the spacing, which is unknown"
    assert found["FHI"].value == pytest.approx(challenge(FACE, 1)["FHI"])


def test_varus_is_below_180_degrees_on_both_legs():
    schema = preset("hip_knee_ankle")
    points = dict.fromkeys(schema.landmarks.names)
    for side, x, outward in (("right", 300, -1), ("left", 700, 1)):  # the patient's right is on the left
        bow = 30 * outward
        points |= {
            f"{side} femoral head centre": (x, 100), f"{side} knee centre": (x + bow, 600),
            f"{side} ankle centre": (x, 1100), f"{side} medial femoral condyle": (x + bow - 40 * outward, 600),
            f"{side} lateral femoral condyle": (x + bow + 40 * outward, 600),
            f"{side} medial tibial plateau": (x + bow - 40 * outward, 610),
            f"{side} lateral tibial plateau": (x + bow + 40 * outward, 610),
        }  # fmt: skip
    found = measured(schema, np.array([points[name] for name in schema.landmarks.names], float))
    expected = 180 - 2 * math.degrees(math.atan(30 / 500))
    for side in ("right", "left"):
        assert found[f"{side} HKA"].value == pytest.approx(expected)
        assert found[f"{side} HKA"].class_name == "varus"
        tilt = math.degrees(math.atan(30 / 500))
        assert found[f"{side} mLDFA"].value == pytest.approx(90 + tilt)
        assert found[f"{side} MPTA"].value == pytest.approx(90 - tilt)
        assert found[f"{side} JLCA"].value == pytest.approx(0, abs=1e-9)
        assert found[f"{side} mechanical axis deviation"].value == pytest.approx(3.0)
    assert found["leg length difference (right - left)"].value == pytest.approx(0)


def test_hips_are_measured_from_the_line_of_the_teardrops():
    schema = preset("hip")
    points = {}
    for side, x, outward in (("right", 400, -1), ("left", 800, 1)):
        points |= {
            f"{side} teardrop": (x, 500),
            f"{side} acetabular rim": (x + 100 * outward, 400),
            f"{side} medial end of the sourcil": (x + 40 * outward, 390),
            f"{side} femoral head, medial": (x + 10 * outward, 450),
            f"{side} femoral head, upper": (x + 60 * outward, 400),
            f"{side} femoral head, lateral": (x + 110 * outward, 450),
        }
    array = np.array([points[name] for name in schema.landmarks.names], float)
    turn = math.radians(7)
    turned = array @ np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    for shown in (array, turned, array * [-1, 1]):
        found = measured(schema, shown, sex="f")
        for side in ("right", "left"):
            assert found[f"{side} Sharp angle"].value == pytest.approx(45)
            # The rim is 40 lateral of the head's centre and 50 above it.
            assert found[f"{side} CE angle (Wiberg)"].value == pytest.approx(math.degrees(math.atan(40 / 50)))
            # The sourcil falls by 10 over 60 to its lateral end.
            assert found[f"{side} Tönnis angle"].value == pytest.approx(-math.degrees(math.atan(10 / 60)))
    assert found["right Sharp angle"].norm.mean == 40.7
    assert measured(schema, array)["right Sharp angle"].norm is None


def test_cobb_of_a_bent_spine():
    schema = preset("spine_cobb")
    tilts = {name: 0.0 for name in ("T1", "T2", "T3")}
    tilts |= {f"T{n}": 20.0 for n in range(4, 9)} | {f"T{n}": -5.0 for n in range(9, 13)}
    tilts |= {f"L{n}": -12.0 for n in range(1, 6)}
    rows = []
    for number, (_, tilt) in enumerate(tilts.items()):
        rise = 40 * math.tan(math.radians(tilt))
        y = 100 * number
        rows += [(0, y), (40, y - rise), (40, y + 80 - rise), (0, y + 80)]
    found = measured(schema, np.array(rows, float))
    assert found["Cobb angle, largest"].value == pytest.approx(32)
    assert found["Cobb angle, thoracic (T1-T12)"].value == pytest.approx(25)
    assert found["Cobb angle, lumbar (L1-L5)"].value == pytest.approx(0, abs=1e-6)
    assert found["T5-T12 angle"].value == pytest.approx(25)


def test_the_extended_cephalogram_measures_incisors_and_lips():
    schema = preset("cephalometric_extended")
    points = dict(zip(schema.landmarks.names, FACE, strict=False)) | {
        "Upper incisor apex": (1090, 960), "Lower incisor apex": (1070, 1340), "Upper molar cusp": (880, 1150),
        "Lower molar cusp": (880, 1160), "Pronasale": (1320, 900), "Soft tissue nasion": (1140, 450),
        "Soft tissue glabella": (1150, 380), "Columella": (1260, 960), "Condylion": (540, 740),
        "Basion": (450, 850), "Pterygoid point": (700, 760), "D": (1020, 1420),
    }  # fmt: skip
    found = measured(schema, np.array([points[name] for name in schema.landmarks.names], float))
    values = {name: one.value for name, one in found.items()}
    assert all(value is not None or name == "Holdaway ratio" for name, value in values.items())
    assert values["FMA"] + values["FMIA"] + values["IMPA"] == pytest.approx(180)
    # Both lips are behind the line from the nose to the chin, and A is in front of B.
    assert values["upper lip to E line"] < 0
    assert values["Wits (bisecting occlusal plane)"] > 0
    assert 100 < values["interincisal angle (Steiner)"] < 160
    assert values["L1 to occlusal plane"] > 0
    assert values["soft tissue facial convexity"] > 0


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_presets_define_every_landmark_and_name_their_sources(name, tmp_path):
    schema = preset(name)
    assert all(schema.landmarks.definitions)
    assert schema.landmarks.links
    assert schema.title
    for one in schema.measurements.measurements:
        assert one.text and one.source and one.analyses
        assert all(norm.source for norm in one.norms)
    schema.write(tmp_path / "schema.json")
    assert SchemaFile.read(tmp_path / "schema.json") == schema


def test_an_unknown_preset_is_told_with_a_similar_one():
    with pytest.raises(InputError, match="'cephalometrc', did you mean 'cephalometric'"):
        preset("cephalometrc")
