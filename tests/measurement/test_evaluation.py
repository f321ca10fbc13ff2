from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.measurement_language.definition import MeasurementSchema
from napari_landmark.measurement.cohort_landmarks import CohortLandmarks
from napari_landmark.measurement.evaluation import (
    BETWEEN_LIMITS,
    SQUARE_PIXELS,
    ErrorSource,
    construction_points,
    measure_cohort,
)

NAMES = ("A", "B", "C", "D", "E")
LINES = {"x": ["A", "B"], "y": ["C", "D"]}
INVARIANT = (
    {"name": "vertex", "angle": ["A", "B", "C"]},
    {"name": "lines", "angle": [["A", "B"], ["C", "D"]]},
    {"name": "acute", "angle": [["A", "B"], ["C", "D"]], "range": "0-90"},
    {"name": "ratio", "ratio": [{"distance": ["A", "B"]}, {"distance": ["C", ["A", "D"]]}]},
    {"name": "foot", "angle": ["A", {"projection": ["E", ["A", "C"]]}, "D"]},
    {"name": "turned", "angle": [{"perpendicular": ["E", ["A", "B"]]}, ["C", "D"]], "range": "0-90"},
    {"name": "circle", "angle": [{"circle_centre": ["A", "B", "C"]}, "D", "E"]},
    {"name": "pairs", "maximum_over_pairs": {"from": [["A", "B"], ["C", "D"], ["D", "E"]]}, "range": "0-90"},
)
PLANAR = (
    {"name": "circle of four", "angle": [{"circle_centre": ["A", "B", "C", "D"]}, "D", "E"]},
    {"name": "crossing", "angle": [{"intersection": [["A", "B"], ["C", "D"]]}, "C", "E"]},
)
SIGNED = ({"name": "signed", "angle": [["A", "B"], ["C", "D"]], "range": "signed"},)
LENGTHS = (
    {"name": "length", "distance": ["A", "B"]},
    {"name": "to line", "distance": ["C", ["A", "B"]]},
    {"name": "farthest", "maximum_over_pairs": {"from": ["A", "B", "C", "D"]}},
)


def schema(*rows, **more) -> MeasurementSchema:
    return MeasurementSchema.from_json({"measurements": list(rows), **more})


def cohort(positions, *, error=math.nan, manual=False, spacing=1.0, names=NAMES) -> CohortLandmarks:
    """Images of positions (n, m, ndim) in pixels."""
    positions = np.asarray(positions, float)
    n, m, ndim = positions.shape
    return CohortLandmarks.from_arrays(
        tuple(map(str, range(n))),
        tuple(names[:m]),
        positions,
        np.broadcast_to(np.asarray(error, float), (n, m)),
        np.full((n, m), manual),
        np.full((n, ndim), spacing, dtype=float),
        ("user",) * n,
    )


def values(measurements: MeasurementSchema, positions, **more) -> np.ndarray:
    return measure_cohort(measurements, cohort([positions], **more)).values[0]


def rotation(ndim: int, seed: int) -> np.ndarray:
    made, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(ndim, ndim)))
    return made * np.sign(np.linalg.det(made))


seeds = st.integers(0, 2**31)
coordinates = st.tuples(st.integers(2, 3), seeds).map(
    lambda drawn: np.random.default_rng(drawn[1]).uniform(0, 1000, (len(NAMES), drawn[0]))
)


def assume_general(points) -> None:
    """No two points at one place and no three on a line."""
    for a in range(len(points)):
        for b in range(a):
            assume(np.linalg.norm(points[a] - points[b]) > 5)
            for c in range(b):
                u, v = points[b] - points[a], points[c] - points[a]
                cosine = abs(u @ v) / max(np.linalg.norm(u) * np.linalg.norm(v), 1e-9)
                assume(cosine < 0.999)


