"""Displacement fields as NumPy arrays: interpolation, Jacobian determinant, inversion at given points."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

_ITERATIONS = 40  # of Newton's method; smooth fields need three to six
_OTHER_GUESSES = 8
_TREE_POINTS = 200_000
_BLOCK = 1 << 18  # points solved at a time

Floats = NDArray[np.float64]


def sample(field: NDArray, points: Floats) -> Floats:
    """Interpolate a field linearly, with the border repeated outside.

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


def sample_with_gradient(field: NDArray, points: Floats) -> tuple[Floats, Floats]:
    """Interpolate as `sample` does: values (n, c) and their derivatives (n, c, d) by the index coordinates."""
    ndim = points.shape[1]
    last = np.asarray(field.shape[:-1]) - 1
    inside = np.clip(points, 0, last)
    low = np.minimum(inside.astype(np.intp), np.maximum(last - 1, 0))
    part = inside - low
    high = np.minimum(low + 1, last)
    values = np.zeros((len(points), field.shape[-1]))
    gradients = np.zeros((len(points), field.shape[-1], ndim))
    for corner in itertools.product((0, 1), repeat=ndim):
        at = field[tuple(np.where(side, high[:, k], low[:, k]) for k, side in enumerate(corner))]
        weights = [part[:, k] if side else 1 - part[:, k] for k, side in enumerate(corner)]
        values += np.prod(weights, axis=0)[:, None] * at
        for k, side in enumerate(corner):
            others = np.prod([weight for j, weight in enumerate(weights) if j != k], axis=0)
            gradients[..., k] += ((1 if side else -1) * others)[:, None] * at
    # Outside the grid the border is repeated: constant along those axes.
    gradients *= ((points >= 0) & (points <= last))[:, None, :]
    return values, gradients


def grid_points(shape: tuple[int, ...], first: int = 0, last: int | None = None) -> Floats:
    """Index coordinates (n, d) of an array's rows `first` to `last` along its first axis, in memory order."""
    axes = [np.arange(size, dtype=np.float64) for size in shape]
    axes[0] = axes[0][first:last]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(shape))


