"""Images of the study that suit best as template."""

from __future__ import annotations

from dataclasses import dataclass

from napari_landmark.detection.suggestion import Suggestion


@dataclass(frozen=True)
class SuggestedImages:
    """Ranking of images as templates.

    Parameters
    ----------
    best : tuple of Suggestion
        The best first.
    partial : bool, optional
        Whether the comparison was cancelled before all images were compared.
    """

    best: tuple[Suggestion, ...]
    partial: bool = False
