"""Odd shapes: outliers by image and by landmark, exchanged landmarks, exchanged sides, mirror images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from napari_landmark.shape.procrustes import Array, fit_to

FEWEST_IMAGES = 5
"""Images that are needed to say what is odd."""
_FEWEST_LANDMARKS = 4
_ROUNDS = 4  # of the robust mean
_RESISTANT_STEPS = 8  # of each resistant fit
_WIDTH = 8.0  # for each axis: squared deviation at which the weight of a landmark is a quarter
# Median length of a vector of independent standard normal values.
_MEDIAN_LENGTH = {2: 1.1774, 3: 1.5382}
# Length that one in ten thousand vectors of them exceeds.
LIMIT = {2: 4.2919, 3: 4.5940}
"""Deviation, in robust standard deviations, beyond which two landmarks may be exchanged; by number of axes."""
# Real landmarks have longer tails than a normal distribution: of 12 landmarks of 58 wings without a gross error, nine
# deviate by more than LIMIT and one by more than this.
_FAR = {2: 6.0, 3: 6.4}
_SMALLEST_SCALE = 0.003  # of the centroid size: coordinates are clicked to a pixel or so
_MOST_CANDIDATES = 40  # landmarks of an image of which all pairs are tried: 780 pairs
_MOST_EXCHANGES = 4  # of one image
_SMALLEST_GAIN = 0.6  # of the squared limit: a landmark that is far off costs that, and two become right
_SHARE_LEFT = 0.2  # of the deviations of far landmarks that an exchange may leave
_MOST_SHAPES = 1000  # evenly taken, that mean and scales are estimated from
_MIRROR_GAIN = 2.5  # times that a reflection lowers the misfit


@dataclass(frozen=True)
class Exchange:
    """Landmarks that seem to have each other's position in one image.

    Parameters
    ----------
    first, second : int
        Rows of the landmarks.
    gain : float
        How much the exchange lowers the sum of the squared deviations, in which none counts more than the square of
        the limit.
    """

    first: int
    second: int
    gain: float


@dataclass(frozen=True, eq=False)
class ShapeOutliers:
    """Deviations of every landmark of every image from the robust mean shape.

    Parameters
    ----------
    deviations : (n, k) array
        Distance of a landmark from the mean shape fitted to the others of its image, in robust standard deviations of
        that landmark along an axis; NaN where it is missing, and everywhere where too few images are there.
    exchanges : mapping of int to tuple of Exchange
        Exchanged landmarks by row of the image, largest gain first.
    sides_exchanged : (n,) array of bool
        Images that fit once the names of all left and right landmarks are exchanged.
    mirrored : (n,) array of bool
        Images that fit once they are reflected.
    """

    deviations: Array
    exchanges: dict[int, tuple[Exchange, ...]]
    sides_exchanged: NDArray[np.bool_]
    mirrored: NDArray[np.bool_]
    ndim: int

    @property
    def limit(self) -> float:
        """Deviation beyond which a landmark is called far from its place."""
        return _FAR[self.ndim]

    @property
    def oddness(self) -> Array:
        """(n,) root mean square of the deviations of each image; about 1.4 (in 3-D 1.7) is usual, NaN unknown."""
        known = ~np.isnan(self.deviations)
        squares = np.where(known, self.deviations, 0.0) ** 2
        count = known.sum(axis=1)
        return np.where(count > 0, np.sqrt(squares.sum(axis=1) / np.maximum(count, 1)), np.nan)

    @property
    def order(self) -> NDArray[np.intp]:
        """(n,) rows of the images, oddest first: exchanged landmarks or sides before others, unknown ones last."""
        oddness = self.oddness
        found = np.zeros(len(oddness), bool)
        found[list(self.exchanges)] = True
        found |= self.sides_exchanged | self.mirrored
        return np.lexsort((-np.nan_to_num(oddness, nan=-1.0), ~found))

    @property
    def worst(self) -> NDArray[np.intp]:
        """(n,) row of the landmark with the largest deviation of each image."""
        return np.nan_to_num(self.deviations, nan=-1.0).argmax(axis=1)


def find_shape_outliers(
    positions: Array, *, side_pairs: Sequence[tuple[int, int]] = (), reflections: bool = False
) -> ShapeOutliers:
    """Find images and landmarks that deviate from the shape of the others.

    Configurations are fitted to a robust mean by translation, scale and rotation so that landmarks far off have little
    influence (a resistant fit in the sense of Siegel and Benson 1982, Biometrics 38, by iteratively reweighted least
    squares): one wrong landmark stays one, instead of moving all others.

    Parameters
    ----------
    positions : (n, k, d) array
        NaN where a landmark is missing; axes of one scale.
    side_pairs : sequence of pair of int, optional
        Rows of left and right landmarks.
    reflections : bool, optional
        Whether mirror images are as good as others, as left and right wings are: they are compared reflected.

    Returns
    -------
    ShapeOutliers
        Without findings where fewer than `FEWEST_IMAGES` images or four landmarks are there.
    """
    count, landmarks, ndim = positions.shape
    present = ~np.isnan(positions[..., 0])
    usable = present.sum(axis=1) >= _FEWEST_LANDMARKS
    nothing = np.zeros(count, bool)
    empty = ShapeOutliers(np.full((count, landmarks), np.nan), {}, nothing, nothing, ndim)
    if usable.sum() < FEWEST_IMAGES or landmarks < _FEWEST_LANDMARKS:
        return empty
    rows = np.flatnonzero(usable)
    there = present[rows]
    shapes = _normalized(positions[rows], there)
    sample = np.linspace(0, len(rows) - 1, min(len(rows), _MOST_SHAPES)).astype(int)
    seen = there[sample].sum(axis=0) >= FEWEST_IMAGES  # a landmark that hardly any image has cannot be judged
    judged = there & seen
    mean, scales = _robust_mean(shapes[sample], judged[sample])
    distances = _deviations(_resistant_fit(mean, shapes, judged, scales), mean, scales)
    deviations = empty.deviations.copy()
    deviations[rows] = np.where(judged, distances, np.nan)
    misfit = _row_median(distances, judged)
    mirrored, sides = nothing.copy(), nothing.copy()
    odd = np.flatnonzero(misfit > LIMIT[ndim] / 2)
    if odd.size:
        reflected = _resistant_fit(mean, shapes[odd] * _flip(ndim), judged[odd], scales)
        after = _row_median(_deviations(reflected, mean, scales), judged[odd])
        mirrored[rows[odd]] = misfit[odd] > _MIRROR_GAIN * after
        if reflections:
            turned = odd[mirrored[rows[odd]]]
            shapes[turned] *= _flip(ndim)
            distances[turned] = _deviations(reflected, mean, scales)[mirrored[rows[odd]]]
            deviations[rows] = np.where(judged, distances, np.nan)
            mirrored[:] = False
            misfit = _row_median(distances, judged)
            odd = np.flatnonzero(misfit > LIMIT[ndim] / 2)
    if odd.size and side_pairs:
        swap = np.arange(landmarks)
        for first, second in side_pairs:
            swap[[first, second]] = second, first
        both = judged[odd][:, swap] & seen
        swapped = _resistant_fit(mean, shapes[odd][:, swap], both, scales)
        after = _row_median(_deviations(swapped, mean, scales), both)
        sides[rows[odd]] = misfit[odd] > _MIRROR_GAIN * after
        mirrored &= ~sides
    exchanges = {}
    own = np.where(judged, distances, 0.0)
    for row in np.flatnonzero(((own > LIMIT[ndim]).sum(axis=1) >= 2) & ~(mirrored | sides)[rows]).tolist():
        found, corrected = _find_exchanges(shapes[row], mean, judged[row], scales, own[row], LIMIT[ndim])
        if found:
            exchanges[int(rows[row])] = found
            deviations[rows[row]] = np.where(judged[row], corrected, np.nan)
    return ShapeOutliers(deviations, exchanges, sides, mirrored, ndim)


def _flip(ndim: int) -> Array:
    flip = np.ones(ndim)
    flip[-1] = -1
    return flip


def _normalized(positions: Array, there: NDArray[np.bool_]) -> Array:
    """Configurations centred and scaled robustly, 0 where a landmark is missing."""
    centres = np.nanmedian(positions, axis=1, keepdims=True)
    centred = np.where(there[..., None], positions - centres, 0.0)
    sizes = np.sqrt((centred**2).sum(axis=(1, 2)) / there.sum(axis=1))
    return centred / np.where(sizes > 0, sizes, 1.0)[:, None, None]


def _robust_mean(shapes: Array, judged: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Mean shape (k, d) and robust standard deviation of each landmark (k,), little moved by outliers."""
    landmarks, ndim = shapes.shape[1:]
    mean = _first_mean(shapes, judged)
    scales = np.ones(landmarks)
    weights = judged.astype(float)
    for _ in range(_ROUNDS):
        fitted = _resistant_fit(mean, shapes, judged, scales)
        far = _deviations(fitted, mean, scales)
        weights = np.where(judged, 1 / np.maximum(1.0, far / LIMIT[ndim]) ** 2, 0.0)
        total = weights.sum(axis=0)
        mean = np.einsum("nk,nkd->kd", weights, fitted) / np.maximum(total, 1e-12)[:, None]
        mean = mean - mean.mean(axis=0)
        size = np.sqrt((mean**2).sum() / landmarks)
        mean = mean / (size if size > 0 else 1.0)
        distances = np.linalg.norm(_resistant_fit(mean, shapes, judged, scales) - mean, axis=-1)
        medians = _row_median(distances.T, judged.T)
        # A landmark that no image has gets any scale.
        scales = np.where(medians > 0, medians / _MEDIAN_LENGTH[ndim], 1.0 * ~judged.any(axis=0))
        scales = np.maximum(scales, _SMALLEST_SCALE * np.sqrt(landmarks))
    return mean, scales


