"""Judgement of a detection by expected errors: state of the image, and landmarks that it does not show.

A detector gives every image a position for every landmark. In images of something else, of another pose or of a part of
the anatomy its expected errors are many times those that are usual in the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_landmark.data.image_state import ImageState
from napari_landmark.data.landmarks import Landmark, LandmarkSet, Status

_DECIMALS = 4
# Expected error over the usual one. Of the landmarks that are not called missing: 3 and more is unusual (1.3 at most in
# 24 cephalograms as they are). Of the better half of all landmarks: 1.04 at most there and 1.4 in images showing a part
# of it, 6.3 and more in 73 images of other things.
_UNUSUAL, _UNUSUAL_HALF, _FOREIGN_HALF = 3.0, 2.0, 4.0
_FEWEST_SHOWN = 0.25  # part of the landmarks; with fewer of them an image shows nothing that could be told
_MOST_UNEXPLAINED = 0.25  # part of the landmarks that are missing although they are expected inside
# Probability that a landmark is missing, where both are equally likely before: logistic in the logarithm of its
# expected error over the usual one, and in the distances from the border of its position and of the position that the
# sure landmarks tell, in parts of the longest side. The latter says nothing at `_NEUTRAL`, and no more beyond the
# largest. Fitted to cut, enlarged and turned images of a training with cephalograms and of one with drawn hands.
_MISSING_AT, _STEEPNESS, _BORDER = 2.4, 3.1, 0.35
_EXPECTED_BORDER, _NEUTRAL, _LARGEST_EXPECTED = 0.2, 0.02, 0.1
# No position is outside of an image: that of a landmark just outside is on the border itself, however sure. Within what
# part of the expected error that is, and how much it adds to the logarithm.
_ON_BORDER, _HELD_BACK = 0.02, 1.1


@dataclass(frozen=True, eq=False)
class UsualErrors:
    """Expected errors that are usual in the images of a training.

    Parameters
    ----------
    landmarks : (n,) array
        Median over the images, in pixels of the working grid; NaN for a landmark that no template shows.
    """

    landmarks: NDArray[np.float64]

    @classmethod
    def of(cls, errors: ArrayLike) -> UsualErrors | None:
        """From the expected errors (n_images, n) of images of the training; None without any image."""
        rows = np.asarray(errors, dtype=float)
        if rows.ndim != 2 or not len(rows) or np.isnan(rows).all():
            return None
        known = ~np.isnan(rows).all(0)
        medians = np.full(rows.shape[1], np.nan)
        medians[known] = np.nanmedian(rows[:, known], axis=0)
        return cls(np.round(medians, _DECIMALS))

    @property
    def mean(self) -> float:
        """Mean over the landmarks, in pixels of the working grid."""
        return float(np.nanmean(self.landmarks))

    def to_json(self) -> list[float | None]:
        """Plain values, null where unknown."""
        return [None if np.isnan(value) else float(value) for value in self.landmarks]

    @classmethod
    def from_json(cls, values: Sequence[float | None], count: int) -> UsualErrors:
        """From the values of `to_json`; TypeError or ValueError for anything else."""
        landmarks = np.array([np.nan if value is None else float(value) for value in values])
        known = ~np.isnan(landmarks)
        if landmarks.shape != (count,) or not known.any() or not (landmarks[known] > 0).all():
            raise ValueError(f"usual errors {values!r:.40}")
        if not np.isfinite(landmarks[known]).all():
            raise ValueError(f"usual errors {values!r:.40}")
        return cls(landmarks)


def judge(
    landmarks: LandmarkSet,
    usual: UsualErrors,
    *,
    shape: Sequence[int],
    scale: float,
    expected: NDArray[np.float64] | None = None,
) -> LandmarkSet:
    """State of the image, and its landmarks without those that it does not seem to show.

    Parameters
    ----------
    landmarks : LandmarkSet
        Predictions in native index coordinates, with expected errors in native pixels.
    usual : UsualErrors
    shape : sequence of int
        Of the native image.
    scale : float
        Native pixels per pixel of the working grid.
    expected : (n, d) array, optional
        Positions that the sure landmarks tell, see `expected_positions`; native index coordinates. With them an image
        that shows a small part of the anatomy is told from one of something else.
    """
    ratios = landmarks.expected_errors() / scale / usual.landmarks
    distances = border_distance(landmarks.positions(len(shape)), shape)
    margins = None if expected is None else border_margin(expected, shape)
    uncertainty = landmarks.expected_errors() / max(shape)
    probabilities = missing_probability(ratios, distances, uncertainty=uncertainty, margins=margins)
    missing = probabilities > 0.5
    state = _state(landmarks.expected_errors() / scale, usual.landmarks, missing, margins)
    if state is ImageState.FOREIGN:
        missing[:] = False  # of another anatomy nothing is missing: it is the wrong image
    marks = (
        Landmark(mark.name, None, Status.PREDICTED_MISSING, float(probability)) if absent else mark
        for mark, absent, probability in zip(landmarks.values(), missing, probabilities, strict=True)
    )
    return LandmarkSet(landmarks.schema, marks, image_state=state)


def missing_probability(
    ratios: NDArray[np.float64],
    distances: NDArray[np.float64],
    *,
    uncertainty: NDArray[np.float64],
    margins: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Probability (n,) that landmarks are outside of the image or covered; 0 where nothing is known.

    Parameters
    ----------
    ratios : (n,) array
        Expected error over the usual one of that landmark.
    distances : (n,) array
        See `border_distance`.
    uncertainty : (n,) array
        Expected error in the unit of the distances.
    margins : (n,) array, optional
        Of the expected positions, see `border_margin`; NaN where there is none.
    """
    told = np.zeros(len(ratios))
    if margins is not None:
        beyond = np.clip(margins, -_LARGEST_EXPECTED, _LARGEST_EXPECTED) - _NEUTRAL
        told = np.nan_to_num(beyond, nan=0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        held_back = _HELD_BACK * np.exp(-distances / (_ON_BORDER * uncertainty))
        evidence = np.log(ratios / _MISSING_AT) - distances / _BORDER - told / _EXPECTED_BORDER + held_back
        sign = _STEEPNESS * evidence
    return np.nan_to_num(1 / (1 + np.exp(-np.clip(sign, -50, 50))), nan=0.0)


def border_distance(positions: NDArray[np.float64], shape: Sequence[int]) -> NDArray[np.float64]:
    """Distance (n,) of positions (n, d) from the border of an image of that shape, in parts of its longest side.

    0 outside of the image, NaN where there is no position.
    """
    return border_margin(positions, shape).clip(min=0)


def border_margin(positions: NDArray[np.float64], shape: Sequence[int]) -> NDArray[np.float64]:
    """The same, but below 0 outside of the image."""
    last = np.asarray(shape, dtype=float) - 1
    margins: NDArray[np.float64] = np.minimum(positions, last - positions).min(1) / max(shape)
    return margins


def _state(
    errors: NDArray[np.float64],
    usual: NDArray[np.float64],
    missing: NDArray[np.bool_],
    margins: NDArray[np.float64] | None,
) -> ImageState | None:
    known = ~np.isnan(errors) & ~np.isnan(usual)
    if not known.any():
        return None
    shown = known & ~missing
    if margins is None and shown.sum() < _FEWEST_SHOWN * known.sum():
        return ImageState.FOREIGN
    # Where the sure landmarks tell that others are outside, those say nothing of the image.
    counted = known if margins is None else known & ~(missing & (margins < 0))
    ratios = np.sort(errors[counted] / usual[counted])
    half = ratios[: (len(ratios) + 1) // 2].mean()
    if half > _FOREIGN_HALF:
        return ImageState.FOREIGN
    is_unusual = errors[shown].mean() > _UNUSUAL * usual[shown].mean()
    unexplained = margins is not None and (
        (missing & (margins > _LARGEST_EXPECTED)).sum() > _MOST_UNEXPLAINED * known.sum()
    )
    is_doubtful = is_unusual or unexplained or half > _UNUSUAL_HALF
    return ImageState.DOUBTFUL if is_doubtful else ImageState.FOUND