@given(coordinates, seeds, st.floats(0.01, 100))
def test_angles_and_ratios_do_not_depend_on_pose_and_scale(points, seed, scale):
    assume_general(points)
    rows = INVARIANT if points.shape[1] == 3 else (*INVARIANT, *PLANAR)
    measurements = schema(*rows)
    expected = values(measurements, points)
    moved = scale * points @ rotation(points.shape[1], seed).T + 17.0
    mirrored = points * np.r_[np.ones(points.shape[1] - 1), -1.0]
    finite = np.isfinite(expected)
    assert finite[: len(INVARIANT)].all()
    for other in (moved, mirrored):
        found = values(measurements, other)
        assert_allclose(found[finite], expected[finite], rtol=1e-5, atol=1e-4)


@given(coordinates, seeds, st.floats(0.01, 100))
def test_lengths_scale_and_do_not_depend_on_pose(points, seed, scale):
    measurements = schema(*LENGTHS)
    assume_general(points)
    expected = values(measurements, points)
    found = values(measurements, scale * points @ rotation(points.shape[1], seed).T - 3.0)
    assert_allclose(found, scale * expected, rtol=1e-7)


@given(st.floats(-170, 170), st.floats(0, 360))
def test_a_signed_angle_is_counterclockwise_as_displayed(angle, start):
    def at(degrees):  # y points down
        return np.array([-math.sin(math.radians(degrees)), math.cos(math.radians(degrees))])

    points = np.array([[0, 0], at(start), [5, 5], np.array([5, 5]) + at(start + angle), [0, 9]])
    measurements = schema(*SIGNED, facing=["A", "E"])
    assert values(measurements, points)[0] == pytest.approx(angle, abs=1e-6)
    # A subject that looks to the left is measured as its mirror image.
    assert values(measurements, points * [1, -1])[0] == pytest.approx(angle, abs=1e-6)


def test_a_point_in_front_of_a_line_that_goes_down_is_positive():
    measurements = schema(
        {"name": "to line", "signed_distance": ["C", ["A", "B"]]},
        {"name": "in front", "signed_distance": ["A", "C"]},
        facing=["D", "E"],
    )
    points = np.array([[0, 10], [20, 10], [10, 13], [0, 0], [0, 50]])  # looks to the right
    assert_allclose(values(measurements, points), [3, math.hypot(10, 3)])
    assert_allclose(values(measurements, points * [1, -1]), [3, math.hypot(10, 3)])
    behind = points.copy()
    behind[2, 1] = 7
    assert_allclose(values(measurements, behind), [-3, -math.hypot(10, 3)])


def test_spacing_comes_before_angles():
    points = np.array([[0, 0], [0, 10], [10, 10]])  # 90 degrees however it is stretched, but 45 at A
    measurements = schema({"name": "a", "angle": ["B", "A", "C"]})
    assert values(measurements, points)[0] == pytest.approx(45)
    stretched = values(measurements, points, spacing=(0.5, 1.0))[0]
    assert stretched == pytest.approx(math.degrees(math.atan(0.5)))


def test_circles_through_more_points_are_fitted():
    measurements = schema({"name": "r", "distance": [{"circle_centre": ["A", "B", "C", "D"]}, "A"]})
    angles = np.radians([0, 60, 100, 290])
    points = np.stack([3 + 7 * np.sin(angles), -2 + 7 * np.cos(angles)], axis=1)
    assert values(measurements, points)[0] == pytest.approx(7)


def test_cobb_takes_the_pair_of_the_largest_angle():
    """Endplates tilted by 10, -5, -25 and 0 degrees: the largest angle is between the first and the third."""
    rows = {}
    names, points = [], []
    for number, tilt in enumerate((10, -5, -25, 0)):
        names += [f"l{number}", f"r{number}"]
        slope = math.tan(math.radians(tilt))
        points += [[100 * number, 0], [100 * number + 40 * slope, 40]]
        rows[number] = [f"l{number}", f"r{number}"]
    measurements = schema(
        {"name": "Cobb", "maximum_over_pairs": {"from": list(rows.values())}, "range": "0-90"}
    )
    assert values(measurements, points, names=names)[0] == pytest.approx(35)


