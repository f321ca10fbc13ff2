"""Refinement of carried landmarks at the finest cells: the shift that most of the small cubes around each agree on.

Cubes of the atlas are matched in the volume, and cubes of the volume in the atlas: an error of either direction, which
the borders of what was cut make, has no part in the other. Axes of the cubes follow the map around each landmark.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from napari_landmark.detection.volumes.block_matching import (
    Sampled,
    cube_offsets,
    cut_blocks,
    match_blocks,
    normalized,
)

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
    source: tuple[Sampled, torch.Tensor],
    target: tuple[Sampled, torch.Tensor],
    matrices: torch.Tensor,
    *,
    factor: int = 1,
) -> RefinedLandmarks:
    """Shift each landmark by the weighted geometric median of the matches around it.

    Parameters
    ----------
    source : volume and (k, 3) tensor
        Atlas, and its known landmarks.
    target : volume and (k, 3) tensor
        Where they are looked for in another volume.
    matrices : (k, 3, 3) tensor
        From the axes of the atlas to those of the target, around each landmark.
    factor : int, optional
        Level at which is matched.
    """
    there, there_correlation = _matches(source, target, matrices, factor=factor)
    back, back_correlation = _matches(target, source, torch.linalg.inv(matrices), factor=factor)
    # What is found in the atlas off the landmark by so much tells that the volume is off by as much the other way.
    shifts = torch.cat([torch.einsum("kij,kmj->kmi", matrices, there), -back], 1)
    correlation = torch.cat([there_correlation, back_correlation], 1)
    weights = correlation.clamp(min=_LEAST_CORRELATION) ** _CONFIDENCE_POWER
    median = _geometric_median(shifts, weights)
    distances = (shifts - median[:, None]).norm(dim=-1)
    spread = (distances * weights).sum(1) / weights.sum(1)
    volume, positions = target
    return RefinedLandmarks(positions + volume.cell * factor * median, spread, correlation.mean(1))


def _matches(
    source: tuple[Sampled, torch.Tensor],
    target: tuple[Sampled, torch.Tensor],
    matrices: torch.Tensor,
    *,
    factor: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Shifts (k, m, 3) in cells along the axes of the source, and correlations (k, m), of the cubes around positions.

    Parameters
    ----------
    source, target : volume and (k, 3) tensor
        Positions of the same landmarks in both.
    matrices : (k, 3, 3) tensor
        From the axes of the source to those of the target.
    """
    (volume, positions), (other, centres) = source, target
    cell = volume.cell * factor
    around = cube_offsets(_RING).reshape(-1, 3) * _SPACING * cell
    own = (positions[:, None] + around).reshape(-1, 3)
    blocks = normalized(cut_blocks(volume, own, torch.eye(3), factor=factor, radius=_RADIUS))
    there = (centres[:, None] + torch.einsum("kij,mj->kmi", matrices, around)).reshape(-1, 3)
    each = matrices.repeat_interleave(len(around), 0)
    found = match_blocks(blocks, other, there, each, factor=factor, search=_SEARCH)
    count = len(positions)
    return found.displacements.view(count, -1, 3) / cell, found.correlation.view(count, -1)


def _geometric_median(shifts: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(k, 3) points with the least weighted sum of distances to shifts (k, m, 3)."""
    current = weights
    for _ in range(_ROUNDS):
        median = (shifts * current[..., None]).sum(1) / current.sum(1, keepdim=True)
        current = weights / ((shifts - median[:, None]).norm(dim=-1) + _SMALLEST)
    return median
