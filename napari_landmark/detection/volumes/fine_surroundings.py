"""Surroundings of landmarks on cells finer than those of a pyramid, for volumes too large to be on such cells whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from napari_landmark.data.cohort.fine_grid import FineGrid
from napari_landmark.detection.volumes.pyramid import GREY_LEVELS
from napari_landmark.learning.interpolation import sample

RADIUS = 14
"""Cells around a landmark: what cubes turned and stretched by the map around it reach."""


@dataclass(frozen=True, eq=False)
class FineSurroundings:
    """Cubes of a volume around k landmarks; lengths as in `Pyramid`.

    Parameters
    ----------
    cell : float
        Length of a cell.
    cubes : (k, 2r + 1, 2r + 1, 2r + 1) tensor of uint16
        r is `RADIUS`; 65535 is 1.
    centres : (k, 3) tensor
        Positions of their middle cells.
    """

    cell: float
    cubes: torch.Tensor
    centres: torch.Tensor

    @classmethod
    def cut(cls, grid: FineGrid, positions: torch.Tensor, *, cell: float) -> FineSurroundings:
        """Draw the surroundings of positions (k, 3) in a volume.

        Parameters
        ----------
        cell : float
            Of the pyramid that the grid is finer than.
        """
        middles = np.rint(grid.from_working(positions.double().numpy() / cell)).astype(int)
        cubes = [grid[tuple(slice(i - RADIUS, i + RADIUS + 1) for i in middle)] for middle in middles]
        side = 2 * RADIUS + 1
        levels = np.rint(np.reshape(cubes, (-1, side, side, side)) * GREY_LEVELS).astype(np.uint16)
        centres = torch.from_numpy(grid.to_working(middles) * cell).float()
        return cls(cell / grid.zoom, torch.from_numpy(levels), centres)

    def values(self, points: torch.Tensor, factor: int = 1) -> torch.Tensor:
        """Values at positions (k * m, ..., 3), m around each landmark in turn; beyond a cube its border is repeated.

        There is no coarser level: `factor` is 1.
        """
        around = points.reshape(len(self.cubes), -1, 3) - self.centres[:, None]
        cubes = self.cubes[:, None].float() / GREY_LEVELS
        return sample(cubes, around / self.cell + RADIUS)[:, 0].reshape(points.shape[:-1])
