"""Signs that a training learned too little for its model to be of use, without ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.training.train import TrainingReport

_FLAT = 0.05  # median confidence: share of a heatmap around its peak
# Median expected error as a part of the longest side. Drawn hands of 448 pixels: 0.077 after 183 steps of the
# embedding (16 pixels off), 0.10 after 98 (107 pixels off); a detector states 0.006 at least.
_LARGE = 0.05


class ShortcomingKind(StrEnum):
    """Kind of a shortcoming, most telling first."""

    TOO_FEW_STEPS = "too few steps"
    FLAT_HEATMAPS = "flat heatmaps"
    LARGE_ERROR = "large expected error"


@dataclass(frozen=True)
class Shortcoming:
    """What a training lacks.

    Parameters
    ----------
    kind : ShortcomingKind
    text : str
        In words, without a remedy: 'training detector: 20 of 75 steps ...'.
    """

    kind: ShortcomingKind
    text: str


def find_shortcomings(report: TrainingReport, cohort: Cohort) -> list[Shortcoming]:
    """Shortcomings of a training that was not cancelled, most telling first.

    A stage that was ended by its limit of time before it had done its least steps; heatmaps without a peak, which make
    expected errors meaningless; a median expected error that is a large part of the image.

    Parameters
    ----------
    report : TrainingReport
    cohort : Cohort
        Images of the training.
    """
    if report.cancelled:
        return []
    found = []
    short = [history for history in report.histories if history.too_few_steps]
    if short:
        stages = ", ".join(f"{h.stage}: {h.steps} of at least {h.least_steps} steps" for h in short)
        text = f"the time was over before enough was learned ({stages})"
        found.append(Shortcoming(ShortcomingKind.TOO_FEW_STEPS, text))
    parts, confidences = [], []
    for name, marks in report.predictions.items():
        side = max(cohort.geometry(cohort.index(name)).shape)
        parts += [mark.expected_error / side for mark in marks.values() if mark.expected_error is not None]
        confidences += [mark.confidence for mark in marks.values() if mark.confidence is not None]
    if confidences and median(confidences) < _FLAT:
        found.append(
            Shortcoming(ShortcomingKind.FLAT_HEATMAPS, "it is sure of nothing: its heatmaps are flat")
        )
    elif parts and median(parts) > _LARGE:
        text = f"its expected error is {median(parts):.0%} of an image's length, where 1% is usual"
        found.append(Shortcoming(ShortcomingKind.LARGE_ERROR, text))
    return found
