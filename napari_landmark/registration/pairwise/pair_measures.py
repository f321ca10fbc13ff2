"""Quality measures of a pair before and after its registration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.registration.pairwise.header_alignment import header_alignment
from napari_landmark.registration.pairwise.measures import (
    LandmarkErrors,
    correlation,
    landmark_errors,
    warped_dice,
)
from napari_landmark.registration.transform.transform import Transform


@dataclass(frozen=True)
class PairMeasures:
    """Measures of one pair, each as (before, after).

    Parameters
    ----------
    similarity : tuple of float or None
        Correlation of the grey values, 1 where they agree up to brightness and contrast; None for a constant image.
    dice : mapping of int to tuple
        Overlap of each label that an image has.
    errors : mapping of str to tuple
        Distance of each landmark that both images have, in `unit`.
    unit : str
        'mm' or 'px'.
    folding_percent : float
        Share of the fixed image in which the transform folds.
    """

    similarity: tuple[float | None, float | None]
    dice: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    errors: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    unit: str = "px"
    folding_percent: float = 0.0

    @property
    def mean_dice(self) -> tuple[float, float] | None:
        """Mean overlap of all labels; None without labels."""
        return _mean(self.dice)

    @property
    def mean_error(self) -> tuple[float, float] | None:
        """Mean distance of all landmarks; None without landmarks."""
        return _mean(self.errors)


def measure_pair(
    transform: Transform,
    fixed: MedicalImage,
    moving: MedicalImage,
    *,
    fixed_labels: NDArray[np.integer] | None = None,
    moving_labels: NDArray[np.integer] | None = None,
    fixed_landmarks: LandmarkSet | None = None,
    moving_landmarks: LandmarkSet | None = None,
) -> PairMeasures:
    """Measure a registered pair; 'before' means the alignment by the headers of the images.

    Parameters
    ----------
    transform : Transform
    fixed, moving : MedicalImage
    fixed_labels, moving_labels : integer arrays of the images' shapes, optional
    fixed_landmarks, moving_landmarks : LandmarkSet, optional
        In index coordinates of their images.
    """
    before = header_alignment(fixed.geometry, moving.geometry)
    overlap: dict[int, tuple[float, float]] = {}
    errors: dict[str, tuple[float, float]] = {}
    unit = "px"
    if fixed_labels is not None and moving_labels is not None:
        initial = warped_dice(before, fixed_labels, moving_labels)
        final = warped_dice(transform, fixed_labels, moving_labels)
        overlap = {label: (initial.get(label, 0.0), value) for label, value in final.items()}
    if fixed_landmarks is not None and moving_landmarks is not None:
        first = landmark_errors(before, fixed_landmarks, moving_landmarks)
        last = landmark_errors(transform, fixed_landmarks, moving_landmarks)
        unit = "px" if last.mm is None else "mm"
        distances = _in_unit(first, unit)
        errors = {name: (distances[name], value) for name, value in _in_unit(last, unit).items()}
    similarity = (correlation(before, fixed, moving), correlation(transform, fixed, moving))
    return PairMeasures(similarity, overlap, errors, unit, transform.folding_percent())


def _in_unit(errors: LandmarkErrors, unit: str) -> dict[str, float]:
    return errors.px if unit == "px" else errors.mm or {}


def _mean(values: Mapping[Any, tuple[float, float]]) -> tuple[float, float] | None:
    if not values:
        return None
    before, after = np.mean(list(values.values()), axis=0)
    return float(before), float(after)
