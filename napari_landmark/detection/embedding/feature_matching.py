"""Matching of feature vectors in the maps of an image, coarse to fine.

Coarse maps screen the whole image, finer ones refine: the cosine maps of all levels are multiplied (clamped at zero),
and the peak is read to a fraction of a cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from napari_landmark.learning.interpolation import canvas_coordinates, constant, sample_features

# Of the softmax that reads the peak; similarity falls by some 0.05 from one cell to the next.
_SHARPNESS = 30.0


@dataclass(frozen=True)
class Match:
    """Matches of a batch of queries.

    Parameters
    ----------
    positions : (batch, k, d)
        In the unit of the strides: pixels of the working grid or of the network's input.
    similarity : (batch, k)
        Product of the levels' cosines at the peak, 0..1.
    heatmaps : (batch, k, *finest shape) or None
        That product at every cell.
    """

    positions: torch.Tensor
    similarity: torch.Tensor
    heatmaps: torch.Tensor | None = None


def describe(
    maps: Sequence[torch.Tensor], strides: Sequence[int], points: torch.Tensor
) -> list[torch.Tensor]:
    """Unit vectors (batch, k, channels) of each level at points (batch, k, d)."""
    return [
        F.normalize(sample_features(m, points, stride), dim=-1)
        for m, stride in zip(maps, strides, strict=True)
    ]


def match_vectors(
    vectors: Sequence[torch.Tensor],
    maps: Sequence[torch.Tensor],
    strides: Sequence[int],
    *,
    keep_heatmaps: bool = False,
) -> Match:
    """Match vectors (batch, k, channels per level) in maps (batch, channels, *shape per level), coarsest first.

    Raises
    ------
    ValueError
        No level is given, or vectors and maps have different numbers of levels.
    """
    if not vectors:
        raise ValueError("features of at least one level are needed")
    shape = maps[-1].shape[2:]
    mode = "bilinear" if len(shape) == 2 else "trilinear"
    product = _cosine(vectors[0], maps[0])
    for level_vectors, level_maps in zip(vectors[1:], maps[1:], strict=True):
        cosine = _cosine(level_vectors, level_maps)
        # Each level's map is resampled to the next one's grid, which is cheaper than to the finest.
        product = F.interpolate(product, size=level_maps.shape[2:], mode=mode, align_corners=False) * cosine
    cells, peak = sub_cell_peak(product)
    positions = canvas_coordinates(cells, strides[-1])
    return Match(positions, peak, product if keep_heatmaps else None)


def _cosine(vectors: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """(batch, k, *shape) cosines, clamped at zero."""
    return (vectors @ maps.flatten(2)).clamp_(0, 1).unflatten(-1, maps.shape[2:])


def match_points(
    from_maps: Sequence[torch.Tensor],
    to_maps: Sequence[torch.Tensor],
    strides: Sequence[int],
    points: torch.Tensor,
) -> Match:
    """Match points (batch, k, d) of one batch of images in another."""
    return match_vectors(describe(from_maps, strides, points), to_maps, strides)


def sub_cell_peak(heatmaps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Continuous cell index (batch, k, d) and height (batch, k) of each map's peak."""
    shape = heatmaps.shape[2:]
    flat = heatmaps.flatten(2)
    peak, index = flat.max(-1)
    cell = torch.stack(torch.unravel_index(index, shape), -1)
    steps = torch.cartesian_prod(*[torch.arange(-1, 2, device=flat.device)] * len(shape))
    around = cell[..., None, :] + steps
    size = constant(tuple(shape), torch.long, flat.device)
    around = torch.minimum(around.clamp(min=0), size - 1)
    linear = torch.zeros_like(around[..., 0])
    for axis, length in enumerate(shape):
        linear = linear * length + around[..., axis]
    values = flat.gather(-1, linear.flatten(2)).view(linear.shape)
    weights = torch.softmax((values - peak[..., None]) * _SHARPNESS, -1)
    return (weights[..., None] * around).sum(-2), peak
