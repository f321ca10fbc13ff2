"""Image that is suggested for annotation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Suggestion:
    """Image as a template.

    Parameters
    ----------
    image : str
        Name in the cohort.
    score : float
        0..1. Of pictures the mean weight of the matches of its points in other images, from similarity and cycle error;
        of volumes how near its shape is to those of the others, see `volume_selection`.
    """

    image: str
    score: float
