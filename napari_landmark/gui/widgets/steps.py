"""Steps of the work, in their order."""

from __future__ import annotations

from enum import StrEnum


class Step(StrEnum):
    """Step of the dock, by the name of its tab and of its entry in the menu."""

    PLACE = "Place"
    TRAIN = "Train"
    REVIEW = "Review"
    MEASURE = "Measure"
    REGISTER = "Register"
