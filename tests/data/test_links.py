from __future__ import annotations

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.links import Link, segments

OUTLINE = Link(("A", "B", "C"), closed=True, name="orbit")


def test_an_outline_ends_where_it_began():
    assert OUTLINE.segments == (("A", "B"), ("B", "C"), ("C", "A"))
    assert Link(("A", "B", "C")).segments == (("A", "B"), ("B", "C"))


def test_a_segment_of_two_links_is_drawn_once():
    assert segments((OUTLINE, Link(("B", "A")))) == OUTLINE.segments


@pytest.mark.parametrize(
    ("landmarks", "closed", "expected"),
    [
        (("A",), False, "has 1 landmarks: give at least 2"),
        (("A", "B"), True, "has 2 landmarks: give at least 3"),
        (("A", "B", "A"), False, "'A' is there twice"),
    ],
)
def test_links_that_are_no_lines_are_refused(landmarks, closed, expected):
    with pytest.raises(InputError, match=expected):
        Link(landmarks, closed)


def test_a_schema_keeps_its_links_in_json():
    schema = LandmarkSchema(("A", "B", "C"), links=(OUTLINE, Link(("A", "C"))))
    assert LandmarkSchema.from_json(schema.to_json()) == schema
    assert "links" not in LandmarkSchema(("A",)).to_json()


def test_an_unknown_landmark_of_a_link_is_named_with_a_similar_one():
    with pytest.raises(InputError, match=r"orbit.*'Nasionn', did you mean 'Nasion'\?"):
        LandmarkSchema(("Nasion", "B", "C"), links=(Link(("Nasionn", "B"), name="orbit"),))


@pytest.mark.parametrize("data", [3, {}, {"landmarks": "AB"}, {"landmarks": ["A", "B"], "closed": 1}])
def test_other_json_is_refused(data):
    with pytest.raises(InputError, match="a link was expected"):
        Link.from_json(data)


def test_links_follow_renamed_and_removed_landmarks():
    schema = LandmarkSchema(("A", "B", "C", "D"), links=(OUTLINE, Link(("C", "D"))))
    kept = schema.links_among(("X", "B", "C"), renamed={"A": "X"})
    assert kept == (Link(("X", "B", "C"), closed=True, name="orbit"),)
