"""Errors of a cohort, measured by transfers: every image can be a template, with the landmarks predicted in it.

The true positions are not known, but what another template would have said is: the predicted landmarks of one image are
matched in another by the embedding and refined there, the whole way that the template's own landmarks went. How far
that ends from what is predicted there shows how well one image determines positions in another, whatever the anatomy:
where a contour is alike at every position, transfers slide along it; where a structure is unmistakable, they agree.

The truth is an annotation, too, as the template is: both were placed by a person who had as much to go by. So the
variance of a transfer counts once for the image and once for the template; with k templates the latter share is 1 / k.

Annotated images that were held out (`held_out_errors`) tell it better, the more of them there are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.error_covariance import isotropic, with_mean_radial_error
from napari_landmark.detection.embedding.template_matching import Template
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.detection.model.stated_errors import StatedErrors
from napari_landmark.detection.refinement.patch_embedding import PatchEmbedding
from napari_landmark.detection.training.transfer import Transfer
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

_IMAGES, _TEMPLATES = 18, 5  # images that transfers end in, and those among them that they start from
_FEWEST_IMAGES = 4
_FEWEST_TRANSFERS = 6  # of a landmark
# Of the longest side: a person who sees a whole image on a thousand pixels of a screen clicks within two of them. It
# matters where structures are so clear that transfers agree far better than people: fly wings, incisors.
_CLICK = 0.002
# Median offsets, of the landmark or of all, beyond which a transfer has failed: how often it does so says nothing of a
# detector that has seen the whole cohort.
_GROSS = 3.0
# Of the logarithm of a level: five images as templates tell single landmarks only roughly.
_COMMON_SHARE = 0.3
# Transfers beyond a multiple of the median say how often a match fails, and little of the direction of other errors.
_FAR = 2.0
_ISOTROPIC_SHARE = 0.3  # of the covariance: two dozen transfers tell an extent by direction only roughly
_LEAST_ERROR = 0.1  # pixels of the working grid
# Images held out that count as much as transfers do, for a single landmark and for all together.
_OWN_IMAGES, _ALL_IMAGES = 4.0, 1.0

_LEAST_SHARE = 0.01  # of a covariance: kriging needs some noise


def measure_stated_errors(
    model: LandmarkModel,
    cohort: Cohort,
    *,
    aside: Collection[int] = (),
    annotated: Collection[int] = (),
    held_out: NDArray[np.float64] | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> StatedErrors | None:
    """Errors of predictions by transfers between images of a training, and by annotations that were held out.

    Parameters
    ----------
    model : LandmarkModel
        With a refiner.
    cohort : Cohort
        As the images were drawn in the training.
    aside : collection of int
        Images that nothing was learned from.
    annotated : collection of int
        They count only where hardly any other image is there, and some of them were held out.
    held_out : (k, n, d) array, optional
        Offsets as `held_out_errors` returns them.
    progress : Progress, optional
    cancel : CancelToken, optional

    Returns
    -------
    StatedErrors or None
        None with too few images, for a model that was not trained to its end, or after a cancel.
    """
    numbers = [number for number in range(len(cohort)) if number not in aside and number not in annotated]
    if len(numbers) < _FEWEST_IMAGES and held_out is not None:
        numbers = [number for number in range(len(cohort)) if number not in aside]
    if model.refiner is None or model.detector is None or len(numbers) < _FEWEST_IMAGES:
        return None
    chosen = [numbers[row] for row in _spread(len(numbers), _IMAGES)]
    positions, expected = _predict(model, cohort, chosen)
    starts = _spread(len(chosen), min(_TEMPLATES, len(chosen) - 1))
    offsets = []
    for done, start in enumerate(starts, 1):
        if cancel is not None and cancel.cancelled:
            return None
        offsets.append(_transfer(model, model.refiner.network, cohort, chosen, positions, start))
        if progress:
            progress(ProgressEvent("measuring errors", done / len(starts)))
    templates = model.descriptors.positions.cpu().numpy()
    return _summarize(np.concatenate(offsets), expected, templates, model.canvas, held_out)


def _predict(
    model: LandmarkModel, cohort: Cohort, numbers: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions (n_images, n, d) and expected errors (n_images, n) in pixels of the working grid."""
    positions, errors = [], []
    for number in numbers:
        transform = cohort.canvas_transform(number)
        found = model.detect_working(cohort.working(number), transform).landmarks
        positions.append(transform.to_working(found.positions(cohort.ndim)))
        errors.append(found.expected_errors() / transform.scale)
    return np.stack(positions), np.stack(errors)