def test_from_and_to_are_paired_in_their_order():
    rows = {
        "name": "x",
        "maximum_over_pairs": {"from": [["A", "B"], ["A", "C"]], "to": [["A", "D"], ["A", "E"]]},
    }
    (made,) = schema(rows).measurements
    pairs = [(a.operands[1].name, b.operands[1].name) for a, b in made.expression.pairs()]
    assert pairs == [("B", "D"), ("B", "E"), ("C", "E")]


# -- what is left out ------------------------------------------------------------------------------------


def test_a_missing_landmark_is_named_and_the_rest_is_measured():
    measurements = schema(*INVARIANT)
    points = np.arange(10.0).reshape(5, 2) ** 1.3
    points[3] = np.nan
    measured = measure_cohort(measurements, cohort([points])).row("0")
    reasons = {one.measurement.name: one.left_out for one in measured}
    assert reasons["lines"] == "needs D"
    assert reasons["vertex"] == ""
    assert [one.value is None for one in measured] == [bool(reason) for reason in reasons.values()]


def test_a_landmark_that_left_the_schema_is_told():
    measured = measure_cohort(schema({"name": "a", "angle": ["A", "B", "Z"]}), cohort(np.zeros((1, 5, 2))))
    assert measured.row("0")[0].left_out == "needs Z, which is not among the landmarks"


def test_without_spacing_lengths_are_left_out_and_angles_say_what_they_assume():
    points = np.array([[[0, 0], [3, 0], [3, 4.0]]])
    measurements = schema(
        {"name": "d", "distance": ["A", "B"]},
        {"name": "a", "angle": ["A", "B", "C"]},
        {"name": "r", "ratio": [{"distance": ["A", "B"]}, {"distance": ["A", "C"]}]},
        {"name": "h", "ratio": [{"measurement": "d"}, {"measurement": "d"}], "denominator_above": 0.5},
    )
    measured = measure_cohort(measurements, cohort(points, spacing=math.nan)).row("0")
    assert [one.left_out for one in measured] == [
        "needs the spacing, which is unknown", "", "", "needs the spacing, which is unknown",
    ]  # fmt: skip
    assert [one.note for one in measured] == ["", SQUARE_PIXELS, SQUARE_PIXELS, ""]
    assert measured[1].value == pytest.approx(90)
    assert measured[2].value == pytest.approx(0.6)


def test_volumes_without_spacing_are_not_measured():
    measured = measure_cohort(
        schema({"name": "a", "angle": ["A", "B", "C"]}),
        cohort(np.random.default_rng(0).uniform(size=(1, 3, 3)), spacing=math.nan),
    )
    assert measured.row("0")[0].left_out == "needs the spacing: voxels are rarely cubes"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (SIGNED[0], "a signed angle is defined in pictures only"),
        ({"name": "s", "signed_distance": ["A", "B"]}, "a signed distance is defined in pictures only"),
        (PLANAR[1], "an intersection of lines is defined in pictures only"),
        (PLANAR[0], "a circle through more than three points is defined in pictures only"),
    ],
)
def test_what_a_volume_does_not_define_is_refused_by_name(row, expected):
    measured = measure_cohort(
        schema(row, facing=["A", "B"]), cohort(np.random.default_rng(0).uniform(size=(1, 5, 3)))
    )
    assert measured.row("0")[0].left_out == expected


def test_the_side_is_told_by_landmarks_or_refused():
    points = np.array([[0, 0], [10, 0], [5, 5], [5, 9], [0, 3.0]])
    measured = measure_cohort(schema(*SIGNED, facing=["A", "B"]), cohort([points]))
    assert measured.row("0")[0].left_out == "the side cannot be told: B is neither left nor right of A"
    points[1] = np.nan
    other = {"name": "s", "angle": [["A", "C"], ["C", "D"]], "range": "signed"}
    measured = measure_cohort(schema(other, facing=["A", "B"]), cohort([points]))
    assert measured.row("0")[0].left_out == "the side is told by B, which has no position"


