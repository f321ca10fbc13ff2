"""Tests of the sides of images."""

from __future__ import annotations

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.study.image_facts import ImageDecision, ImageFacts
from napari_landmark.data.study.laterality import sides_of_images, with_laterality

MIRRORED = {"a.png": False, "b.png": True, "c.png": False, "d.png": True}


def facts(side: str, **more: str) -> ImageFacts:
    return ImageFacts(more={"Laterality": side, **more})


@pytest.mark.parametrize(
    ("word", "opposite"), [("L", "R"), ("r", "l"), ("left", "right"), ("Right", "Left"), ("LEFT", "RIGHT")]
)
def test_mirror_images_show_the_other_side_in_the_same_words(word, opposite):
    sides = sides_of_images({"a.png": facts(word)}, MIRRORED, image="a.png")
    assert sides == {"a.png": word, "b.png": opposite, "c.png": word, "d.png": opposite}


def test_any_image_may_tell_the_sides():
    sides = sides_of_images({"b.png": facts("R")}, MIRRORED, image="b.png")
    assert sides == {"a.png": "L", "b.png": "R", "c.png": "L", "d.png": "R"}


@pytest.mark.parametrize("word", ["", "up", "B"])
def test_an_image_without_a_side_tells_none(word):
    with pytest.raises(InputError, match=r"a\.png: its side is not known"):
        sides_of_images({"a.png": facts(word)}, MIRRORED, image="a.png")


def test_an_image_without_a_pose_tells_none():
    with pytest.raises(InputError, match=r"e\.png: its pose is not known: train or detect first"):
        sides_of_images({"e.png": facts("L")}, MIRRORED, image="e.png")


def test_what_a_person_wrote_stays_and_is_named():
    before = {
        "a.png": facts("L", age="9"),
        "b.png": facts("left"),
        "c.png": ImageFacts(ImageDecision.LEFT_OUT, "blurred", more={"Laterality": "", "age": "8"}),
    }
    filled, contrary = with_laterality(before, sides_of_images(before, MIRRORED, image="a.png"))
    assert contrary == ["b.png"]
    assert (filled["a.png"], filled["b.png"]) == (before["a.png"], before["b.png"])
    assert filled["c.png"] == ImageFacts(
        ImageDecision.LEFT_OUT, "blurred", more={"Laterality": "L", "age": "8"}
    )
    assert filled["d.png"].value("laterality") == "R"
