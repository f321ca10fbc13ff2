"""Dice of label maps under a candidate map, without a channel for each label.

The share of a label in a warped label map is the sum of the weights of those neighbours, in linear interpolation, that
have it: what warped probabilities of all labels would give, at a cost that does not depend on their number.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch

_LEAST_SIZE = 1e-6


@dataclass(frozen=True)
class WarpedLabelMaps:
    """Label maps of a pair under a candidate map.

    Parameters
    ----------
    fixed, moving : (*shape) tensors of int64
        Number of the region of each pixel, from 1 on; 0 for none.
    positions : (*shape, d) tensor
        Of each pixel of the fixed image, in pixels of the moving one.
    """

    fixed: torch.Tensor
    moving: torch.Tensor
    positions: torch.Tensor

    def nearest(self) -> torch.Tensor:
        """(*shape) number of the region at the nearest pixel of the moving image."""
        index = [
            part.detach().round().long().clamp(0, size - 1)
            for part, size in zip(self.positions.unbind(-1), self.moving.shape, strict=True)
        ]
        return self.moving[tuple(index)]


def label_overlap_loss(maps: WarpedLabelMaps, region_weights: torch.Tensor) -> torch.Tensor:
    """1 - soft Dice, averaged over the regions of the fixed image with their weights (regions,)."""
    weights = torch.cat([region_weights.new_zeros(1), region_weights]).to(maps.positions)
    dims = maps.positions.shape[-1]
    loss: torch.Tensor = _Overlap.apply(
        maps.positions.reshape(-1, dims), maps.fixed.flatten(), maps.moving, weights
    )
    return loss


class _Overlap(torch.autograd.Function):
    """Loss and its gradient for the positions, which autograd would keep eight times as many arrays for."""

    @staticmethod
    def forward(
        ctx: Any, positions: torch.Tensor, fixed: torch.Tensor, moving: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        low, part = _cells(positions, moving.shape)
        flat = moving.flatten()
        strides = [math.prod(moving.shape[axis + 1 :]) for axis in range(moving.ndim)]
        own = torch.zeros_like(weights).index_add_(0, fixed, torch.ones_like(positions[:, 0]))
        common, warped = torch.zeros_like(weights), torch.zeros_like(weights)
        found = []
        for corner in itertools.product((0, 1), repeat=moving.ndim):
            labels = flat[low + sum(side * stride for side, stride in zip(corner, strides, strict=True))]
            weight = _weight(part, corner)
            warped.index_add_(0, labels, weight)
            common.index_add_(0, fixed, weight * (labels == fixed))
            found.append(labels)
        weights = weights * (own > 0)
        weights = weights / weights.sum().clamp(min=_LEAST_SIZE)
        size = (own + warped).clamp(min=_LEAST_SIZE)
        dice = 2 * common / size
        ctx.save_for_backward(fixed, part, 2 * weights / size, weights * dice / size, *found)
        inside = (positions >= 0) & (positions <= positions.new_tensor(moving.shape) - 1)
        ctx.inside = inside
        return weights.sum().sign() - (weights * dice).sum()

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        fixed, part, gain, cost, *found = ctx.saved_tensors
        gradient = torch.zeros_like(part)
        gain_here = gain[fixed]
        corners = itertools.product((0, 1), repeat=part.shape[1])
        for corner, labels in zip(corners, found, strict=True):
            change = cost[labels] - gain_here * (labels == fixed)
            for axis, side in enumerate(corner):
                slope = change * _weight(part, corner, without=axis)
                gradient[:, axis] += slope if side else -slope
        # Beyond the border the image repeats: moving on changes nothing.
        return gradient * ctx.inside * outer[0], None, None, None


def _cells(positions: torch.Tensor, shape: torch.Size) -> tuple[torch.Tensor, torch.Tensor]:
    """Flat index (n,) of the lower corner of the cell of each position (n, d), and the position in it (n, d)."""
    limit = positions.new_tensor(shape) - 1
    inside = torch.minimum(positions.clamp(min=0), limit)
    low = torch.minimum(inside.floor(), (limit - 1).clamp(min=0))
    strides = torch.tensor([math.prod(shape[axis + 1 :]) for axis in range(len(shape))]).to(low.device)
    return (low.long() * strides).sum(1), inside - low


def _weight(part: torch.Tensor, corner: tuple[int, ...], *, without: int | None = None) -> torch.Tensor:
    """(n,) weight of a corner in linear interpolation, or its derivative along one axis but for the sign."""
    weight = torch.ones_like(part[:, 0])
    for axis, side in enumerate(corner):
        if axis != without:
            weight = weight * (part[:, axis] if side else 1 - part[:, axis])
    return weight


def most_common(labels: torch.Tensor, factor: int) -> torch.Tensor:
    """Downsample a label map (*shape) of int64: the most frequent label of each block, the smallest of equals."""
    if factor == 1:
        return labels
    dims = labels.ndim
    for axis in range(dims):
        labels = labels.unfold(axis, factor, factor)
    ordered = labels.flatten(dims).sort(dim=-1).values
    winner, run = ordered[..., 0].clone(), torch.ones_like(ordered[..., 0])
    longest = run.clone()
    for number in range(1, ordered.shape[-1]):
        run = torch.where(ordered[..., number] == ordered[..., number - 1], run + 1, 1)
        longer = run > longest
        winner, longest = torch.where(longer, ordered[..., number], winner), torch.maximum(run, longest)
    return winner


def label_centroids(labels: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Centroids (count, d) of the regions 1..count of a label map, in pixels from the centre of the grid, and sizes."""
    flat = labels.flatten()
    sizes = torch.bincount(flat, minlength=count + 1)[1:].float()
    axes = [torch.arange(n, device=labels.device) - (n - 1) / 2 for n in labels.shape]
    sums = [
        torch.bincount(flat, weights=values.expand(labels.shape).flatten(), minlength=count + 1)[1:]
        for values in torch.meshgrid(*axes, indexing="ij")
    ]
    return torch.stack(sums, 1).float() / sizes.clamp(min=1)[:, None], sizes
