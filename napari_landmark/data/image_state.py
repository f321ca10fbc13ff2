"""State of an image in a detection: whether the anatomy of the training was found in it."""

from __future__ import annotations

from enum import StrEnum


class ImageState(StrEnum):
    """Judgement of a model of one image."""

    FOUND = "found"
    """The anatomy was found, as surely as in the images of the training."""
    DOUBTFUL = "doubtful"
    """Found less surely than is usual, or not as a whole: to be looked at."""
    FOREIGN = "foreign"
    """Not this anatomy, or not in a way the model knows."""
    SEVERAL = "several"
    """Several subjects: the anatomy is found more than once."""

    @property
    def is_flagged(self) -> bool:
        """Whether a user should look at the image before its landmarks are used."""
        return self is not ImageState.FOUND
