"""Thin-plate spline that interpolates landmarks (Bookstein 1989, IEEE PAMI 11)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_landmark.data.errors import InputError
from napari_landmark.shape.procrustes import Array


@dataclass(frozen=True, eq=False)
class ThinPlateSpline:
    """Smoothest map that takes landmarks to their targets exactly.

    Parameters
    ----------
    sources : (k, d) array
        Centred and of unit size, for the numbers' sake.
    centre : (d,) array
    size : float
        Of the sources as they were given.
    weights : (k, e) array
        Non-affine part.
    affine : (d + 1, e) array
        Constant and linear part.
    """

    sources: Array
    centre: Array
    size: float
    weights: Array
    affine: Array

    @classmethod
    def between(cls, sources: Array, targets: Array) -> ThinPlateSpline:
        """The spline from (k, d) sources to (k, e) targets.

        Raises
        ------
        InputError
            Two sources coincide, or all are on one line (in 3-D: in one plane).
        """
        count, axes = sources.shape
        centre = sources.mean(axis=0)
        size = float(np.linalg.norm(sources - centre)) or 1.0
        sources = (sources - centre) / size
        system = np.zeros((count + axes + 1,) * 2)
        system[:count, :count] = _kernel(sources, sources)
        system[:count, count:] = np.column_stack([np.ones(count), sources])
        system[count:, :count] = system[:count, count:].T
        if np.linalg.cond(system) > 1e13:
            raise InputError(
                "a thin-plate spline needs landmarks at different positions, not all on one line"
                + (" or plane" if axes == 3 else "")
            )
        right = np.zeros((len(system), targets.shape[1]))
        right[:count] = targets
        solved: Array = np.linalg.solve(system, right).astype(np.float64)
        return cls(sources, centre, size, solved[:count], solved[count:])

    def __call__(self, points: Array) -> Array:
        """Map (m, d) points: (m, e)."""
        points = (points - self.centre) / self.size
        linear = self.affine[0] + points @ self.affine[1:]
        return linear + _kernel(points, self.sources) @ self.weights

    @property
    def bending_energy(self) -> float:
        """Bending energy of the map from sources of unit size, without the kernel's factor; 0 for an affine one."""
        kernel = _kernel(self.sources, self.sources)
        return float(abs(np.einsum("ke,kj,je->", self.weights, kernel, self.weights)))


def _kernel(points: Array, sources: Array) -> Array:
    """(m, k) values of the fundamental solution: r² log r² in the plane, -r in space."""
    squared = ((points[:, None] - sources[None]) ** 2).sum(axis=-1)
    if sources.shape[1] == 3:
        return -np.sqrt(squared)
    return squared * np.log(np.where(squared > 0, squared, 1.0))
