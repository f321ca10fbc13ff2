"""Undo and redo return changes in order, up to a limit."""

from __future__ import annotations

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.gui.session.undo import Change, UndoStack

EMPTY = LandmarkSet(LandmarkSchema(("a", "b")))


def change(label):
    return Change("image.png", EMPTY, EMPTY.with_landmark(Landmark("b", (1, 2), Status.PLACED)), label)


def test_a_change_names_its_landmarks():
    assert change("Place b").names == ("b",)


def nothing(change):
    pass


def test_changes_of_images_that_left_are_removed():
    stack = UndoStack()
    empty = LandmarkSet(LandmarkSchema(("a",)))
    for image, other in (("x", "y"), ("y", ""), ("x", "")):
        more = (Change(other, empty, empty, ""),) if other else ()
        stack.push(Change(image, empty, empty, f"{image}{other}", more))
    stack.undo(lambda change: None)
    stack.keep_images({"x"})
    assert (stack.undo_label, stack.redo_label) == ("", "x")


def test_changes_are_undone_and_redone_in_order():
    stack = UndoStack()
    for label in "123":
        stack.push(change(label))
    assert [stack.undo(nothing).label, stack.undo(nothing).label] == ["3", "2"]
    assert (stack.undo_label, stack.redo_label) == ("1", "2")
    assert stack.redo(nothing).label == "2"
    stack.push(change("4"))
    assert stack.redo(nothing) is None
    assert stack.undo_label == "4"


def test_a_change_that_cannot_be_applied_stays():
    def fail(change):
        raise InputError("the disk is full")

    stack = UndoStack()
    for label in "12":
        stack.push(change(label))
    with pytest.raises(InputError):
        stack.undo(fail)
    assert (stack.undo_label, stack.redo_label) == ("2", "")
    stack.undo(nothing)
    with pytest.raises(InputError):
        stack.redo(fail)
    assert (stack.undo_label, stack.redo_label) == ("1", "2")


def test_the_oldest_changes_are_dropped():
    stack = UndoStack(limit=2)
    for label in "123":
        stack.push(change(label))
    assert [stack.undo(nothing).label, stack.undo(nothing).label, stack.undo(nothing)] == ["3", "2", None]
