"""Colours of marks: of the landmark, or of its confidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.utils import Colormap
from numpy.typing import NDArray

from napari_landmark.data.landmarks import Landmark, LandmarkSchema, Status

CONFIDENCE_COLORS = Colormap(
    [[0.90, 0.11, 0.14], [1.0, 0.75, 0.15], [0.25, 0.85, 0.95]], name="landmark confidence"
)
"""From red (low) to light blue (high), which remain distinct without red-green vision."""
MANUAL_COLOR = "#ffffff"
"""Colour of what a person placed, where colours show the confidence."""


def shows_confidence(marks: Sequence[Landmark], *, wanted: bool) -> bool:
    """Whether marks have the colours of confidences: only where one of them is predicted."""
    return wanted and any(mark.status is Status.PREDICTED for mark in marks)


def mark_colors(
    marks: Sequence[Landmark], schema: LandmarkSchema, *, by_confidence: bool
) -> NDArray[np.float64]:
    """(n, 4) colours of marks, red, green, blue and opacity from 0 to 1."""
    if not marks:
        return np.zeros((0, 4))
    if not by_confidence:
        return np.array([_rgba(schema.colors[schema.index(mark.name)]) for mark in marks])
    colors = np.asarray(CONFIDENCE_COLORS.map([mark.confidence or 0.0 for mark in marks]), dtype=float)
    colors[[mark.status.is_manual for mark in marks]] = _rgba(MANUAL_COLOR)
    return colors


def _rgba(color: str) -> tuple[float, float, float, float]:
    red, green, blue = (int(color[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue, 1.0
