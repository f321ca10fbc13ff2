"""Matching of small cubes by normalized correlation, to a fraction of a cell."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F

from napari_landmark.learning.interpolation import pixel_positions

_FLATTEST = 1e-6  # curvature of a peak
_LONGEST_STEP = 0.75  # cells from the highest of the map
_LEAST_SPREAD = 0.01  # standard deviation of values 0..1 below which a cube is background


class Sampled(Protocol):
    """A volume that has values at positions: a `Pyramid`, or `FineSurroundings` of landmarks."""

    @property
    def cell(self) -> float:
        """Length of a cell."""

    def values(self, points: torch.Tensor, factor: int) -> torch.Tensor:
        """(...) values at positions (..., 3), averaged over cubes of `factor` cells."""


class BlockMatches(NamedTuple):
    """Matches of n blocks.

    Parameters
    ----------
    displacements : (n, 3) tensor
        Along the template's axes, in units of length of the template.
    correlation : (n,) tensor
        At the match.
    maps : (n, 2s + 1, 2s + 1, 2s + 1) tensor
        Correlation at each shift of up to s cells.
    """

    displacements: torch.Tensor
    correlation: torch.Tensor
    maps: torch.Tensor


def cube_offsets(radius: int) -> torch.Tensor:
    """(2r + 1, 2r + 1, 2r + 1, 3) offsets of the cells of a cube from its centre."""
    return pixel_positions((2 * radius + 1,) * 3) - radius


def cut_blocks(
    volume: Sampled, centres: torch.Tensor, matrix: torch.Tensor, *, factor: int, radius: int
) -> torch.Tensor:
    """(n, 2r + 1, 2r + 1, 2r + 1) cubes around positions (n, 3).

    Their axes are the columns of a matrix (3, 3), or each of its own (n, 3, 3).
    """
    offsets = cube_offsets(radius) * volume.cell * factor
    turned = torch.einsum("nij,zyxj->nzyxi", matrix.view(-1, 3, 3), offsets)
    return volume.values(centres[:, None, None, None] + turned, factor)


def normalized(blocks: torch.Tensor) -> torch.Tensor:
    """Blocks (n, ...) of mean 0 and norm 1; a uniform block becomes zeros."""
    flat = blocks.flatten(1)
    flat = flat - flat.mean(1, keepdim=True)
    return (flat / flat.norm(dim=1, keepdim=True).clamp(min=1e-4)).view_as(blocks)


@torch.no_grad()
def match_blocks(
    blocks: torch.Tensor,
    target: Sampled,
    centres: torch.Tensor,
    matrix: torch.Tensor,
    *,
    factor: int,
    search: int,
) -> BlockMatches:
    """Find the shift of each block of a template at which it resembles a volume most.

    Parameters
    ----------
    blocks : (n, 2r + 1, 2r + 1, 2r + 1) tensor
        Normalized, see `normalized`.
    target : Sampled
    centres : (n, 3) tensor
        Positions in the target that are looked around.
    matrix : (3, 3) or (n, 3, 3) tensor
        From the axes of the template to those of the target, for all blocks or each.
    factor : int
        Level of the target.
    search : int
        Largest shift, in cells of the level.
    """
    side = blocks.shape[-1]
    windows = cut_blocks(target, centres, matrix, factor=factor, radius=side // 2 + search)
    windows = windows - windows.mean((1, 2, 3), keepdim=True)  # smaller rounding errors in the sums below
    size, shifts = windows.shape[-1], 2 * search + 1
    spectra = torch.fft.rfftn(windows, dim=(1, 2, 3))
    kernels = torch.fft.rfftn(blocks, s=(size,) * 3, dim=(1, 2, 3))
    products = torch.fft.irfftn(spectra * kernels.conj(), s=(size,) * 3, dim=(1, 2, 3))
    products = products[:, :shifts, :shifts, :shifts]
    energy = _box_sums(windows**2, side) - _box_sums(windows, side) ** 2 / side**3
    maps = products / (energy.clamp(min=0) + side**3 * _LEAST_SPREAD**2).sqrt()
    peak, cells = _peaks(maps)
    return BlockMatches((cells - search) * target.cell * factor, peak, maps)


def _peaks(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Largest values (n,) of maps (n, s, s, s), and their positions (n, 3) to a fraction of a cell.

    A quadratic function through the neighbours of a peak; one on the border of its map stays on its cell.
    """
    peak, flat = maps.flatten(1).max(1)
    cells = torch.stack(torch.unravel_index(flat, maps.shape[1:]), 1)
    inner = ((cells > 0) & (cells < maps.shape[-1] - 1)).all(1)
    if not inner.any():
        return peak, cells.float()
    around = cells[inner][:, None] + cube_offsets(1).reshape(-1, 3).long()
    rows = torch.nonzero(inner)
    values = maps[rows, *around.unbind(-1)].view(-1, 3, 3, 3)
    slope = torch.stack([values[:, 2, 1, 1], values[:, 1, 2, 1], values[:, 1, 1, 2]], 1)
    before = torch.stack([values[:, 0, 1, 1], values[:, 1, 0, 1], values[:, 1, 1, 0]], 1)
    curvature = torch.diag_embed(slope + before - 2 * values[:, 1, 1, 1, None])
    for first, second in ((0, 1), (0, 2), (1, 2)):
        plane = values.select(1 + 3 - first - second, 1)
        mixed = (plane[:, 2, 2] + plane[:, 0, 0] - plane[:, 2, 0] - plane[:, 0, 2]) / 4
        curvature[:, first, second] = curvature[:, second, first] = mixed
    steepness = _FLATTEST * torch.eye(3) - curvature
    step = torch.linalg.solve(steepness, (slope - before) / 2)
    position = cells.float()
    position[inner] += step.clamp(-_LONGEST_STEP, _LONGEST_STEP)
    return peak, position


def _box_sums(values: torch.Tensor, side: int) -> torch.Tensor:
    """Sums over all cubes of a side in (n, z, y, x)."""
    for axis in (1, 2, 3):
        sums = F.pad(values.cumsum(axis), [0, 0] * (3 - axis) + [1, 0])
        count = values.shape[axis] - side + 1
        values = sums.narrow(axis, side, count) - sums.narrow(axis, 0, count)
    return values
