"""Arrays of landmarks give back what was put in."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.gui.session.landmark_arrays import LandmarkArrays

SCHEMA = LandmarkSchema(("a", "b", "c"))
PICTURE = LandmarkSet(
    SCHEMA,
    (
        Landmark("a", (1.25, 2.0), Status.PREDICTED, 0.5, 3.0),
        Landmark("b", (0.0, -0.5), Status.CORRECTED),
        Landmark("c", status=Status.MISSING),
    ),
)
VOLUME = LandmarkSet(SCHEMA, (Landmark("b", (1.0, 2.0, 3.0), Status.PLACED),))
EMPTY = LandmarkSet(SCHEMA)


def test_sets_come_back_as_they_were():
    sets = {"picture": PICTURE, "volume": VOLUME, "empty": EMPTY}
    arrays = LandmarkArrays.gather(sets.items())
    assert {image: arrays.get(image, SCHEMA) for image in sets} == sets
    assert list(arrays.images) == list(sets)
    assert arrays.get("unknown", SCHEMA) == EMPTY


def test_a_set_is_replaced_whole():
    arrays = LandmarkArrays.gather([("x", PICTURE)])
    arrays.put("x", LandmarkSet(LandmarkSchema(("c", "d")), (Landmark("d", (9.0, 9.0), Status.PLACED),)))
    assert arrays.get("x", SCHEMA) == EMPTY
    assert arrays.get("x", LandmarkSchema(("d",)))["d"].position == (9, 9)


def test_names_of_another_schema():
    arrays = LandmarkArrays.gather([("x", PICTURE)])
    other = LandmarkSchema(("new", "b"))
    assert arrays.get("x", other) == LandmarkSet(other, (PICTURE["b"],))
    columns = arrays.columns(["unknown", "x"], other)
    np.testing.assert_array_equal(columns.has_position, [[False, False], [False, True]])
    np.testing.assert_array_equal(columns.is_manual, [[False, False], [False, True]])


def test_many_images_at_once():
    noise = np.random.default_rng(0)
    sets = {
        f"{number}": LandmarkSet.from_array(
            SCHEMA,
            noise.uniform(0, 9, (3, 2)),
            Status.PREDICTED,
            noise.uniform(0, 1, 3),
            noise.uniform(0, 9, 3),
        )
        for number in range(100)
    }
    arrays = LandmarkArrays.gather(sets.items())
    columns = arrays.columns(list(sets), SCHEMA)
    np.testing.assert_array_equal(
        columns.expected_errors, [[mark.expected_error for mark in marks.values()] for marks in sets.values()]
    )
    assert columns.has_status(Status.PREDICTED).all()
    assert not columns.is_manual.any()


@pytest.mark.parametrize("names", [("a", "b", "c"), ("c", "x", "a")])
def test_an_update_replaces_and_adds(names):
    arrays = LandmarkArrays.gather([("x", PICTURE), ("y", PICTURE)])
    schema = LandmarkSchema(names)
    given = LandmarkSet.from_array(schema, [(1, 1), (2, 2), (3, 3)])
    arrays.update(LandmarkArrays.gather([("z", given), ("y", given)]))
    assert arrays.get("x", SCHEMA) == PICTURE
    assert arrays.get("y", schema) == arrays.get("z", schema) == given
    if "b" not in names:
        assert arrays.get("y", SCHEMA)["b"].position is None
    arrays.update(LandmarkArrays())
    assert arrays.get("x", SCHEMA) == PICTURE


def test_equal_whatever_the_order():
    one = LandmarkArrays.gather([("x", PICTURE), ("y", VOLUME)])
    assert one.same(LandmarkArrays.gather([("y", VOLUME), ("x", PICTURE)]))
    assert not one.same(LandmarkArrays.gather([("y", VOLUME), ("x", VOLUME)]))
    assert not one.same(LandmarkArrays.gather([("x", PICTURE)]))
    assert LandmarkArrays().same(LandmarkArrays())


def test_a_copy_stays_as_it_is():
    arrays = LandmarkArrays.gather([("x", PICTURE)])
    copy = arrays.copy()
    arrays.put("x", EMPTY)
    assert copy.get("x", SCHEMA) == PICTURE


def test_what_was_asked_for_before_a_change_is_not_given_after_it():
    arrays = LandmarkArrays.gather([("x", PICTURE)])
    assert arrays.get("x", SCHEMA) is arrays.get("x", SCHEMA)
    arrays.put("x", EMPTY)
    assert arrays.get("x", SCHEMA) == EMPTY
    arrays.update(LandmarkArrays.gather([("x", VOLUME)]))
    assert arrays.get("x", SCHEMA) == VOLUME
    assert arrays.get("y", SCHEMA) == EMPTY
    arrays.put("y", PICTURE)
    assert arrays.get("y", SCHEMA) == PICTURE
    assert arrays.copy().get("y", SCHEMA) == PICTURE


def test_positions_of_unknown_images_and_names_are_none():
    arrays = LandmarkArrays.gather([("picture", PICTURE), ("volume", VOLUME)])
    found = arrays.positions(["unknown", "volume", "picture"], LandmarkSchema(("new", "b")))
    none = [np.nan] * 3
    np.testing.assert_array_equal(found, [[none, none], [none, [1.0, 2.0, 3.0]], [none, [np.nan, 0.0, -0.5]]])
    assert np.isnan(LandmarkArrays().positions(["a", "b"], SCHEMA)).all()