def test_degenerate_points_have_no_value():
    measurements = schema(
        {"name": "angle", "angle": ["A", "A", "B"]},
        {"name": "parallel", "distance": ["A", {"intersection": [["A", "B"], ["C", "D"]]}]},
        {"name": "circle", "distance": ["A", {"circle_centre": ["A", "B", "E"]}]},
        {"name": "ratio", "ratio": [{"distance": ["A", "B"]}, {"distance": ["A", "A"]}]},
    )
    points = np.array([[0, 0], [0, 10], [5, 0], [5, 10], [0, 20.0]])
    measured = measure_cohort(measurements, cohort([points])).row("0")
    assert all(one.value is None and one.left_out.startswith("undefined here") for one in measured)


# -- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ndim", [2, 3])
def test_propagated_errors_are_those_of_a_simulation(ndim):
    rng = np.random.default_rng(5)
    points = rng.uniform(0, 400, (5, ndim))
    errors = np.array([1.0, 2.0, 0.5, 1.5, 3.0])  # mean radial, in pixels of 0.5 mm
    rows = (*INVARIANT, *LENGTHS) if ndim == 3 else (*INVARIANT, *PLANAR, *LENGTHS)
    measurements = schema(*rows)
    stated = measure_cohort(measurements, cohort([points], error=errors, spacing=0.5)).errors[0]
    sigma = errors / (math.sqrt(math.pi / 2) if ndim == 2 else 2 * math.sqrt(2 / math.pi))
    noise = rng.normal(size=(40_000, 5, ndim)) * sigma[:, None]
    assert_allclose(np.linalg.norm(noise, axis=2).mean(axis=0), errors, rtol=0.02)
    simulated = measure_cohort(measurements, cohort(points + noise, spacing=0.5)).values
    assert_allclose(stated, simulated.std(axis=0), rtol=0.05)


def test_anisotropic_pixels_give_errors_in_millimetres():
    points = np.array([[0, 0], [0, 300.0]])
    measurements = schema({"name": "d", "distance": ["A", "B"]})
    measured = measure_cohort(measurements, cohort([points], error=2.0, spacing=(0.25, 1.0)))
    per_axis = 2.0 * 0.5 / math.sqrt(math.pi / 2)  # the mean spacing is 0.5
    assert measured.errors[0, 0] == pytest.approx(per_axis * math.sqrt(2), rel=1e-6)


def test_common_errors_cancel():
    measurements = schema({"name": "d", "distance": ["A", "B"]})
    landmarks = cohort([[[0, 0], [0, 300.0]]], error=2.0)
    together = measure_cohort(measurements, landmarks, correlation=np.ones((2, 2))).errors[0, 0]
    assert together == pytest.approx(0, abs=1e-6)


def test_the_interval_holds_nine_of_ten():
    rng = np.random.default_rng(0)
    points = np.array([[0, 0], [100, 30], [200, 250.0]])
    noise = rng.normal(size=(20_000, 3, 2)) * 3
    error = 3 * math.sqrt(math.pi / 2)
    measurements = schema({"name": "a", "angle": ["A", "B", "C"]})
    truth = values(measurements, points)[0]
    measured = measure_cohort(measurements, cohort(points + noise, error=error))
    low, high = np.array([measured.row(str(n))[0].interval for n in range(200)]).T
    half = (high - low)[0] / 2
    share = np.mean(np.abs(measured.values[:, 0] - truth) <= half)
    assert 0.89 < share < 0.91


def test_the_step_over_180_degrees_is_no_error():
    points = np.array([[0, 0], [0, 100], [50, 100], [50.0000001, 0.0], [0, 9.0]])
    measured = measure_cohort(schema(*SIGNED, facing=["A", "E"]), cohort([points], error=1.0))
    assert abs(measured.values[0, 0]) == pytest.approx(180, abs=1e-3)
    assert measured.errors[0, 0] < 2


