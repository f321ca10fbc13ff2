from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.data.errors import InputError
from napari_landmark.data.measurement_language.definition import (
    Dimension,
    MeasurementSchema,
    Norm,
    ValueClass,
)

SNA = {"name": "SNA", "angle": ["Sella", "Nasion", "A"]}


def schema(*measurements, **more) -> MeasurementSchema:
    return MeasurementSchema.from_json({"measurements": list(measurements), **more})


points = st.recursive(
    st.sampled_from(["Sella", "Nasion", "A", "B"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: {"midpoint": list(two)}),
        st.tuples(inner, inner, inner).map(lambda two: {"circle_centre": list(two)}),
        st.tuples(inner, inner, inner).map(lambda abc: {"projection": [abc[0], {"line": list(abc[1:])}]}),
    ),
    max_leaves=6,
)
lines = st.one_of(
    st.tuples(points, points).map(lambda two: {"line": list(two)}),
    st.tuples(points, points, points).map(lambda abc: {"perpendicular": [abc[0], {"line": list(abc[1:])}]}),
)
angles = st.one_of(
    st.tuples(points, points, points).map(lambda three: {"angle": list(three)}),
    st.tuples(lines, lines, st.sampled_from(["0-90", "signed"])).map(
        lambda two: {"angle": list(two[:2]), "range": two[2]}
    ),
)


@given(
    st.lists(
        st.one_of(angles, st.lists(angles, min_size=2, max_size=4).map(lambda parts: {"sum": parts})),
        max_size=4,
    )
)
def test_what_was_read_is_written_the_same(quantities):
    made = schema(*({"name": str(n), **one} for n, one in enumerate(quantities)), facing=["A", "B"])
    again = MeasurementSchema.from_json(json.loads(json.dumps(made.to_json())))
    assert again == made
    assert [one["name"] for one in again.to_json().get("measurements", [])] == list(made.names)


def test_a_list_of_two_points_is_a_line():
    short = schema({"name": "a", "angle": [["A", "B"], ["B", "C"]]})
    long = schema({"name": "a", "angle": [{"line": ["A", "B"]}, {"line": ["B", "C"]}]})
    assert short == long


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"name": "SNA", "angel": ["S", "N", "A"]}, "SNA: a quantity has exactly one of the keys"),
        ({"name": "SNA", "angle": ["S", "N"]}, "SNA: 'angle': expected three points"),
        ({"name": "SNA", "angle": ["S", ["N", "A"]]}, "SNA: 'angle': expected three points"),
        ({"name": "SNA", "angle": "S N A"}, "SNA: 'angle': expected a list"),
        ({"name": "d", "distance": ["S"]}, "d: 'distance': expected two points, or a point and a line"),
        ({"name": "d", "distance": [["S", "N"], "A"]}, "d: 'distance': expected two points"),
        ({"name": "d", "distance": ["S", 3]}, "d: 3 is not a point or a line"),
        ({"name": "d", "distance": ["S", {"eval": "1"}]}, "d: a point or a line has exactly one of the keys"),
        ({"name": "d", "distance": ["S", "N"], "colour": 1}, "d: 'distance': unknown key 'colour'"),
        ({**SNA, "range": "0-360"}, "SNA: 'range' is '0-360': expected one of 0-180, 0-90, signed"),
        ({**SNA, "range": "0-90"}, "SNA: 'angle': expected two lines with 'range'"),
        ({**SNA, "unit": "rad"}, "SNA: 'unit' is 'rad'"),
        ({**SNA, "decimals": True}, "SNA: 'decimals'"),
        ({"name": "x", "sum": [{"angle": ["A", "B", "C"]}, {"distance": ["A", "B"]}]}, "mixes angle and length"),
        ({"name": "x", "measurement": "SNAA"}, "x: measurement 'SNAA' is not defined before it"),
        ({"name": "x", "measurement": "x"}, "x: measurement 'x' is not defined before it"),
        ({"name": "x", "distance": ["A", {"construction": "FH"}]}, "x: construction 'FH' is not defined"),
        ({"name": "x", "combination": [[10**400, {"angle": ["A", "B", "C"]}]]}, "x: a weight is 1000"),
        ({"name": "x", "combination": [[1]]}, "x: 'combination': expected pairs"),
        ({"name": "x", "maximum_over_pairs": {"from": [["A", "B"]]}}, "expected at least one pair"),
        ({"name": "x", "maximum_over_pairs": {"from": [["A", "B"], "C"]}}, "lines alone or points alone"),
        ({"name": "x\ny", **{"angle": ["A", "B", "C"]}}, "'name' of measurement 1"),
        ({"angle": ["A", "B", "C"]}, "'name' of measurement 1"),
        (3, "measurement 1 is 3"),
        ({**SNA, "norms": [{"mean": 82, "sd": 0}]}, "SNA: 'sd' of a norm"),
        ({**SNA, "norms": [{"sd": 2}]}, "SNA: 'sd' of a norm needs a 'mean'"),
        ({**SNA, "norms": [{"range": [3, 1]}]}, "give the lower end first"),
        ({**SNA, "norms": [{"mean": 82, "range": [1, 2]}]}, "'mean' .and 'sd'., or 'range'"),
        ({**SNA, "norms": [{"mean": 82, "sex": "male"}]}, "expected 'm', 'f'"),
        ({**SNA, "classes": [{"name": "a", "from": 3}, {"name": "b", "to": 3}]}, "classes 'a' and 'b' overlap"),
        ({**SNA, "classes": [{"name": "a", "above": 3, "to": 3}]}, "its limits hold no value"),
        ({**SNA, "classes": [{"name": "a"}]}, "its limits hold no value"),
        ({**SNA, "classes": [{"name": "a", "from": 3, "above": 3}]}, "two lower or two upper limits"),
    ],
)  # fmt: skip
def test_errors_name_the_measurement_and_what_was_expected(row, expected):
    with pytest.raises(InputError, match=expected) as caught:
        schema(row)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_there_twice_is_refused():
    with pytest.raises(InputError, match="SNA: this measurement is there twice"):
        schema(SNA, SNA)


