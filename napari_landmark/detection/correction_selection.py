"""Images of a study that are corrected next, chosen by what their corrections teach about the other images.

The list of the review shows the worst predictions first: right for finding mistakes, and wrong for learning, since odd
images tell little of the others. Proposed are images that many others resemble and none of the annotated ones does,
predicted with no more doubt than usual.

Imported without torch.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from napari_landmark.detection.detector.correction_offsets import CorrectionOffsets
from napari_landmark.detection.detector.shape_model import shape_distances

_MOST_COMPARED = 300  # their pairwise distances are computed; of a large cohort an even choice
_USUAL_DOUBT = 0.75  # quantile of the mean expected errors of images, above which none is proposed
# Of the expected error, before anything is known: standard deviation of the part that all images have in common.
# 0.5 in cephalograms, 0.7 in chest X-rays and shells, where landmarks slide along contours.
_COMMON_SHARE = 0.5
# Fall of the error by each factor e of annotated images, as a share of it: updates of a model of 148 cephalograms with
# 0, 5 and 49 corrections, 1.69, 1.52 and 1.27 mm. Networks learn more than what all images have in common.
_LEARNING_RATE = 0.064


@dataclass(frozen=True)
class CorrectionProposal:
    """Images to correct next, and what that is expected to bring.

    Parameters
    ----------
    images : tuple of str
        The most useful first; empty where all images are annotated or have no predictions.
    gain : float
        Expected fall of the mean radial error of the other images, in the unit of the expected errors.
    """

    images: tuple[str, ...]
    gain: float


def propose_corrections(
    names: Sequence[str],
    positions: np.ndarray,
    errors: np.ndarray,
    *,
    annotated: Collection[str],
    offsets: CorrectionOffsets | None = None,
    count: int = 3,
) -> CorrectionProposal:
    """Choose images whose correction tells most of the others (greedy k-medoids of the shapes).

    Parameters
    ----------
    names : sequence of str
        Of the images.
    positions : (n_images, n, d) float array
        Annotations, else predictions, all in one unit; NaN where unknown.
    errors : (n_images, n) float array
        Expected errors in the same unit; NaN where unknown, as in annotated images.
    annotated : collection of str
        Names of the annotated images.
    offsets : CorrectionOffsets, optional
        Learned from the corrections so far, in the same unit.
    count : int
        Largest number of images.
    """
    mean = _means(errors)
    done = np.array([name in annotated for name in names], bool)
    known = np.isfinite(positions).all(-1).sum(1) > positions.shape[2]
    wanted = np.flatnonzero(known & ~done & np.isfinite(mean))
    gain = expected_gain(errors[wanted], offsets, corrected=int(done.sum()) - 1, more=count)
    if not len(wanted):
        return CorrectionProposal((), 0.0)
    chosen = _evenly(wanted, _MOST_COMPARED)
    rows = np.concatenate([chosen, _evenly(np.flatnonzero(known & done), _MOST_COMPARED)])
    distances = shape_distances(positions[rows])
    others = len(chosen)
    nearest = distances[:, others:].min(1) if others < len(rows) else np.full(len(rows), distances.max())
    usual = mean[chosen] <= np.quantile(mean[chosen], _USUAL_DOUBT)
    found: list[int] = []
    for _ in range(min(count, others)):
        benefit = np.maximum(nearest[:others, None] - distances[:others, :others], 0).sum(0)
        benefit = np.where(usual, benefit, benefit - distances.sum())
        benefit[found] = -np.inf
        best = int(benefit.argmax())
        found.append(best)
        nearest = np.minimum(nearest, distances[:, best])
    return CorrectionProposal(tuple(names[chosen[row]] for row in found), gain)


def expected_gain(
    errors: np.ndarray, offsets: CorrectionOffsets | None, *, corrected: int, more: int
) -> float:
    """Expected fall of the mean radial error by further corrections, in the unit of the errors.

    The larger one of `offset_gain` and of what networks learn: with the logarithm of the number of labels.

    Parameters
    ----------
    errors : (n_images, n) float array
        Expected errors of the images that remain.
    offsets : CorrectionOffsets or None
        Of the corrections so far; None or without any, the common part is taken to be as large as usual.
    corrected, more : int
        Number of corrected images so far, and of further ones.
    """
    if not np.isfinite(errors).any():
        return 0.0
    learned = _LEARNING_RATE * np.nanmean(errors) * np.log1p(more / (1 + max(0, corrected)))
    return max(offset_gain(errors, offsets, corrected=corrected, more=more), float(learned))


def offset_gain(errors: np.ndarray, offsets: CorrectionOffsets | None, *, corrected: int, more: int) -> float:
    """Expected fall of the mean radial error by what further corrections have in common; as `expected_gain`.

    An error is a common offset and a scatter. Each correction shows both together, so that the variance of what is
    unknown of the offset falls as that of a mean does.
    """
    landmark = np.array([np.nanmean(column) if np.isfinite(column).any() else 0.0 for column in errors.T])
    scatter, common = np.square(landmark), np.square(_COMMON_SHARE * landmark)
    counts = np.full(len(landmark), max(0, corrected))
    if offsets is not None and offsets.scatter is not None:
        scatter, common = offsets.scatter, np.full(len(landmark), offsets.between)
        counts = offsets.counts

    def unknown(number: np.ndarray) -> np.ndarray:
        return common * scatter / np.maximum(number * common + scatter, 1e-12)

    gone = np.minimum(unknown(counts) - unknown(counts + more), np.square(landmark))
    return float((landmark - np.sqrt(np.square(landmark) - gone)).mean())


def _means(errors: np.ndarray) -> np.ndarray:
    """Mean of the finite values of each row; NaN without any."""
    finite = np.isfinite(errors)
    count = finite.sum(1)
    total = np.where(finite, errors, 0.0).sum(1)
    return np.divide(total, count, out=np.full(len(errors), np.nan), where=count > 0)


def _evenly(rows: np.ndarray, most: int) -> np.ndarray:
    if len(rows) <= most:
        return rows
    return np.asarray(rows[np.linspace(0, len(rows) - 1, most).round().astype(int)])