@pytest.mark.parametrize("ahead", [0.0, 2.0, 5.0, 20.0])
def test_a_sign_that_may_be_wrong_widens_the_interval(ahead):
    """One point 30 below the other and that much in front of it: 30 in front or, a little aside, 30 behind."""
    rng = np.random.default_rng(3)
    points = np.array([[0, 0], [30, ahead], [-100, -100], [-90, 100]])
    measurements = schema({"name": "d", "signed_distance": ["A", "B"]}, facing=["C", "D"])
    error = 2 * math.sqrt(math.pi / 2)
    stated = measure_cohort(measurements, cohort([points], error=error)).errors[0, 0]
    noise = rng.normal(size=(20_000, 4, 2)) * 2
    simulated = measure_cohort(measurements, cohort(points + noise)).values[:, 0]
    assert stated == pytest.approx(simulated.std(), rel=0.06)


def test_what_a_person_placed_has_an_error_of_its_own():
    geometry = Geometry((500, 500), (0.5, 0.5))
    landmark_schema = LandmarkSchema(("A", "B"))
    marks = LandmarkSet(
        landmark_schema,
        [Landmark("A", (0, 0)[:2], Status.PLACED), Landmark("B", (0, 200), Status.PREDICTED, 0.9, 2.0)],
    )
    placed = LandmarkSet.from_array(landmark_schema, [[0, 0], [0, 200]])
    unknown = LandmarkSet.from_array(landmark_schema, [[0, 0], [0, 200]], Status.PREDICTED)
    measurements = schema({"name": "d", "distance": ["A", "B"]})
    sets = {"mixed": marks, "placed": placed, "unknown": unknown}

    def measured(**more):
        landmarks = CohortLandmarks.of(sets, dict.fromkeys(sets, geometry), names=("A", "B"), **more)
        result = measure_cohort(measurements, landmarks)
        return {image: result.row(image)[0] for image in sets}

    per_axis = 2.0 * 0.5 / math.sqrt(math.pi / 2)
    found = measured()
    assert found["mixed"].standard_error == pytest.approx(per_axis, rel=1e-6)
    assert found["mixed"].error_source is ErrorSource.PREDICTIONS
    assert found["placed"].standard_error is None
    assert found["unknown"].standard_error is None
    assert {one.value for one in found.values()} == {100.0}
    found = measured(reader_error=1.0)
    assert found["mixed"].standard_error == pytest.approx(math.sqrt(2) * per_axis, rel=1e-6)
    assert found["mixed"].error_source is ErrorSource.ALL
    assert found["placed"].standard_error == pytest.approx(math.sqrt(2) * per_axis, rel=1e-6)
    assert measured(reader_error={"A": 1.0})["placed"].error_source is ErrorSource.PREDICTIONS
    with pytest.raises(InputError, match="reader error"):
        measured(reader_error=-1.0)


# -- norms and classes -----------------------------------------------------------------------------------


def test_norms_classes_and_what_lies_between():
    row = {
        "name": "MW",
        "signed_distance": ["A", "B"],
        "norms": [{"mean": 3, "sd": 2}],
        "classes": [{"name": "normal", "from": 2, "to": 4.5}, {"name": "crossbite", "below": 0}],
    }
    points = [[[0, 0], [0, length]] for length in (3.0, 1.0, -1.0)]
    landmarks = dataclasses.replace(cohort(points, error=0.1), names=("A", "B"))
    measured = measure_cohort(schema(row, facing=["A", "B"]), landmarks)
    # The side would be told by the same landmarks here: all look to the right of A.
    assert [measured.row(image)[0].value for image in measured.images] == [3.0, 1.0, 1.0]
    first, second, _ = (measured.row(image)[0] for image in measured.images)
    assert first.class_name == "normal"
    assert first.deviation == pytest.approx(0)
    assert second.class_name == BETWEEN_LIMITS
    assert second.possible_classes == ()


def test_a_wide_interval_names_all_classes_it_reaches():
    row = {
        "name": "d",
        "distance": ["A", "B"],
        "norms": [{"range": [8, 9]}],
        "classes": [{"name": "short", "below": 10}, {"name": "long", "from": 10}],
    }
    measured = measure_cohort(schema(row), cohort([[[0, 0], [0, 10.5]]], error=1.0)).row("0")[0]
    assert measured.class_name == "long"
    assert [one.name for one in measured.possible_classes] == ["short", "long"]
    assert measured.deviation is None
    assert measured.outside_range == pytest.approx(1.5)


