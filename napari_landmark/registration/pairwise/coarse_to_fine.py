"""Steps of an optimization on coarser and finer grids of one pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

_LEAST_SIDE = 8  # cells of a level
_STEEP = 0.98  # quantile of the lengths of the gradient that becomes a whole step
_LENGTHS = 50_000  # cells that it is taken of
_SMALLEST = 1e-12


def steps_by_level(shape: Sequence[int], steps: int, *, shares: Mapping[int, float]) -> list[tuple[int, int]]:
    """Downsampling factors, from coarse to fine, and the steps at each.

    Parameters
    ----------
    shape : sequence of int
        Of the finest grid; on one that is too small for all of them the steps are taken on it.
    shares : mapping of int to float
        Share of the steps by factor, from coarse to fine.
    """
    kept = {level: share for level, share in shares.items() if min(shape) >= _LEAST_SIDE * level}
    kept = kept or {1: 1.0}
    whole, finest = sum(kept.values()), min(kept)
    counts = {level: round(steps * share / whole) for level, share in kept.items() if level > finest}
    counts[finest] = steps - sum(counts.values())
    return [(level, count) for level, count in counts.items() if count]


def affine_on_grid(
    matrix: torch.Tensor, shift: torch.Tensor, *, old: Sequence[int], new: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Affine map (batch, d, d), (batch, d) in cells of one grid as that in cells of another over the same area."""
    ratio = torch.tensor([n / o for n, o in zip(new, old, strict=True)]).to(matrix)
    return ratio[:, None] * matrix / ratio, shift * ratio


def step_direction(gradient: torch.Tensor) -> torch.Tensor:
    """A gradient (1, d, *shape) divided by one number for all cells, of which the steepest get the length 1.

    Where nothing is to be seen nothing moves, whereas Adam makes its whole step of any noise.
    """
    lengths = gradient.norm(dim=1, keepdim=True)
    sample = lengths.flatten()[:: max(1, lengths.numel() // _LENGTHS)]
    steep = sample.quantile(_STEEP).clamp(min=_SMALLEST)
    return gradient / torch.maximum(lengths, steep)
