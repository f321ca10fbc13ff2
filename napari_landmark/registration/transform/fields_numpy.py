"""Reading a displacement field between its grid points, and finding what it carries to a given place."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

_ROUNDS = 40  # of Newton's method; smooth fields need three to six
_OTHER_STARTS = 8
_TREE_POINTS = 200_000
_BLOCK = 1 << 18  # points solved at a time

Floats = NDArray[np.float64]


def sample(field: NDArray, points: Floats) -> Floats:
    """Values of a field between its points, linear, with the border repeated outside.

    Parameters
    ----------
    field : (*grid, c) array
    points : (n, d) array
        Index coordinates of the grid, finite.

    Returns
    -------
    (n, c) array
    """
    values = [
        map_coordinates(field[..., c], points.T, output=np.float64, order=1, mode="nearest")
        for c in range(field.shape[-1])
    ]
    return np.stack(values, axis=-1)


def sample_with_slope(field: NDArray, points: Floats) -> tuple[Floats, Floats]:
    """Values (n, c) as `sample` gives them, and their derivatives (n, c, d) by the index coordinates."""
    ndim = points.shape[1]
    last = np.asarray(field.shape[:-1]) - 1
    inside = np.clip(points, 0, last)
    low = np.minimum(inside.astype(np.intp), np.maximum(last - 1, 0))
    part = inside - low
    high = np.minimum(low + 1, last)
    values = np.zeros((len(points), field.shape[-1]))
    slopes = np.zeros((len(points), field.shape[-1], ndim))
    for corner in itertools.product((0, 1), repeat=ndim):
        at = field[tuple(np.where(side, high[:, k], low[:, k]) for k, side in enumerate(corner))]
        shares = [part[:, k] if side else 1 - part[:, k] for k, side in enumerate(corner)]
        values += np.prod(shares, axis=0)[:, None] * at
        for k, side in enumerate(corner):
            others = np.prod([share for j, share in enumerate(shares) if j != k], axis=0)
            slopes[..., k] += ((1 if side else -1) * others)[:, None] * at
    # Outside nothing changes any more along the axes that were left.
    slopes *= ((points >= 0) & (points <= last))[:, None, :]
    return values, slopes


def grid_points(shape: tuple[int, ...], first: int = 0, last: int | None = None) -> Floats:
    """Index coordinates (n, d) of an array's rows `first` to `last` along its first axis, in memory order."""
    axes = [np.arange(size, dtype=np.float64) for size in shape]
    axes[0] = axes[0][first:last]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(shape))