def test_an_outlier_of_the_cohort_deviates_most():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(40, 3, 2)) + np.array([[0, 0], [0, 100], [100, 100]])
    points[17, 2] = [100, 10]
    measured = measure_cohort(schema({"name": "a", "angle": ["A", "B", "C"]}), cohort(points))
    deviations = np.abs(measured.robust_deviations()[:, 0])
    assert deviations.argmax() == 17
    assert deviations[17] > 10
    few = measure_cohort(schema({"name": "a", "angle": ["A", "B", "C"]}), cohort(points[:3]))
    assert np.isnan(few.robust_deviations()).all()


def test_pictures_and_volumes_are_not_mixed():
    flat = LandmarkSet.from_array(LandmarkSchema(("A",)), [[1, 2]])
    deep = LandmarkSet.from_array(LandmarkSchema(("A",)), [[1, 2, 3]])
    with pytest.raises(InputError, match=r"f.png is a picture and v.nii a volume"):
        CohortLandmarks.of({"f.png": flat, "v.nii": deep}, {}, names=("A",))


def test_planes_are_drawn_as_far_as_their_landmarks_reach():
    made = schema(constructions=[
        {"name": "foot", "projection": ["C", ["A", "B"]]},
        {"name": "perpendicular", "perpendicular": ["C", ["A", "B"]]},
        {"name": "line", "line": ["A", "B"]},
    ])  # fmt: skip
    positions = np.array([[0, 0], [0, 100], [30, 40.0]])
    ends = [construction_points(one, ("A", "B", "C"), positions) for one in made.constructions]
    assert_allclose(ends[0], [[0, 40], [0, 40]])
    assert_allclose(sorted(map(tuple, ends[1])), [(0, 40), (30, 40)], atol=1e-9)
    assert_allclose(ends[2], [[0, 0], [0, 100]])
    assert construction_points(made.constructions[0], ("A", "B", "C"), positions * np.nan) is None


class TestCovariances:
    """Lengths between points whose errors are known by direction: 3 along the rows' axis, 1 along the columns'."""

    measures = schema({"name": "length", "distance": ["A", "B"]})

    def errors(self, positions, covariance, **more):
        positions = np.array([positions], float)
        n, m, ndim = positions.shape
        landmarks = CohortLandmarks.from_arrays(
            ("x",),
            NAMES[:m],
            positions,
            np.full((n, m), 2.0),
            np.zeros((n, m), bool),
            np.array([more.get("spacing", (1.0,) * ndim)]),
            ("user",),
            covariances=np.broadcast_to(np.array(covariance, float), (n, m, ndim, ndim)),
        )
        return measure_cohort(self.measures, landmarks).errors[0, 0]

    def test_along_and_across(self):
        covariance = np.diag([9.0, 1.0])
        assert self.errors([(0, 0), (10, 0)], covariance) == pytest.approx(3 * math.sqrt(2))
        assert self.errors([(0, 0), (0, 10)], covariance) == pytest.approx(math.sqrt(2))

    def test_millimetres_of_axes_that_differ(self):
        found = self.errors([(0, 0), (10, 0)], np.diag([9.0, 1.0]), spacing=(0.5, 2.0))
        assert found == pytest.approx(0.5 * 3 * math.sqrt(2))

    @pytest.mark.parametrize("seed", range(3))
    def test_any_direction(self, seed):
        turn = rotation(2, seed)
        covariance = turn @ np.diag([9.0, 1.0]) @ turn.T
        assert self.errors([(0, 0), 10 * turn[:, 0]], covariance) == pytest.approx(3 * math.sqrt(2), rel=1e-4)

    def test_unknown_ones_are_alike_in_all_directions(self):
        known = self.errors([(0, 0), (10, 3)], np.full((2, 2), math.nan))
        assert known == pytest.approx(2.0 / math.sqrt(math.pi / 2) * math.sqrt(2), rel=1e-4)