def _first_mean(shapes: Array, judged: NDArray[np.bool_]) -> Array:
    """A mean to begin with: of all configurations, fitted to the one that has most landmarks, three times."""
    start = int(judged.sum(axis=1).argmax())
    mean = shapes[start]
    weights = judged & judged[start]
    for _ in range(3):
        fitted = fit_to(mean, shapes, weights.astype(float))
        # The median along each axis: a few images that are wholly wrong do not move it.
        mean = np.stack([_row_median(axis.T, judged.T) for axis in np.moveaxis(fitted, -1, 0)], axis=-1)
        weights = judged
    return mean


def _resistant_fit(mean: Array, shapes: Array, judged: NDArray[np.bool_], scales: Array) -> Array:
    """Fit shapes to a mean with weights that fall with the deviation in units of `scales` (Geman-McClure)."""
    precision = judged / scales**2
    fitted = fit_to(mean, shapes, precision)
    for step in range(_RESISTANT_STEPS):
        squares = ((fitted - mean) ** 2).sum(axis=-1) / scales**2
        # From tolerant to strict: at first even the right landmarks of a shape with a wrong one are far off.
        width = np.maximum(_row_median(squares, judged) * 4.0 ** (1 - step / 2), _WIDTH * mean.shape[1])[
            :, None
        ]
        fitted = fit_to(mean, shapes, precision / (1 + squares / width) ** 2)
    return fitted