def jacobian_determinant(field: NDArray, matrix: Floats) -> Floats:
    """Determinant of d(x + field) / dx at the grid points, (*grid); `matrix` goes from index to world steps."""
    ndim = field.shape[-1]
    shape = field.shape[:-1]
    to_index = np.linalg.inv(matrix)
    determinant = np.empty(shape)
    step = max(1, _BLOCK // math.prod(shape[1:]))
    for begin in range(0, shape[0], step):
        # One row more on either side, for differences across the border of the slab.
        first, last = max(0, begin - 1), min(shape[0], begin + step + 1)
        slab = field[first:last].astype(np.float64)
        slopes = np.zeros((*slab.shape, ndim))
        for axis, size in enumerate(slab.shape[:-1]):
            if size > 1:
                slopes[..., axis] = np.gradient(slab, axis=axis)
        rows = slice(begin - first, begin - first + min(step, shape[0] - begin))
        determinant[begin : begin + step] = np.linalg.det(np.eye(ndim) + slopes[rows] @ to_index)
    return determinant


def orientation(field: NDArray, matrix: Floats, offset: Floats) -> int:
    """1, or -1 where the affine map that fits a field best mirrors; arguments as for `solve`."""
    points, images = _coarse_points(field, matrix, offset)
    fit = np.linalg.lstsq(points - points.mean(axis=0), images - images.mean(axis=0), rcond=None)[0]
    return -1 if np.linalg.det(fit) * np.linalg.det(matrix) < 0 else 1


def solve(field: NDArray, matrix: Floats, offset: Floats, targets: Floats, tolerance: float) -> Floats:
    """Grid positions p with ``matrix @ p + offset + field(p) = target``.

    Parameters
    ----------
    field : (*grid, d) array
        Displacement in the world.
    matrix, offset : (d, d) and (d,) arrays
        From index to world coordinates of the grid.
    targets : (n, d) array
        World positions, finite.
    tolerance : float
        Greatest distance from the target that counts as there.

    Returns
    -------
    (n, d) array
        NaN where no such point was found. Where a fold brings several points to one place, one of them.
    """
    system = _Forward(field, matrix, offset)
    found = np.full(targets.shape, np.nan)
    for begin in range(0, len(targets), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        found[block] = system.solve_from(system.first_guess(targets[block]), targets[block], tolerance)
    lost = np.flatnonzero(np.isnan(found[:, 0]))
    if len(lost):
        for guesses in system.other_guesses(targets[lost]):
            rest = np.isnan(found[lost, 0])
            if not rest.any():
                break
            found[lost[rest]] = system.solve_from(guesses[rest], targets[lost[rest]], tolerance)
    return found


def _coarse_points(field: NDArray, matrix: Floats, offset: Floats) -> tuple[Floats, Floats]:
    """Some grid points (n, d), evenly chosen, and where the field carries them in the world."""
    shape = field.shape[:-1]
    step = max(1, int(np.ceil((np.prod(shape) / _TREE_POINTS) ** (1 / len(shape)))))
    chosen = field[tuple(slice(None, None, step) for _ in shape)]
    points = step * grid_points(chosen.shape[:-1])
    return points, points @ matrix.T + offset + chosen.reshape(len(points), -1)


class _Forward:
    """The map from grid index coordinates to the world, and Newton's method on it."""

    def __init__(self, field: NDArray, matrix: Floats, offset: Floats) -> None:
        self._field, self._matrix, self._offset = field, matrix, offset
        self._points, self._images = _coarse_points(field, matrix, offset)

    def first_guess(self, targets: Floats) -> Floats:
        """By the affine map that fits the field best."""
        design = np.column_stack([self._images, np.ones(len(self._images))])
        coefficients = np.linalg.lstsq(design, self._points, rcond=None)[0]
        return targets @ coefficients[:-1] + coefficients[-1]

    def other_guesses(self, targets: Floats) -> list[Floats]:
        """The grid points that are carried nearest to the targets, the nearest first."""
        count = min(_OTHER_STARTS, len(self._images))
        _, numbers = cKDTree(self._images).query(targets, k=range(1, count + 1))
        return [self._points[numbers[:, k]] for k in range(count)]

    def solve_from(self, guess: Floats, targets: Floats, tolerance: float) -> Floats:
        """Newton's method with steps halved until they help; NaN where it does not arrive."""
        points = guess.copy()
        left = np.arange(len(points))
        size = np.ones(len(points))
        residual, slope = self._residual(points, targets)
        distance = np.linalg.norm(residual, axis=1)
        for _ in range(_ROUNDS):
            open_ = distance[left] > tolerance
            left = left[open_]
            if not len(left):
                break
            residual, slope = residual[open_], slope[open_]
            step = _least_squares_step(slope, residual)
            tried = points[left] + size[left, None] * step
            new_residual, new_slope = self._residual(tried, targets[left])
            new_distance = np.linalg.norm(new_residual, axis=1)
            better = new_distance < distance[left]
            won = left[better]
            points[won], distance[won] = tried[better], new_distance[better]
            size[won] = np.minimum(1, 2 * size[won])
            size[left[~better]] /= 4
            residual[better], slope[better] = new_residual[better], new_slope[better]
        return np.where((distance <= tolerance)[:, None], points, np.nan)

    def _residual(self, points: Floats, targets: Floats) -> tuple[Floats, Floats]:
        values, slopes = sample_with_slope(self._field, points)
        return targets - (points @ self._matrix.T + self._offset + values), self._matrix + slopes


def _least_squares_step(slope: Floats, residual: Floats) -> Floats:
    """Solution of ``slope @ step = residual`` for each point, bounded where the slope is singular."""
    transposed = np.swapaxes(slope, 1, 2)
    normal = transposed @ slope
    weight = 1e-12 * np.trace(normal, axis1=1, axis2=2) + 1e-30
    normal += weight[:, None, None] * np.eye(slope.shape[-1])
    return np.linalg.solve(normal, transposed @ residual[..., None])[..., 0]