def test_a_sign_needs_the_side():
    row = {"name": "x", "angle": [["A", "B"], ["B", "C"]], "range": "signed"}
    with pytest.raises(InputError, match="x: has a sign, which needs the side"):
        schema(row)
    assert schema(row, facing=["A", "B"]).measurements[0].needs_side


def test_an_unknown_landmark_is_told_with_a_similar_one():
    made = schema({"name": "SNA", "angle": ["Sella", "Nasionn", "A"]})
    with pytest.raises(InputError, match=r"^SNA: unknown landmark 'Nasionn', did you mean 'Nasion'\?$"):
        made.check_landmarks(("Sella", "Nasion", "A"))


def test_deep_nesting_is_refused():
    point: object = "A"
    for _ in range(200):
        point = {"midpoint": [point, "B"]}
    with pytest.raises(InputError, match="deep: is nested deeper than"):
        schema({"name": "deep", "distance": [point, "C"]})


def test_names_of_names_do_not_grow_without_end():
    constructions = [{"name": "c0", "midpoint": ["A", "B"]}]
    constructions += [
        {"name": f"c{n}", "midpoint": [{"construction": f"c{n - 1}"}] * 2} for n in range(1, 22)
    ]
    with pytest.raises(InputError, match="has more than 2000 parts"):
        schema(constructions=constructions)


def test_a_cycle_is_refused():
    cycle = [
        {"name": "a", "sum": [{"measurement": "b"}] * 2},
        {"name": "b", "sum": [{"measurement": "a"}] * 2},
    ]
    with pytest.raises(InputError, match="a: measurement 'b' is not defined before it"):
        schema(*cycle)


def test_too_many_measurements_are_refused():
    with pytest.raises(InputError, match="2001 measurements: at most 2000"):
        schema(*({"name": str(n), "angle": ["A", "B", "C"]} for n in range(2001)))


def test_renaming_reaches_every_landmark_also_where_two_exchange_names():
    made = schema(
        {"name": "x", "distance": [{"midpoint": ["A", "B"]}, {"construction": "L"}]},
        constructions=[{"name": "L", "line": ["B", "C"]}],
        facing=["A", "C"],
    ).renamed({"A": "B", "B": "A"})
    assert made.measurements[0].landmarks == ("B", "A", "C")
    assert made.facing == ("B", "C")
    assert made.to_json()["constructions"] == [{"name": "L", "line": ["A", "C"]}]


def test_merging_keeps_own_definitions():
    own, other = (
        schema({**SNA, "text": "own"}),
        schema(SNA, {"name": "SNB", "angle": ["Sella", "Nasion", "B"]}),
    )
    merged = own.merged(other)
    assert merged.names == ("SNA", "SNB")
    assert merged.measurements[0].text == "own"


def test_merging_refuses_a_name_of_two_meanings():
    own = schema({"name": "SNA", "angle": ["A", "Nasion", "Sella"]})
    with pytest.raises(InputError, match="SNA: is defined otherwise in both"):
        own.merged(schema(SNA))


def test_dimensions_follow_from_the_quantity():
    made = schema(
        SNA,
        {"name": "d", "distance": ["A", "B"]},
        {"name": "r", "ratio": [{"measurement": "d"}, {"distance": ["A", "C"]}], "unit": "%"},
        {"name": "h", "ratio": [{"measurement": "d"}, {"measurement": "d"}], "denominator_above": 0.5},
    )
    assert [one.dimension for one in made.measurements] == [
        Dimension.ANGLE,
        Dimension.LENGTH,
        Dimension.NUMBER,
        Dimension.NUMBER,
    ]
    assert [one.unit for one in made.measurements] == ["°", "mm", "%", ""]
    assert [one.needs_spacing for one in made.measurements] == [False, True, False, True]


def test_limits_are_exact():
    classes = [ValueClass.from_json(row) for row in (
        {"name": "normal", "from": 2, "to": 4.5}, {"name": "edge to edge", "from": 0, "to": 0},
        {"name": "crossbite", "below": 0}, {"name": "large", "above": 4.5},
    )]  # fmt: skip
    found = {
        value: [one.name for one in classes if one.holds(value)] for value in (-1e-9, 0, 1, 2, 4.5, 4.51)
    }
    assert found == {
        -1e-9: ["crossbite"], 0: ["edge to edge"], 1: [], 2: ["normal"], 4.5: ["normal"], 4.51: ["large"],
    }  # fmt: skip


def test_a_norm_of_one_sex_is_not_used_for_the_other_or_an_unknown_one():
    made = schema({**SNA, "norms": [{"mean": 1, "sd": 1, "sex": "m"}, {"mean": 2, "sd": 1, "sex": "f"}]})
    measurement = made.measurements[0]
    assert measurement.norm_for("f") == Norm(mean=2, sd=1, sex="f")
    assert measurement.norm_for("") is None
