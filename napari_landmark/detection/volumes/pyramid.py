"""Volume on cubic cells at several resolutions."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from napari_landmark.learning.interpolation import cell_coordinates, sample

GREY_LEVELS = 65_535
"""Grey value of 1 in the files of models, which keep unsigned numbers of 16 bits."""


class Pyramid:
    """Volume on cubic cells, and its averages over 2, 3, ... of them along each axis.

    Positions are lengths (mm, or voxels where the spacing is not known) along the axes of the grid, [z, y, x], from
    the centre of its first cell.

    Parameters
    ----------
    array : (z, y, x) float array
        Values 0..1.
    cell : float
        Length of a cell.
    """

    def __init__(self, array: NDArray[np.floating], cell: float) -> None:
        self.cell = float(cell)
        base = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))[None, None]
        self._levels = {1: base}
        self._slopes: dict[int, torch.Tensor] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells along each axis."""
        return tuple(self._levels[1].shape[2:])

    def level(self, factor: int) -> torch.Tensor:
        """(1, 1, z, y, x) averages over cubes of `factor` cells; a rest at the far end of an axis is left out."""
        if factor not in self._levels:
            self._levels[factor] = F.avg_pool3d(self._levels[1], [min(factor, side) for side in self.shape])
        return self._levels[factor]

    def centres(self, factor: int) -> torch.Tensor:
        """(n, 3) positions of the cells of a level."""
        axes = [torch.arange(n, dtype=torch.float32) for n in self.level(factor).shape[2:]]
        cells = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        return ((cells + 0.5) * factor - 0.5) * self.cell

    def values(self, points: torch.Tensor, factor: int) -> torch.Tensor:
        """(...) values of a level at positions (..., 3); beyond the border its value is repeated."""
        return self._sampled(self.level(factor), points, factor)[0]

    def values_and_slopes(self, points: torch.Tensor, factor: int) -> torch.Tensor:
        """(4, ...) values of a level at positions (..., 3), and their derivatives along the axes per unit of length."""
        if factor not in self._slopes:
            level = self.level(factor)
            padded = F.pad(level, (1,) * 6, mode="replicate")
            inner = [slice(1, -1)] * 3
            parts = [level[0, 0]]
            for axis in range(3):
                ahead, behind = list(inner), list(inner)
                ahead[axis], behind[axis] = slice(2, None), slice(None, -2)
                difference = padded[0, 0][tuple(ahead)] - padded[0, 0][tuple(behind)]
                parts.append(difference / (2 * self.cell * factor))
            self._slopes[factor] = torch.stack(parts)[None]
        return self._sampled(self._slopes[factor], points, factor)

    def contains(self, points: torch.Tensor) -> torch.Tensor:
        """(...) mask of the positions (..., 3) that are on the volume."""
        cells = points / self.cell
        upper = torch.tensor(self.shape, dtype=points.dtype) - 0.5
        return ((cells >= -0.5) & (cells <= upper)).all(-1)

    def _sampled(self, level: torch.Tensor, points: torch.Tensor, factor: int) -> torch.Tensor:
        return sample(level, cell_coordinates(points / self.cell, factor)[None])[0]
