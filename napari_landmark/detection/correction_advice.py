"""Advice on the corrections of a study: which images next, when to stop, and what the corrections say so far.

Imported without torch.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.study.study import Study
from napari_landmark.detection.correction_selection import expected_gain, propose_corrections
from napari_landmark.detection.detector.correction_offsets import CorrectionOffsets, learn_offsets

NEXT_IMAGES = 3
"""Images proposed at a time."""
_AHEAD = 10  # further corrections
_ENOUGH = 0.03  # share of the error that these must bring to be worth it
_CLEAR = 2.0  # standard errors from which on an offset is told: by chance one of fifty in pictures
_LEAST_OFFSET = 0.3  # of the expected error: a smaller offset is of no interest


@dataclass(frozen=True)
class LandmarkOffset:
    """A landmark that persons mark elsewhere than the model, in the pose of the template.

    Parameters
    ----------
    landmark : str
    offset : tuple of float
        From prediction to correction along the axes of the template image, in array axis order.
    images : int
        Corrected images that tell it.
    """

    landmark: str
    offset: tuple[float, ...]
    images: int


@dataclass(frozen=True)
class CorrectionAdvice:
    """Which images to correct next, and what the corrections so far say.

    Parameters
    ----------
    images : tuple of str
        To correct next, the most useful first.
    gain : float
        Expected fall of the mean error by their correction, in `unit`.
    later_gain : float
        The same by ten further corrections.
    is_enough : bool
        Whether further corrections are expected to change little.
    offsets : tuple of LandmarkOffset
    unit : str
        'mm', or 'px' where the spacing of an image is unknown.
    """

    images: tuple[str, ...]
    gain: float
    later_gain: float
    is_enough: bool
    offsets: tuple[LandmarkOffset, ...]
    unit: str

    def offset_lines(self) -> list[str]:
        """One sentence for each landmark with an offset, the largest first."""
        return [
            f"{found.landmark}: your corrections lie {math.hypot(*found.offset):.1f} {self.unit} further "
            f"{direction(found.offset)} than the predictions ({found.images} images)"
            for found in self.offsets
        ]

    def next_line(self) -> str:
        """What further corrections are expected to bring; empty without predictions."""
        if not self.images:
            return ""
        if self.is_enough:
            change = f"{max(self.later_gain, 0.01):.2f} {self.unit}"
            return f"ten further corrections are expected to change less than {change}"
        return f"expected gain {self.gain:.2f} {self.unit}"


def advise_corrections(
    images: Sequence[str],
    landmarks: Sequence[str],
    predictions: np.ndarray,
    annotations: np.ndarray,
    errors: np.ndarray,
    geometries: Sequence[Geometry],
    *,
    template: str,
    learned: Collection[str] = (),
    count: int = NEXT_IMAGES,
) -> CorrectionAdvice:
    """Advice from annotations and predictions alone.

    Parameters
    ----------
    images, landmarks : sequence of str
    predictions, annotations : (n_images, n, d) float arrays
        Index coordinates, NaN where there is none.
    errors : (n_images, n) float array
        Expected errors of the predictions in native pixels.
    geometries : sequence of Geometry
    template : str
        Image in whose pose offsets are told.
    learned : collection of str
        Images whose annotations the model of the predictions has learned: their predictions tell no offset.
    count : int
        Largest number of proposed images.
    """
    in_mm = all(geometry.has_spacing for geometry in geometries)
    dims = predictions.shape[-1]
    spacing = np.array([geometry.spacing if in_mm else (1.0,) * dims for geometry in geometries], float)
    predictions, annotations = predictions * spacing[:, None], annotations * spacing[:, None]
    errors = errors * spacing.mean(1)[:, None]
    is_manual = np.isfinite(annotations).all(-1)
    annotated = {name for name, any_mark in zip(images, is_manual.any(1), strict=True) if any_mark}
    offsets = None
    if template in annotated:
        new = [row for row, name in enumerate(images) if name in annotated - {*learned, template}]
        offsets = learn_offsets(annotations[list(images).index(template)], predictions[new], annotations[new])
    remaining = np.where(is_manual, np.nan, errors)
    proposal = propose_corrections(
        images,
        np.where(is_manual[..., None], annotations, predictions),
        remaining,
        annotated=annotated,
        offsets=offsets,
        count=count,
    )
    usual = float(np.nanmean(remaining)) if np.isfinite(remaining).any() else 0.0
    later = expected_gain(remaining, offsets, corrected=len(annotated) - 1, more=_AHEAD)
    told = () if offsets is None else _clear_offsets(landmarks, offsets, usual)
    return CorrectionAdvice(
        proposal.images, proposal.gain, later, later < _ENOUGH * usual, told, "mm" if in_mm else "px"
    )


def study_advice(
    study: Study,
    cohort: Cohort,
    *,
    learned: Collection[str] = (),
    images: Collection[str] | None = None,
    count: int = NEXT_IMAGES,
) -> CorrectionAdvice:
    """Advice on the corrections of a study from its files.

    Parameters
    ----------
    study : Study
    cohort : Cohort
    learned : collection of str
        As for `advise_corrections`.
    images : collection of str, optional
        The only images that are looked at.
    count : int
        Largest number of proposed images.
    """
    names = [name for name in cohort.names if images is None or name in images]
    if not names:
        return CorrectionAdvice((), 0.0, 0.0, False, (), "px")
    marked, found = np.full((2, len(names), len(study.schema), cohort.ndim), np.nan)
    errors = np.full(found.shape[:2], np.nan)
    for row, name in enumerate(names):
        annotation, prediction = study.load_annotations(name), study.load_predictions(name)
        manual = np.array([mark.status.is_manual for mark in annotation.values()])
        marked[row] = np.where(manual[:, None], annotation.positions(cohort.ndim), np.nan)
        found[row], errors[row] = prediction.positions(cohort.ndim), prediction.expected_errors()
    geometries = [cohort.geometry(cohort.index(name)) for name in names]
    return advise_corrections(
        names,
        study.schema.names,
        found,
        marked,
        errors,
        geometries,
        template=study.template,
        learned=learned,
        count=count,
    )


def direction(offset: Sequence[float]) -> str:
    """Direction of a vector in array axis order in words: 'down', 'down and left'; in volumes 'away'."""
    if len(offset) != 2:
        return "away"
    length = math.hypot(*offset)
    words = []
    for value, negative, positive in zip(offset, ("up", "left"), ("down", "right"), strict=True):
        if abs(value) > math.sin(math.radians(22.5)) * length:
            words.append(positive if value > 0 else negative)
    return " and ".join(words)


def _clear_offsets(
    landmarks: Sequence[str], offsets: CorrectionOffsets, usual: float
) -> tuple[LandmarkOffset, ...]:
    """Offsets that are large beside their uncertainty, the largest first."""
    if offsets.medians is None or offsets.standard_errors is None:
        return ()
    length = np.linalg.norm(offsets.medians, axis=1)
    clear = np.flatnonzero((length > _CLEAR * offsets.standard_errors) & (length > _LEAST_OFFSET * usual))
    return tuple(
        LandmarkOffset(landmarks[row], tuple(offsets.medians[row].tolist()), int(offsets.counts[row]))
        for row in clear[np.argsort(-length[clear])]
    )