def _transfer(
    model: LandmarkModel,
    patches: PatchEmbedding,
    cohort: Cohort,
    numbers: list[int],
    positions: NDArray[np.float64],
    start: int,
) -> NDArray[np.float64]:
    """Offsets (n_images - 1, n, d) from the predictions in all other images when that one is the template."""
    transfer = Transfer(model, patches, cohort, [Template(numbers[start], positions[start])])
    offsets = []
    for row, number in enumerate(numbers):
        if row == start:
            continue
        absent = np.isnan(positions[start]).any(1) | np.isnan(positions[row]).any(1)
        found = transfer.to(cohort.working(number))
        offsets.append(np.where(absent[:, None], np.nan, found - positions[row]))
    return np.stack(offsets)


def _summarize(
    offsets: NDArray[np.float64],
    expected: NDArray[np.float64],
    templates: NDArray[np.float64],
    canvas: Sequence[int],
    held_out: NDArray[np.float64] | None = None,
) -> StatedErrors | None:
    """Stated errors by offsets (n_transfers, n, d), expected errors (n_images, n) and templates (k, n, d).

    Those of annotated images that were held out, (m, n, d), count the more the more there are.
    """
    count, ndim = offsets.shape[1:]
    shown = np.isfinite(templates).all(2).sum(0)
    known = np.asarray(np.isfinite(offsets).all(2))
    used = (known.sum(0) >= _FEWEST_TRANSFERS) & np.isfinite(expected).any(0) & (shown > 0)
    if not used.any():
        return None
    lengths = np.linalg.norm(offsets[:, used], axis=2)
    usual = np.nanmedian(lengths, axis=0)
    gross = _GROSS * np.maximum(usual, np.median(usual)) + _LEAST_ERROR
    click = _CLICK * max(canvas)
    levels = np.hypot(np.nanmean(np.minimum(lengths, gross), axis=0), click)
    shares = np.full(count, np.nan)
    shares[used] = np.clip(1 - (click / levels) ** 2, _LEAST_SHARE, 1.0)
    logs = np.log(levels)
    levels = np.exp(logs.mean() + (1 - _COMMON_SHARE) * (logs - logs.mean())) * np.sqrt(1 + 1 / shown[used])
    if held_out is not None:
        levels = _with_held_out(levels, held_out[:, used])
        offsets = np.concatenate([offsets, held_out])
        known = np.asarray(np.isfinite(offsets).all(2))
    factors, covariances = np.full(count, np.nan), np.full((count, ndim, ndim), np.nan)
    factors[used] = levels / np.nanmean(expected[:, used], axis=0).clip(min=1e-6)
    for level, column in zip(levels, np.flatnonzero(used), strict=True):
        own = offsets[known[:, column], column]
        covariances[column] = _covariance(own, click, float(level))
    return StatedErrors(factors, covariances, shares)


def _with_held_out(levels: NDArray[np.float64], offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Levels (n,) by transfers, moved towards the mean errors by offsets (m, n, d) of images that were held out.

    All of them together tell the level of all landmarks; each landmark its own, as far as it has enough of them.
    """
    lengths = np.linalg.norm(offsets, axis=2)
    counts = np.isfinite(lengths).sum(0)
    told = counts > 0
    if not told.any():
        return levels
    # Not limited as those of transfers: an outlier here is one of the model that is used.
    means = np.nanmean(lengths[:, told], axis=0).clip(min=_LEAST_ERROR)
    ratios = np.zeros(len(levels))
    ratios[told] = np.log(means / levels[told])
    common = float(np.average(ratios[told], weights=counts[told]))
    shares = counts / (counts + _OWN_IMAGES)
    images = int(counts.max())
    moved = images / (images + _ALL_IMAGES) * common * (1 - shares) + shares * ratios
    return levels * np.exp(moved)


def _covariance(offsets: NDArray[np.float64], click: float, error: float) -> NDArray[np.float64]:
    """Covariance (d, d) with that mean radial error, in the directions of the usual offsets (n, d) and of clicks."""
    lengths = np.linalg.norm(offsets, axis=1)
    weights = 1 / (1 + (lengths / (_FAR * (np.median(lengths) + _LEAST_ERROR))) ** 2)
    spread = (offsets * weights[:, None]).T @ offsets / weights.sum()
    ndim = offsets.shape[1]
    shape = with_mean_radial_error(spread + isotropic(click, ndim), 1.0)
    mixed = (1 - _ISOTROPIC_SHARE) * shape + _ISOTROPIC_SHARE * isotropic(1.0, ndim)
    return with_mean_radial_error(mixed, error)


def _spread(count: int, most: int) -> list[int]:
    """At most that many numbers below `count`, evenly spread."""
    return sorted(set(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()))
