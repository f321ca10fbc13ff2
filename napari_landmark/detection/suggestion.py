"""What is said of an image as a template; see `template`, which finds it out. Read without torch."""

from __future__ import annotations

from dataclasses import dataclass

# On two cores. Half as long on one was no better than chance, see docs/method.md.
DEFAULT_MINUTES = 10.0
"""Of learning before the images are ranked."""


@dataclass(frozen=True)
class Suggestion:
    """One image as a template.

    Parameters
    ----------
    image : str
        Name in the cohort.
    score : float
        0..1: how surely places of this image are found in the others and back.
    """

    image: str
    score: float
