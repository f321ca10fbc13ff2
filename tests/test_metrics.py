"""Radial errors, detection rates and Dice: definitions, units, matching by name."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_landmark.data.errors import InputError, UnknownSpacingError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.images.local_structure import certain_directions
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.metrics import dice, evaluate, radial_errors

SHARED = Path(__file__).parents[1].parent / "shared/data"
SCHEMA = LandmarkSchema(("a", "b"))
NOWHERE = (np.nan, np.nan)


def marks(*rows, schema=SCHEMA, status=Status.PLACED):
    return LandmarkSet.from_array(schema, rows, status)


TRUTH = {"1": marks((0, 0), (10, 10)), "2": marks((0, 0), (10, 10))}
FOUND = {"1": marks((3, 4), (10, 10)), "2": marks((0, 2), NOWHERE)}  # 5, 0, 2 pixels and one missing


class TestNumbers:
    def test_pixels(self):
        result = evaluate(FOUND, TRUTH)
        assert result.mre_px == pytest.approx(7 / 3)
        assert result.median_px == 2
        assert result.mre_mm is result.median_mm is None
        assert result.unit == "px"
        assert result.sdr == {"2": 50, "2.5": 50, "3": 50, "4": 50}
        assert (result.n_images, result.n_landmarks, result.n_missing) == (2, 2, 1)

    def test_millimetres_of_each_image(self):
        geometries = {"1": Geometry((9, 9), (0.5, 0.5)), "2": Geometry((9, 9), (9, 2))}
        result = evaluate(FOUND, TRUTH, geometries=geometries)
        assert result.mre_mm == pytest.approx((2.5 + 0 + 4) / 3)
        assert result.median_mm == 2.5
        assert result.mre_px == pytest.approx(7 / 3)
        assert result.sdr == {"2": 25, "2.5": 50, "3": 50, "4": 75}
        assert result.unit == "mm"

    def test_a_given_spacing_takes_precedence_over_the_files(self):
        geometries = dict.fromkeys("12", Geometry((9, 9), (7, 7)))
        assert evaluate(FOUND, TRUTH, geometries=geometries, spacing=0.1).mre_mm == pytest.approx(0.7 / 3)

    def test_an_unknown_spacing_leaves_no_millimetres(self):
        result = evaluate(FOUND, TRUTH, geometries={"1": Geometry((9, 9), (0.5, 0.5)), "2": Geometry((9, 9))})
        assert result.mre_mm is None
        assert result.per_landmark["b"].mre_mm is None
        assert result.unit == "px"

    def test_an_image_without_prediction_needs_no_spacing(self):
        geometries = {"1": Geometry((9, 9), (0.5, 0.5))}
        result = evaluate({"1": FOUND["1"]}, TRUTH, geometries=geometries)
        assert result.mre_mm == pytest.approx(1.25)
        assert result.sdr["4"] == 50

    def test_on_the_radius_is_within(self):
        truth, found = {"1": marks((0, 0), NOWHERE)}, {"1": marks((0, 20), NOWHERE)}
        assert evaluate(found, truth, spacing=0.1).sdr["2"] == 100

    def test_volumes_with_thick_slices(self):
        schema = LandmarkSchema(("a",))
        found, truth = marks((1, 2, 3), schema=schema), marks((0, 0, 0), schema=schema)
        direction = ((0, 1, 0), (-1, 0, 0), (0, 0, 1))
        geometry = Geometry((9, 9, 9), (5, 1, 0.5), direction=direction)
        result = evaluate({"v": found}, {"v": truth}, geometries={"v": geometry})
        assert result.mre_mm == pytest.approx(np.sqrt(25 + 4 + 2.25))
        assert radial_errors(found, truth, geometry=geometry) == {"a": pytest.approx(result.mre_mm)}

    def test_per_landmark(self):
        row = evaluate(FOUND, TRUTH, spacing=0.5).per_landmark["b"]
        assert (row.mre_mm, row.mre_px, row.n, row.n_missing) == (0, 0, 2, 1)
        assert row.sdr["2"] == 50

    def test_a_landmark_without_prediction(self):
        result = evaluate({"1": marks((0, 0), NOWHERE)}, TRUTH)
        assert result.per_landmark["b"].mre_px is None
        assert result.per_landmark["b"].sdr["4"] == 0

    @settings(max_examples=30)
    @given(st.integers(0, 9999), st.integers(1, 6), st.integers(1, 6))
    def test_against_plain_arithmetic(self, seed, n_images, n_landmarks):
        rng = np.random.default_rng(seed)
        schema = LandmarkSchema(tuple(map(str, range(n_landmarks))))
        true = rng.uniform(0, 100, (n_images, n_landmarks, 2))
        found = true + rng.normal(0, 3, true.shape)
        result = evaluate(
            {str(i): marks(*rows, schema=schema) for i, rows in enumerate(found)},
            {str(i): marks(*rows, schema=schema) for i, rows in enumerate(true)},
        )
        errors = np.linalg.norm(found - true, axis=-1)
        assert result.mre_px == pytest.approx(errors.mean())
        assert result.median_px == pytest.approx(np.median(errors))
        assert result.sdr["2.5"] == pytest.approx(100 * (errors <= 2.5).mean())
        assert result.per_landmark["0"].mre_px == pytest.approx(errors[:, 0].mean())


class TestMatching:
    def test_landmarks_by_name(self):
        turned = LandmarkSchema(("b", "extra", "a"))
        found = {"1": marks((10, 10), (5, 5), (0, 0), schema=turned)}
        result = evaluate(found, {"1": TRUTH["1"]})
        assert result.mre_px == 0
        assert list(result.per_landmark) == ["a", "b"]

    def test_unmatched_images_are_named(self):
        found = {"1": FOUND["1"], "3": FOUND["1"], "2": LandmarkSet(SCHEMA)}
        result = evaluate(found, {**TRUTH, "4": TRUTH["1"]})
        assert result.images_without_prediction == ("2", "4")
        assert result.images_without_truth == ("3",)
        assert result.n_missing == 4

    def test_a_landmark_missing_in_the_truth_is_not_scored(self):
        truth = {"1": LandmarkSet(SCHEMA, [Landmark("a", (0, 0), "placed"), Landmark("b", None, "missing")])}
        result = evaluate({"1": FOUND["1"]}, truth)
        assert result.n_landmarks == 1
        assert result.n_missing == 0


class TestJson:
    def test_exactly_the_agreed_object(self):
        result = json.loads(json.dumps(evaluate(FOUND, TRUTH, spacing=0.5, radii=(2, 2.5)).to_json()))
        assert result == {
            "mre_mm": pytest.approx(7 / 6),
            "mre_px": pytest.approx(7 / 3),
            "median_px": 2.0,
            "sdr": {"2": 50.0, "2.5": 75.0},
            "per_landmark": {
                "a": {"mre_mm": 1.75, "mre_px": 3.5, "sdr": {"2": 50.0, "2.5": 100.0}, "n": 2},
                "b": {"mre_mm": 0.0, "mre_px": 0.0, "sdr": {"2": 50.0, "2.5": 50.0}, "n": 2},
            },
            "n_images": 2,
            "n_landmarks": 2,
            "n_missing": 1,
        }

    def test_null_without_spacing(self):
        assert json.loads(json.dumps(evaluate(FOUND, TRUTH).to_json()))["mre_mm"] is None


class TestMistakes:
    @pytest.mark.parametrize(
        ("found", "truth", "message"),
        [
            (FOUND, {}, "truth holds no landmark"),
            (FOUND, {"1": LandmarkSet(SCHEMA)}, "truth holds no landmark"),
            ({"x": FOUND["1"]}, TRUTH, "no image is both.*'x'.*'1'"),
            ({}, TRUTH, "no image is both.*'nothing'.*'1'"),
            ({"1": marks((1, 1), schema=LandmarkSchema(("z",)))}, TRUTH, "no landmark is both.*'z'.*'a'"),
            ({"1": marks((1, 1, 1), (1, 1, 1))}, TRUTH, "1: landmark 'a' has 3 coordinates"),
        ],
    )
    def test_nothing_to_compare(self, found, truth, message):
        with pytest.raises(InputError, match=message):
            evaluate(found, truth)

    def test_spacing_and_radii(self):
        with pytest.raises(InputError, match="spacing"):
            evaluate(FOUND, TRUTH, spacing=(1, 1, 1))
        with pytest.raises(InputError, match="radius of -1"):
            evaluate(FOUND, TRUTH, radii=(-1,))
        with pytest.raises(InputError, match="no radii"):
            evaluate(FOUND, TRUTH, radii=())
        with pytest.raises(InputError, match="1: landmarks of 2 coordinates"):
            evaluate(FOUND, TRUTH, geometries={"1": Geometry((9, 9, 9), (1, 1, 1))})

    def test_radial_errors_need_a_spacing(self):
        with pytest.raises(UnknownSpacingError):
            radial_errors(FOUND["1"], TRUTH["1"], geometry=Geometry((9, 9)))


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared images")
def test_two_readers_of_cephalograms_differ_as_published():
    """2.36 mm between the readers of the first test set."""
    readers = {"senior": {}, "junior": {}}
    with (SHARED / "cephalograms/landmarks.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "test1"]
    schema = LandmarkSchema(tuple(dict.fromkeys(row["landmark"] for row in rows)))
    for reader, images in readers.items():
        for row in rows:
            position = (float(row[f"{reader}_y"]), float(row[f"{reader}_x"]))
            found = images.setdefault(row["image"], LandmarkSet(schema))
            images[row["image"]] = found.with_landmark(Landmark(row["landmark"], position, Status.PLACED))
    result = evaluate(readers["junior"], readers["senior"], spacing=0.2)
    assert (result.n_images, result.n_landmarks) == (150, 19)
    assert result.mre_mm == pytest.approx(2.36, abs=0.1)


class TestDice:
    def test_overlap_of_two_squares(self):
        a, b = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.int32)
        a[2:12, 2:12] = 7
        b[2:12, 7:17] = 7
        assert dice(a, b) == {7: 0.5}

    def test_labels_of_one_map_only_and_of_none(self):
        a, b = np.array([0, 1, 1, 3]), np.array([0, 1, 2, 3])
        assert dice(a, b) == {1: pytest.approx(2 / 3), 2: 0, 3: 1}
        assert dice(np.zeros((3, 3), int), np.zeros((3, 3), int)) == {}

    def test_large_labels(self):
        a = np.array([2**31 - 1, 0], np.int32)
        assert dice(a, a) == {2**31 - 1: 1}

    def test_maps_of_different_shape(self):
        with pytest.raises(ValueError, match="shape"):
            dice(np.zeros((3, 3), int), np.zeros((3, 4), int))

    @given(st.integers(0, 10_000))
    def test_by_its_definition(self, seed):
        a, b = np.random.default_rng(seed).integers(0, 4, (2, 5, 6))
        for label, value in dice(a, b).items():
            assert value == pytest.approx(
                2 * ((a == label) & (b == label)).sum() / ((a == label).sum() + (b == label).sum())
            )
            assert dice(b, a)[label] == value


class TestDirections:
    """An edge along the columns: errors of 3 across it and 4 along."""

    names = LandmarkSchema(("a", "b", "c"))
    corners = ((50, 50), (50, 80), (80, 60))

    def directions(self, spacing=None):
        array = np.zeros((120, 120), np.float32)
        array[50:] = 1
        array[80:] = 0
        image = MedicalImage(array, Geometry((120, 120), spacing), "t.png")
        return certain_directions(image, marks(*self.corners, schema=self.names))

    def test_across_and_along(self):
        truth = {"1": marks(*self.corners, schema=self.names)}
        found = {"1": marks(*np.add(self.corners, (3, -4)), schema=self.names)}
        result = evaluate(found, truth, directions=self.directions())
        assert result.across == pytest.approx(3, abs=0.05)
        assert result.along == pytest.approx(4, abs=0.05)
        assert result.per_landmark["b"].across == pytest.approx(3, abs=0.05)

    def test_in_a_turned_image_with_a_spacing(self):
        quarter = np.array([[0, 1], [-1, 0]])
        turned = np.array(self.corners) @ quarter + (0, 200)
        truth = {"1": marks(*turned, schema=self.names)}
        found = {"1": marks(*(turned + np.array((3, -4)) @ quarter), schema=self.names)}
        result = evaluate(found, truth, spacing=0.5, directions=self.directions((0.5, 0.5)))
        assert (result.across, result.along) == (pytest.approx(1.5, abs=0.05), pytest.approx(2, abs=0.05))

    def test_without_directions(self):
        result = evaluate(FOUND, TRUTH)
        assert result.across is result.along is None
        assert "across" not in result.to_json()


class TestStatedErrors:
    def stated(self, covariance, error):
        rows = np.broadcast_to(np.array(covariance, float), (2, 2, 2))
        return LandmarkSet.from_array(
            SCHEMA, [(0, 0), (10, 10)], Status.PREDICTED, expected_error=[error, error], covariance=rows
        )

    def test_mean_and_coverage(self):
        # 90% of a normal distribution are within 2.146 standard deviations: 4 is inside along, outside across.
        found = {"1": self.stated([[1, 0], [0, 4]], 2.0)}
        along = evaluate(found, {"1": marks((0, 4), (10, 14))}, spacing=0.5)
        assert along.stated == pytest.approx(1.0)
        assert along.coverage == 100
        assert evaluate(found, {"1": marks((4, 0), (10, 14))}).coverage == 50

    def test_a_covariance_without_extent_holds_nothing(self):
        found = {"1": self.stated([[0, 0], [0, 0]], 2.0)}
        assert evaluate(found, {"1": marks((0, 4), (10, 14))}).coverage == 0

    def test_not_stated(self):
        assert evaluate(FOUND, TRUTH).coverage is evaluate(FOUND, TRUTH).stated is None
