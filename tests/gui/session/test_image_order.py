"""Order of the next and the previous image."""

from __future__ import annotations

import pytest

from napari_landmark.gui.session.image_order import ImageOrder


@pytest.fixture
def order() -> ImageOrder:
    made = ImageOrder()
    made.take_cohort("abcd")
    return made


def test_it_is_that_of_the_cohort_without_a_list(order):
    assert [order.beside("b", by) for by in (1, -1, 9, -9)] == ["c", "a", "d", "a"]
    assert not order.is_of_list


def test_it_is_that_of_the_list_on_show(order):
    heard = []
    order.changed.connect(lambda: heard.append(order.names))
    order.follow_list("dba")
    order.follow_list("dba")
    assert order.beside("d", 1) == "b"
    assert order.after("b") == ("a", "d")
    order.leave_list()
    assert order.beside("d", 1) == "d"
    assert heard == [("d", "b", "a"), ("a", "b", "c", "d")]


def test_from_an_image_that_is_not_listed_it_begins_at_an_end(order):
    order.follow_list("dba")
    assert order.beside("c", 1) == "d"
    assert order.beside("c", -1) == "a"
    assert order.after("c") == ("d", "b", "a")
    order.follow_list("")
    assert order.beside("c", 1) == ""
