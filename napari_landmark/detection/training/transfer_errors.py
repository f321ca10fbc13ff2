"""Errors of a cohort, measured by transfers: every image can be a template, with the landmarks predicted in it.

The true positions are not known, but what another template would have said is: the predicted landmarks of one image are
matched in another by the embedding and refined there, the whole way that the template's own landmarks went. How far
that ends from what is predicted there shows how well one image determines positions in another, whatever the anatomy:
where a contour is alike at every position, transfers slide along it; where a structure is unmistakable, they agree.

The truth is an annotation, too, as the template is: both were placed by a person who had as much to go by. So the
variance of a transfer counts once for the image and once for the template; with k templates the latter share is 1 / k.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.error_covariance import isotropic, with_mean_radial_error
from napari_landmark.detection.embedding.template_matching import (
    Template,
    describe_templates,
    match_templates,
)
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.detection.model.stated_errors import StatedErrors
from napari_landmark.detection.refinement.local_refinement import (
    LocalRefiner,
    build_local_refiner,
    embedding_prior,
    refine_positions,
)
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


def measure_stated_errors(
    model: LandmarkModel,
    cohort: Cohort,
    *,
    aside: Collection[int] = (),
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> StatedErrors | None:
    """Errors of predictions by transfers between images of a training.

    Parameters
    ----------
    model : LandmarkModel
        With a refiner.
    cohort : Cohort
        As the images were drawn in the training.
    aside : collection of int
        Images that nothing was learned from, and annotated ones.
    progress : Progress, optional
    cancel : CancelToken, optional

    Returns
    -------
    StatedErrors or None
        None with too few images, for a model that was not trained to its end, or after a cancel.
    """
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
        offsets.append(_transfer(model, model.refiner, cohort, chosen, positions, start))
        if progress:
            progress(ProgressEvent("measuring errors", done / len(starts)))
    templates = model.descriptors.positions.cpu().numpy()
    return _summarize(np.concatenate(offsets), expected, templates, model.canvas)


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
    refiner: LocalRefiner,
    cohort: Cohort,
    numbers: list[int],
    positions: NDArray[np.float64],
    start: int,
) -> NDArray[np.float64]:
    """Offsets (n_images - 1, n, d) from the predictions in all other images when that one is the template."""
    template = Template(numbers[start], positions[start])
    local = build_local_refiner(refiner.network, cohort, [template], model.device)
    descriptors = describe_templates(model.embedding, cohort, [template], model.device)
    offsets = []
    for row, number in enumerate(numbers):
        if row == start:
            continue
        pixels = cohort.working(number)
        image = model.device.to(torch.from_numpy(np.ascontiguousarray(pixels))[None, None])
        coarse = match_templates(model.embedding, descriptors, model.embedding.embed(image)).positions
        prior = embedding_prior(model.embedding)
        refined = refine_positions(local, pixels, coarse, model.device, prior=prior).positions
        absent = np.isnan(positions[start]).any(1) | np.isnan(positions[row]).any(1)
        offsets.append(np.where(absent[:, None], np.nan, refined - positions[row]))
    return np.stack(offsets)


def _summarize(
    offsets: NDArray[np.float64],
    expected: NDArray[np.float64],
    templates: NDArray[np.float64],
    canvas: Sequence[int],
) -> StatedErrors | None:
    """Stated errors by offsets (n_transfers, n, d), expected errors (n_images, n) and templates (k, n, d)."""
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
    logs = np.log(levels)
    levels = np.exp(logs.mean() + (1 - _COMMON_SHARE) * (logs - logs.mean())) * np.sqrt(1 + 1 / shown[used])
    factors, covariances = np.full(count, np.nan), np.full((count, ndim, ndim), np.nan)
    factors[used] = levels / np.nanmean(expected[:, used], axis=0).clip(min=1e-6)
    for level, column in zip(levels, np.flatnonzero(used), strict=True):
        own = offsets[known[:, column], column]
        covariances[column] = _covariance(own, click, float(level))
    return StatedErrors(factors, covariances)


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
