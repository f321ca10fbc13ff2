"""Refinement of carried landmarks at the finest cells: the shift that most of the small cubes around each agree on."""

from __future__ import annotations

from typing import NamedTuple

import torch

from napari_landmark.detection.volumes.atlas import Atlas
from napari_landmark.detection.volumes.block_matching import (
    cube_offsets,
    cut_blocks,
    match_blocks,
    normalized,
)
from napari_landmark.detection.volumes.pyramid import Pyramid

_RADIUS, _SEARCH = 2, 2  # cells
_RING = 1  # 27 points around a landmark
_SPACING = 2  # cells between them
_CONFIDENCE_POWER = 4
_LEAST_CORRELATION = 0.01
_ROUNDS = 30  # of Weiszfeld's algorithm
_SMALLEST = 1e-3  # cells: keeps its weights finite


class RefinedLandmarks(NamedTuple):
    """Landmarks after refinement; k are known.

    Parameters
    ----------
    positions : (k, 3) tensor
    spread : (k,) tensor
        Weighted mean distance of the matches around a landmark from its own shift, in cells.
    correlation : (k,) tensor
        Mean over the matches around a landmark.
    """

    positions: torch.Tensor
    spread: torch.Tensor
    correlation: torch.Tensor


def refine_landmarks(
    atlas: Atlas, target: Pyramid, positions: torch.Tensor, matrix: torch.Tensor, *, factor: int
) -> RefinedLandmarks:
    """Shift each landmark by the weighted geometric median of the matches around it.

    Parameters
    ----------
    positions : (k, 3) tensor
        Of the known landmarks in the target.
    matrix : (3, 3) tensor
        From the axes of the atlas to those of the target.
    factor : int
        Level at which is matched.
    """
    cell = target.cell * factor
    around = cube_offsets(_RING).reshape(-1, 3) * _SPACING * cell
    known = atlas.landmarks[atlas.known]
    own = (known[:, None] + around).reshape(-1, 3)
    blocks = normalized(cut_blocks(atlas.volume, own, torch.eye(3), factor=factor, radius=_RADIUS))
    centres = (positions[:, None] + around @ matrix.T).reshape(-1, 3)
    found = match_blocks(blocks, target, centres, matrix, factor=factor, search=_SEARCH)
    shifts = found.displacements.view(len(known), -1, 3) / cell
    correlation = found.correlation.view(len(known), -1)
    weights = correlation.clamp(min=_LEAST_CORRELATION) ** _CONFIDENCE_POWER
    median = _geometric_median(shifts, weights)
    distances = (shifts - median[:, None]).norm(dim=-1)
    spread = (distances * weights).sum(1) / weights.sum(1)
    return RefinedLandmarks(positions + cell * median @ matrix.T, spread, correlation.mean(1))


def _geometric_median(shifts: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(k, 3) points with the least weighted sum of distances to shifts (k, m, 3)."""
    current = weights
    for _ in range(_ROUNDS):
        median = (shifts * current[..., None]).sum(1) / current.sum(1, keepdim=True)
        current = weights / ((shifts - median[:, None]).norm(dim=-1) + _SMALLEST)
    return median
