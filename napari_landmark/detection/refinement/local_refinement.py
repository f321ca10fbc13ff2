"""Refinement of coarse positions to a fraction of a pixel, by matching patches of the templates.

Besides the landmark, a grid of neighbouring points is matched, each by its own vectors. They belong to the same
structure and move with it, so the offset that most of them agree on is more precise than that of any single one. The
share of points that look alike and return to their start is the consensus, a sign of how reliable the position is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.embedding.feature_extractor import FeatureExtractor
from napari_landmark.detection.embedding.feature_matching import describe
from napari_landmark.detection.embedding.template_matching import Template, vote
from napari_landmark.detection.refinement.patch_embedding import (
    PatchEmbedding,
    PatchEmbeddingConfig,
    patch_similarity,
)
from napari_landmark.detection.refinement.patches import Pixels, crop_patches_around
from napari_landmark.learning.augmentation import Distortion, DistortionRange
from napari_landmark.learning.device import Device

_COPIES = 16
_COPY = DistortionRange(rotation=10, scale=1.1, aspect=1.05, shift=0, elastic=0.008)
_RINGS = {2: 2, 3: 1}  # of neighbouring points, by spatial axes
_RING_SPACING = 6 / 64  # of the patch: vectors of points further out would depend on its border
_NEIGHBOURHOOD = 8.0  # pixels: standard deviation of the weight of neighbouring points
# Pixels from the patch's centre, along each axis, within which points are matched; maps of volumes are large.
_REACH = {2: 24, 3: 16}
_REVERSE_PRIOR = 8.0  # pixels
_CYCLE_SCALE = 4.0  # pixels of cycle error at which the weight has fallen to 1/e
_LEAST_SHARE = 0.5
_AGREEMENT = 4.0  # pixels within which templates agree
_PRIOR_IN_CELLS = 0.75
_LEAST_WEIGHT = 1e-6


@dataclass(frozen=True)
class PatchDescriptors:
    """Patch vectors of the templates' landmarks and of neighbouring points.

    Parameters
    ----------
    vectors : list of (templates, n, k, channels) tensors
        One per level; means over distorted copies.
    maps : list of (templates, n, channels, *cells) tensors
        The central part of the patches, for reverse matches.
    offsets : (templates, n, d) tensor
        Position of the landmark in its patch; NaN where absent.
    around : (k, d) tensor
        Offsets of the neighbouring points from the landmark, itself included, in working-grid pixels.
    """

    vectors: list[torch.Tensor]
    maps: list[torch.Tensor]
    offsets: torch.Tensor
    around: torch.Tensor


@dataclass(frozen=True)
class LocalRefiner:
    """Patch embedding with the templates' descriptors, for refining positions in new images.

    Parameters
    ----------
    network : PatchEmbedding
    descriptors : PatchDescriptors
    typical : (n,) float array or None
        Mean consensus of each landmark in the training images; None while unknown.
    """

    network: PatchEmbedding
    descriptors: PatchDescriptors
    typical: np.ndarray | None = None


@dataclass(frozen=True)
class RefinedMatches:
    """Refined positions of the landmarks of one image.

    Parameters
    ----------
    positions : (n, d)
        On the working grid; the expected position where no template shows the landmark.
    consensus : (n,)
        0..1: share of the landmark and its neighbouring points that look alike and return to their start.
    """

    positions: np.ndarray
    consensus: np.ndarray

    def between(self, expected: np.ndarray) -> np.ndarray:
        """(n, d) the refined positions at full consensus, half-way from the expected ones at none.

        Three quarters are usual: consensus is seldom above a half between subjects.
        """
        share = _LEAST_SHARE + (1 - _LEAST_SHARE) * self.consensus
        return expected + share[:, None] * (self.positions - expected)


def build_local_refiner(
    network: PatchEmbedding, cohort: Cohort, templates: Sequence[Template], device: Device
) -> LocalRefiner:
    """Describe the landmarks of every template with a trained patch embedding."""
    images = ((cohort.working(t.index), np.asarray(t.positions, float)) for t in templates)
    return describe_landmarks(network, images, device)


def describe_landmarks(
    network: PatchEmbedding, images: Iterable[tuple[Pixels, np.ndarray]], device: Device
) -> LocalRefiner:
    """Describe the landmarks of images, each with positions (n, d) on its grid, with a trained patch embedding."""
    around = device.to(neighbour_offsets(network.config))
    parts = [_describe_one(network, image, positions, around, device) for image, positions in images]
    vectors, maps, offsets = zip(*parts, strict=True)
    levels = range(len(network.strides))
    descriptors = PatchDescriptors(
        [torch.stack([v[level] for v in vectors]) for level in levels],
        [torch.stack([m[level] for m in maps]) for level in levels],
        torch.stack(offsets),
        around,
    )
    return LocalRefiner(network, descriptors)


def neighbour_offsets(config: PatchEmbeddingConfig) -> torch.Tensor:
    """(k, d) offsets of a square or cubic grid of points in working-grid pixels, one of them zero."""
    rings = _RINGS[config.spatial_dims]
    axis = torch.arange(-rings, rings + 1) * (_RING_SPACING * config.window)
    return torch.cartesian_prod(*[axis] * config.spatial_dims)


def central_map_sizes(config: PatchEmbeddingConfig) -> list[int]:
    """Side in cells of the maps that are kept of a template's patches, for each level."""
    return [_central_side(config.window, config.spatial_dims) // stride for stride in PatchEmbedding.strides]


def _describe_one(
    network: PatchEmbedding, image: Pixels, positions: np.ndarray, around: torch.Tensor, device: Device
) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
    """Vectors (n, k, channels) and central maps of each level, and offsets (n, d), of one template."""
    side, dims = network.config.window, network.config.spatial_dims
    pixels, origins = crop_patches_around(image, positions, side)
    pixels = device.to(pixels)
    offsets = device.to(torch.from_numpy(positions).float() - origins)
    known = torch.nan_to_num(offsets)[:, None] + around
    maps = network.embed(pixels, device)
    total = describe(maps, network.strides, known)
    central = [_central(m, stride) for m, stride in zip(maps, network.strides, strict=True)]
    generator = torch.Generator().manual_seed(0)  # the state of the training's own must not change
    for _ in range(_COPIES):
        copies = Distortion.random(
            len(pixels), (side,) * dims, ranges=_COPY, generator=generator, device=device.torch_device
        )
        maps = network.embed(copies.apply(pixels), device)
        moved = torch.nan_to_num(copies.output_of(known))
        total = [t + v for t, v in zip(total, describe(maps, network.strides, moved), strict=True)]
    return [F.normalize(t, dim=-1) for t in total], central, offsets


def refine_positions(
    refiner: LocalRefiner,
    image: Pixels,
    expected: np.ndarray,
    device: Device,
    *,
    prior: float,
) -> RefinedMatches:
    """Match the landmarks of the templates near expected positions.

    Parameters
    ----------
    image : (*working grid) float array
    expected : (n, d) float array
        On the working grid.
    prior : float
        Standard deviation of the true position around the expected one, in working-grid pixels.
    """
    network, descriptors = refiner.network, refiner.descriptors
    pixels, origins = crop_patches_around(image, expected, network.config.window)
    maps = network.embed(device.to(pixels), device)
    in_patch = device.to(torch.from_numpy(np.asarray(expected, float)).float() - origins)
    matches = [
        _match_template(network, descriptors, template, maps, in_patch, prior)
        for template in range(len(descriptors.offsets))
    ]
    candidates, consensus = (torch.stack(part) for part in zip(*matches, strict=True))
    known = ~descriptors.offsets[..., 0].isnan()
    consensus = consensus * known
    positions, shares = vote(candidates, consensus + _LEAST_WEIGHT * known, radius=_AGREEMENT)
    positions = torch.where(known.any(0)[:, None], positions, in_patch).cpu() + origins
    shares = shares / shares.sum(0)
    return RefinedMatches(positions.numpy().astype(float), (shares * consensus).sum(0).cpu().numpy())


def _match_template(
    network: PatchEmbedding,
    descriptors: PatchDescriptors,
    template: int,
    maps: list[torch.Tensor],
    expected: torch.Tensor,
    prior: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions (n, d) in the patches of `maps` by one template, and their consensus (n,)."""
    side, around = network.config.window, descriptors.around
    corner = (side - _central_side(side, network.config.spatial_dims)) / 2
    central = [_central(m, stride) for m, stride in zip(maps, network.strides, strict=True)]
    vectors = [v[template] for v in descriptors.vectors]
    points = expected[:, None] + around
    match, similarity = patch_similarity(vectors, central, points, prior, corner=corner)
    template_points = torch.nan_to_num(descriptors.offsets[template])[:, None] + around
    reverse, _ = patch_similarity(
        describe(maps, network.strides, match),
        [m[template] for m in descriptors.maps],
        template_points,
        _REVERSE_PRIOR,
        corner=corner,
    )
    cycle = (reverse - template_points).norm(dim=-1)
    nearby = torch.exp(-around.square().sum(-1) / (2 * _NEIGHBOURHOOD**2))
    weights = similarity.clamp(0, 1).square() * torch.exp(-((cycle / _CYCLE_SCALE) ** 2)) * nearby
    offset = weighted_geometric_median(match - points, weights + _LEAST_WEIGHT)
    return expected + offset, weights.sum(-1) / nearby.sum()


def weighted_geometric_median(
    offsets: torch.Tensor, weights: torch.Tensor, *, rounds: int = 8
) -> torch.Tensor:
    """Geometric median (n, d) of offsets (n, k, d) with weights (n, k).

    Weiszfeld's iteration, started at the mean; offsets well within half a pixel of it count about alike.
    """
    median = _mean(offsets, weights)
    for _ in range(rounds):
        median = _mean(offsets, weights / ((offsets - median[:, None]).norm(dim=-1) + 0.5))
    return median


def _mean(offsets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return (weights[..., None] * offsets).sum(1) / weights.sum(1, keepdim=True)


def position_prior(stride: float) -> float:
    """Typical error, in working-grid pixels, of positions that are read from maps of that stride."""
    return _PRIOR_IN_CELLS * stride


def embedding_prior(extractor: FeatureExtractor) -> float:
    """Typical error of matches in whole images, in working-grid pixels."""
    return position_prior(extractor.strides[-1])


def _central_side(window: int, dims: int) -> int:
    return min(window, 2 * _REACH[dims])


def _central(maps: torch.Tensor, stride: int) -> torch.Tensor:
    """Cells of maps (batch, channels, *shape) within `_REACH` of the patch's centre."""
    cells, dims = maps.shape[-1], maps.ndim - 2
    wanted = _central_side(cells * stride, dims) // stride
    low = (cells - wanted) // 2
    return maps[(slice(None), slice(None), *[slice(low, low + wanted)] * dims)]