def _deviations(fitted: Array, mean: Array, scales: Array) -> Array:
    return np.linalg.norm(fitted - mean, axis=-1) / scales


def _row_median(values: Array, judged: NDArray[np.bool_]) -> Array:
    """(n,) median of the judged values of each row; 0 without any."""
    ordered = np.sort(np.where(judged, values, np.inf), axis=1)
    count = judged.sum(axis=1)
    rows = np.arange(len(values))
    middle = (ordered[rows, np.maximum(count - 1, 0) // 2] + ordered[rows, np.maximum(count, 1) // 2]) / 2
    return np.where(count > 0, middle, 0.0)


def _cost(deviations: Array, judged: NDArray[np.bool_], limit: float) -> Array:
    """(n,) sums of squared deviations, in which no landmark counts more than the square of the limit."""
    squares = np.where(judged, deviations, 0.0) ** 2
    return (squares / (1 + squares / limit**2)).sum(axis=1)


def _find_exchanges(
    shape: Array, mean: Array, judged: NDArray[np.bool_], scales: Array, deviations: Array, limit: float
) -> tuple[tuple[Exchange, ...], Array]:
    """Pairs of landmarks after whose exchange one odd shape fits, and its deviations in the pose of that fit.

    Pairs of odd landmarks are tried first, then all: two wrong landmarks that are far apart can turn the whole fit.
    """
    found: list[Exchange] = []
    order, before = np.arange(len(shape)), deviations
    while len(found) < _MOST_EXCHANGES:
        odd = np.where(judged, before, 0.0) > limit
        if not odd.any():
            break
        free = judged.copy()
        free[[row for pair in found for row in (pair.first, pair.second)]] = False
        best = None
        for candidates in (np.flatnonzero(free & odd), _worst(before, free)):
            best = _best_exchange(shape, order, mean, judged, scales, before, candidates, limit)
            if best is not None:
                break
        if best is None:
            break
        exchange, order, fitted = best
        found.append(exchange)
        before = _deviations(fitted, mean, scales)
        back = np.empty_like(fitted)
        back[order] = fitted
        deviations = _deviations(back, mean, scales)
    return tuple(found), deviations


def _worst(deviations: Array, free: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Rows of free landmarks; of very many those with the largest deviations."""
    rows = np.flatnonzero(free)
    if len(rows) <= _MOST_CANDIDATES:
        return rows
    return np.sort(rows[np.argsort(-deviations[rows])[:_MOST_CANDIDATES]])


def _best_exchange(
    shape: Array,
    order: NDArray[np.intp],
    mean: Array,
    judged: NDArray[np.bool_],
    scales: Array,
    before: Array,
    candidates: NDArray[np.intp],
    limit: float,
) -> tuple[Exchange, NDArray[np.intp], Array] | None:
    """Exchange of two candidates that makes both right, with the new order of the landmarks and the fitted shape."""
    pairs = list(combinations(candidates.tolist(), 2))
    if not pairs:
        return None
    orders = np.tile(order, (len(pairs), 1))
    rows = np.arange(len(pairs))
    first, second = np.array(pairs).T
    orders[rows, first], orders[rows, second] = order[second], order[first]
    known = np.broadcast_to(judged, orders.shape)
    fitted = _resistant_fit(mean, shape[orders], known, scales)
    after = _deviations(fitted, mean, scales)
    costs = _cost(after, known, limit)
    best = int(costs.argmin())
    gain = float(_cost(before[None], judged[None], limit)[0] - costs[best])
    both = [int(first[best]), int(second[best])]
    left = after[best, both].max()
    if gain < _SMALLEST_GAIN * limit**2 or left > max(limit, _SHARE_LEFT * before[both].min()):
        return None
    return Exchange(both[0], both[1], gain), orders[best], fitted[best]
