from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.data.curves import Curve, curves_among, resample_curve, sliders
from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.study.schema_migration import change_schema, merged_schema, with_curve
from napari_landmark.data.study.study import Study

SCHEMA = LandmarkSchema(("gonion", "menton", "sella"))
BORDER = Curve("border", "gonion", "menton", 3)


def arc(angles: np.ndarray, radius: float = 100.0) -> np.ndarray:
    return np.stack([radius * np.sin(angles), radius * np.cos(angles)], 1) + 300


@given(
    bends=st.lists(st.floats(0.3, 1), min_size=60, max_size=200),
    count=st.integers(1, 30),
    turned=st.booleans(),
)
def test_semilandmarks_are_evenly_spaced_on_the_line_however_it_was_drawn(bends, count, turned):
    angles = np.cumsum(bends) / np.sum(bends) * 2.5
    drawn = arc(angles)
    start, end = arc(np.array([0.0, 2.5]))
    found = resample_curve(drawn[::-1] if turned else drawn, start=start, end=end, count=count)
    expected = arc(2.5 * np.arange(1, count + 1) / (count + 1))
    np.testing.assert_allclose(found, expected, atol=0.3)  # chords of a circle of 100 pixels


def test_lengths_are_millimetres_where_pixels_are_not_square():
    """An L of 10 mm up and 10 mm across, in 20 and 10 pixels: the corner is in the middle."""
    corner = resample_curve(
        [[0, 0], [20, 0], [20, 10]], start=[0, 0], end=[20, 10], count=1, spacing=(0.5, 1.0)
    )
    np.testing.assert_allclose(corner, [[20, 0]], atol=1e-12)
    off = resample_curve([[0, 0], [20, 0], [20, 10]], start=[0, 0], end=[20, 10], count=1)
    np.testing.assert_allclose(off, [[15, 0]], atol=1e-12)


def test_a_line_in_space():
    path = np.stack([np.linspace(0, 9, 5), np.linspace(0, 18, 5), np.linspace(0, 27, 5)], 1)
    found = resample_curve(path, start=path[0], end=path[-1], count=2)
    np.testing.assert_allclose(found, [[3, 6, 9], [6, 12, 18]])


def test_without_drawn_points_it_is_straight_and_repeated_points_do_no_harm():
    straight = resample_curve(np.empty((0, 2)), start=[0, 0], end=[0, 4], count=3)
    np.testing.assert_allclose(straight, [[0, 1], [0, 2], [0, 3]])
    repeated = resample_curve([[0, 0], [0, 0], [0, 2], [0, 2], [0, 4]], start=[0, 0], end=[0, 4], count=3)
    np.testing.assert_allclose(repeated, straight)


@pytest.mark.parametrize("path", [[[1, 1], [1, 1]], [[np.nan, 1], [2, 2]]])
def test_what_is_no_line_is_refused(path):
    with pytest.raises(InputError, match=r"draw it again|draw it from"):
        resample_curve(path, start=[1, 1], end=[1, 1], count=2)


def test_a_curve_is_a_chain_of_landmarks():
    schema = with_curve(SCHEMA, BORDER)
    assert schema.names == ("gonion", "menton", "sella", "border[1]", "border[2]", "border[3]")
    assert schema.curves == (BORDER,)
    assert LandmarkSchema.from_json(schema.to_json()) == schema
    assert "curves" not in SCHEMA.to_json()
    assert sliders(schema.curves, schema.names) == [(0, 3, 4), (3, 4, 5), (4, 5, 1)]


def test_a_curve_without_its_landmarks_is_left_out_and_the_study_opens(caplog):
    """As a version leaves it that knows no curves."""
    data = with_curve(SCHEMA, BORDER).to_json()
    del data["landmarks"][4]
    assert LandmarkSchema.from_json(data).curves == ()
    assert "'border' is left out" in caplog.text


def test_a_closed_curve_slides_around():
    schema = with_curve(SCHEMA, Curve("orbit", "sella", "sella", 2))
    assert sliders(schema.curves, schema.names) == [(2, 3, 4), (3, 4, 2)]


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        (("border", "gonion", "nowhere", 3), "unknown landmark 'nowhere'"),
        (("", "gonion", "menton", 3), "one line of text"),
        (("border", "gonion", "menton", 0), "1 to 500"),
        (("border", "gonion", "menton", 1.5), "1 to 500"),
        (("border", "gonion", "menton", True), "1 to 500"),
    ],
)
def test_curves_that_cannot_be(curve, words):
    with pytest.raises(InputError, match=words):
        with_curve(SCHEMA, Curve(*curve))


def test_names_that_are_taken_are_refused():
    with pytest.raises(InputError, match=r"'border\[1\]' is there already"):
        with_curve(with_curve(SCHEMA, BORDER), Curve("border", "sella", "menton", 1))
    with pytest.raises(InputError, match="needs the landmark 'border"):
        LandmarkSchema(("gonion", "menton"), curves=(BORDER,))


@pytest.mark.parametrize(
    "entry", ["x", [1], [{"name": "a"}], [{"name": 1, "from": "a", "to": "b", "points": 2}]]
)
def test_damaged_entries_of_a_schema(entry):
    data = SCHEMA.to_json() | {"curves": entry}
    with pytest.raises(InputError, match="curve"):
        LandmarkSchema.from_json(data)


def test_curves_outlast_changes_of_the_schema(tmp_path):
    study = Study.create(tmp_path / "study", schema=SCHEMA)
    change_schema(study, with_curve(study.schema, BORDER))
    assert Study.open(study.folder).schema.curves == (BORDER,)
    merged = merged_schema(study.schema, LandmarkSchema(("new",)))
    assert merged.curves == (BORDER,)
    assert merged_schema(LandmarkSchema(("new",)), study.schema).curves == (BORDER,)
    part = study.schema.part(["menton", "gonion", *BORDER.semilandmarks])
    assert part.curves == (BORDER,)
    assert study.schema.part(["menton", *BORDER.semilandmarks]).curves == ()
    assert curves_among([BORDER.renamed({"menton": "chin"})], ["gonion", "chin", *BORDER.semilandmarks])