def jacobian_determinant(field: NDArray, matrix: Floats) -> Floats:
    """Determinant of d(x + field) / dx at the grid points, (*grid).

    Parameters
    ----------
    field : (*grid, d) array
        Displacement in the world.
    matrix : (d, d) array
        From index to world steps of the grid.
    """
    ndim = field.shape[-1]
    shape = field.shape[:-1]
    to_index = np.linalg.inv(matrix)
    determinant = np.empty(shape)
    step = max(1, _BLOCK // math.prod(shape[1:]))
    for begin in range(0, shape[0], step):
        # One row more on either side, for differences across the border of the slab.
        first, last = max(0, begin - 1), min(shape[0], begin + step + 1)
        slab = field[first:last].astype(np.float64)
        gradients = np.zeros((*slab.shape, ndim))
        for axis, size in enumerate(slab.shape[:-1]):
            if size > 1:
                gradients[..., axis] = np.gradient(slab, axis=axis)
        rows = slice(begin - first, begin - first + min(step, shape[0] - begin))
        determinant[begin : begin + step] = np.linalg.det(np.eye(ndim) + gradients[rows] @ to_index)
    return determinant


def orientation(field: NDArray, matrix: Floats, offset: Floats) -> int:
    """Orientation of the affine map that fits a field best: 1, or -1 if it mirrors; arguments as for `solve`."""
    points, images = _coarse_points(field, matrix, offset)
    fit = np.linalg.lstsq(points - points.mean(axis=0), images - images.mean(axis=0), rcond=None)[0]
    return -1 if np.linalg.det(fit) * np.linalg.det(matrix) < 0 else 1


def solve(field: NDArray, matrix: Floats, offset: Floats, targets: Floats, *, tolerance: float) -> Floats:
    """Solve ``matrix @ p + offset + field(p) = target`` for grid positions p.

    Parameters
    ----------
    field : (*grid, d) array
        Displacement in the world.
    matrix, offset : (d, d) and (d,) arrays
        From index to world coordinates of the grid.
    targets : (n, d) array
        World positions, finite.
    tolerance : float
        Greatest accepted distance from the target.

    Returns
    -------
    (n, d) array
        NaN for a target without a solution; one of the solutions if the field folds and there are several.
    """
    forward = _ForwardMap(field, matrix, offset)
    found = np.full(targets.shape, np.nan)
    for begin in range(0, len(targets), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        found[block] = forward.solve_from(forward.first_guess(targets[block]), targets[block], tolerance)
    unsolved = np.flatnonzero(np.isnan(found[:, 0]))
    if len(unsolved):
        for guesses in forward.other_guesses(targets[unsolved]):
            rest = np.isnan(found[unsolved, 0])
            if not rest.any():
                break
            found[unsolved[rest]] = forward.solve_from(guesses[rest], targets[unsolved[rest]], tolerance)
    return found


def _coarse_points(field: NDArray, matrix: Floats, offset: Floats) -> tuple[Floats, Floats]:
    """Some grid points (n, d), evenly spaced, and their images (n, d) in the world."""
    shape = field.shape[:-1]
    step = max(1, int(np.ceil((np.prod(shape) / _TREE_POINTS) ** (1 / len(shape)))))
    chosen = field[tuple(slice(None, None, step) for _ in shape)]
    points = step * grid_points(chosen.shape[:-1])
    return points, points @ matrix.T + offset + chosen.reshape(len(points), -1)


class _ForwardMap:
    """Map from grid index coordinates to the world, inverted by Newton's method."""

    def __init__(self, field: NDArray, matrix: Floats, offset: Floats) -> None:
        self._field, self._matrix, self._offset = field, matrix, offset
        self._points, self._images = _coarse_points(field, matrix, offset)

    def first_guess(self, targets: Floats) -> Floats:
        """Initial guesses (n, d) from the affine map that fits the field best."""
        design = np.column_stack([self._images, np.ones(len(self._images))])
        coefficients = np.linalg.lstsq(design, self._points, rcond=None)[0]
        return targets @ coefficients[:-1] + coefficients[-1]

    def other_guesses(self, targets: Floats) -> list[Floats]:
        """Initial guesses (n, d) from the grid points whose images are nearest to the targets, nearest first."""
        count = min(_OTHER_GUESSES, len(self._images))
        _, neighbors = cKDTree(self._images).query(targets, k=range(1, count + 1))
        return [self._points[numbers] for numbers in np.asarray(neighbors).T]

    def solve_from(self, guess: Floats, targets: Floats, tolerance: float) -> Floats:
        """Newton's method with steps shortened until they help; NaN where it does not converge."""
        points = guess.copy()
        left = np.arange(len(points))
        size = np.ones(len(points))
        residual, gradient = self._residual(points, targets)
        distance = np.linalg.norm(residual, axis=1)
        for _ in range(_ITERATIONS):
            open_ = distance[left] > tolerance
            left = left[open_]
            if not len(left):
                break
            residual, gradient = residual[open_], gradient[open_]
            step = _least_squares_step(gradient, residual)
            tried = points[left] + size[left, None] * step
            new_residual, new_gradient = self._residual(tried, targets[left])
            new_distance = np.linalg.norm(new_residual, axis=1)
            better = new_distance < distance[left]
            moved = left[better]
            points[moved], distance[moved] = tried[better], new_distance[better]
            size[moved] = np.minimum(1, 2 * size[moved])
            size[left[~better]] /= 4
            residual[better], gradient[better] = new_residual[better], new_gradient[better]
        return np.where((distance <= tolerance)[:, None], points, np.nan)

    def _residual(self, points: Floats, targets: Floats) -> tuple[Floats, Floats]:
        values, gradients = sample_with_gradient(self._field, points)
        return targets - (points @ self._matrix.T + self._offset + values), self._matrix + gradients


def _least_squares_step(gradient: Floats, residual: Floats) -> Floats:
    """Solution of ``gradient @ step = residual`` for each point, bounded where the gradient is singular."""
    transposed = np.swapaxes(gradient, 1, 2)
    normal = transposed @ gradient
    weight = 1e-12 * np.trace(normal, axis1=1, axis2=2) + 1e-30
    normal += weight[:, None, None] * np.eye(gradient.shape[-1])
    step = np.linalg.solve(normal, transposed @ residual[..., None])[..., 0]
    return np.asarray(step, dtype=np.float64)
