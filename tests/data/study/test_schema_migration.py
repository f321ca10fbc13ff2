"""Other landmarks for a study: annotations and predictions follow their landmark."""

from __future__ import annotations

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.links import Link
from napari_landmark.data.study.schema_migration import (
    change_schema,
    extended_schema,
    free_name,
    merged_schema,
)
from napari_landmark.data.study.study import Study

SCHEMA = LandmarkSchema(("a", "b", "c"), definitions=("first", "second", "third"))
POSITIONS = {"a": (1, 1), "b": (2, 2), "c": (3, 3)}


@pytest.fixture
def study(tmp_path):
    made = Study.create(tmp_path / "study", schema=SCHEMA)
    made.save_annotations("x.png", LandmarkSet.from_array(SCHEMA, list(POSITIONS.values())))
    made.save_predictions("y.png", LandmarkSet.from_array(SCHEMA, list(POSITIONS.values()), "predicted"))
    return made


def positions(study):
    """Positions of both images on disk, which must agree."""
    again = Study.open(study.folder)
    annotated, predicted = again.load_annotations("x.png"), again.load_predictions("y.png")
    found = {name: mark.position for name, mark in annotated.items()}
    assert found == {name: mark.position for name, mark in predicted.items()}
    return found


@pytest.mark.parametrize(
    ("names", "renames", "origin"),
    [
        (("a", "B", "c"), {"b": "B"}, {"a": "a", "B": "b", "c": "c"}),
        (("c", "a", "b"), {}, {"c": "c", "a": "a", "b": "b"}),
        (("a", "b"), {}, {"a": "a", "b": "b"}),
        (("a", "b", "c", "d"), {}, {"a": "a", "b": "b", "c": "c", "d": None}),
        (("b", "a", "c"), {"a": "b", "b": "a"}, {"b": "a", "a": "b", "c": "c"}),
        (("b", "c", "a"), {"a": "b", "b": "c", "c": "a"}, {"b": "a", "c": "b", "a": "c"}),
        (("b", "d"), {"a": "b"}, {"b": "a", "d": None}),
    ],
    ids=["rename", "reorder", "remove", "add", "exchange", "cycle", "replace a removed one"],
)
def test_positions_follow_their_landmark(study, names, renames, origin):
    change_schema(study, LandmarkSchema(names), renames=renames)
    assert Study.open(study.folder).schema.names == names
    expected = {name: None if old is None else POSITIONS[old] for name, old in origin.items()}
    assert positions(study) == expected


def test_a_model_of_before_is_understood(study):
    change_schema(study, LandmarkSchema(("a", "B", "c")), renames={"b": "B"})
    assert Study.open(study.folder).current_names(("a", "b", "c")) == ("a", "B", "c")


@pytest.mark.parametrize(
    ("names", "renames", "message"),
    [
        (("a", "B"), {"none": "B"}, "unknown landmark 'none'"),
        (("a", "b"), {"b": "B"}, "unknown landmark 'B'"),
        (("a", "B"), {"b": "B", "c": "B"}, "cannot get the same name"),
    ],
)
def test_refusals_change_nothing(study, names, renames, message):
    with pytest.raises(InputError, match=message):
        change_schema(study, LandmarkSchema(names), renames=renames)
    assert Study.open(study.folder).schema == SCHEMA
    assert positions(study) == POSITIONS


def test_a_merged_schema_has_the_new_ones_at_the_end():
    other = LandmarkSchema(("c", "d"), ("#000000", SCHEMA.colors[0]), ("other", "new"))
    merged = merged_schema(SCHEMA, other)
    assert merged.names == ("a", "b", "c", "d")
    assert merged.definitions == ("first", "second", "third", "new")
    assert len(set(merged.colors)) == 4  # its own colour was taken


def test_a_merged_schema_has_the_links_of_both():
    known = LandmarkSchema(("a", "b", "c"), links=(Link(("a", "b"), name="own"),))
    other = LandmarkSchema(
        ("b", "a", "d"), links=(Link(("b", "a"), name="the same line"), Link(("a", "b", "d"), closed=True))
    )
    merged = merged_schema(known, other)
    assert merged.links == (Link(("a", "b"), name="own"), Link(("a", "b", "d"), closed=True))
    assert merged_schema(known, LandmarkSchema(("a", "d"))).links == known.links


def test_names_for_more_landmarks():
    assert free_name(SCHEMA) == "landmark 4"
    assert free_name(extended_schema(LandmarkSchema(("landmark 3", "b")), [])) == "landmark 4"
