"""Summary of the states of images in words."""

from __future__ import annotations

from collections.abc import Mapping

from napari_landmark.data.image_state import ImageState
from napari_landmark.data.landmarks import LandmarkSet, Status

STATE_WORDS = {
    ImageState.FOUND: "found",
    ImageState.DOUBTFUL: "doubtful",
    ImageState.FOREIGN: "not this anatomy, or not in a known pose",
    ImageState.SEVERAL: "several subjects",
}
_MOST_NAMES = 5


def state_lines(landmarks: Mapping[str, LandmarkSet]) -> list[str]:
    """Lines on the images that a user should look at, and on landmarks that seem not visible; empty without any."""
    lines = []
    for state, words in STATE_WORDS.items():
        names = [name for name, marks in landmarks.items() if marks.image_state is state]
        if names and state.is_flagged:
            more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
            lines.append(f"look at: {len(names)} {words}: {', '.join(names[:_MOST_NAMES])}{more}")
    absent = {
        name: sum(mark.status is Status.PREDICTED_MISSING for mark in marks.values())
        for name, marks in landmarks.items()
    }
    images = sum(count > 0 for count in absent.values())
    if images:
        lines.append(f"{sum(absent.values())} landmarks seem not visible, in {images} of the images")
    return lines
