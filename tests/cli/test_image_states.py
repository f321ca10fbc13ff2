"""The summary names the images to look at, and counts landmarks that seem not visible."""

from __future__ import annotations

from napari_landmark.cli.image_states import STATE_WORDS, state_lines
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status

SCHEMA = LandmarkSchema(("a", "b"))


def marks(state, *missing):
    found = (Landmark(name, None, Status.PREDICTED_MISSING, 0.9) for name in missing)
    return LandmarkSet(SCHEMA, found, image_state=state)


def test_nothing_to_say():
    assert state_lines({"1.png": marks(ImageState.FOUND), "2.png": marks(None)}) == []


def test_images_by_state_and_missing_landmarks():
    many = {f"{k}.png": marks(ImageState.FOREIGN) for k in range(7)}
    lines = state_lines(
        {**many, "two.png": marks(ImageState.SEVERAL), "cut.png": marks(ImageState.FOUND, "a", "b")}
    )
    assert lines[0].startswith("look at: 7 not this anatomy")
    assert lines[0].endswith("0.png, 1.png, 2.png, 3.png, 4.png and 2 more")
    assert lines[1] == "look at: 1 several subjects: two.png"
    assert lines[2] == "2 landmarks seem not visible, in 1 of the images"
    assert STATE_WORDS.keys() == set(ImageState)
