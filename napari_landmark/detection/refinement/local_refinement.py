"""The templates' landmarks found again in windows: the last few pixels of a place.

Not the landmark alone is searched: so are the points around it, each by its own vectors. They lie on the same structure
and moved as it did, so the way that most of them went is surer than that of any single one. How many of them look alike
and lead back is a sign of how far the found place may be trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.detector.detector import DetectorNetwork
from napari_landmark.detection.embedding.embedding import Embedding
from napari_landmark.detection.embedding.feature_matching import describe
from napari_landmark.detection.embedding.template_matching import Template, vote
from napari_landmark.detection.refinement.patch_embedding import (
    PatchEmbedding,
    PatchEmbeddingConfig,
    patch_similarity,
)
from napari_landmark.detection.refinement.patches import crop_patches_around
from napari_landmark.learning.augmentation import Distortion, DistortionRange
from napari_landmark.learning.device import Device

_COPIES = 16
_COPY = DistortionRange(rotation=10, scale=1.1, aspect=1.05, shift=0, elastic=0.008)
_RINGS = {2: 2, 3: 1}  # of points around a landmark, by spatial axes
_RING_SPACING = 6 / 64  # of the window: points further out would see its border
_NEARBY = 8.0  # pixels: standard deviation by which points around count less
# Pixels from the window's middle, along each axis, within which all points are searched; maps of volumes are large.
_REACH = {2: 24, 3: 16}
_BACK = 8.0  # pixels: standard deviation that the way back is held with
_CYCLE_SCALE = 4.0  # pixels at which trust has fallen to 1/e
_LEAST_SHARE = 0.5
_AGREEMENT = 4.0  # pixels within which templates name the same place
_PRIOR_IN_CELLS = 0.75
_NOTHING = 1e-6  # weight of what cannot be trusted at all


@dataclass(frozen=True)
class PatchDescriptors:
    """The templates' landmarks, and points around them, as a close-up sees them.

    Parameters
    ----------
    vectors : list of (templates, n, k, channels) tensors
        One per level; means over distorted copies.
    maps : list of (templates, n, channels, *cells) tensors
        The middle of the windows, for the way back.
    offsets : (templates, n, d) tensor
        Where the landmark lies in its window; NaN where absent.
    around : (k, d) tensor
        Ways from a landmark to itself and the points around it, in canvas pixels.
    """

    vectors: list[torch.Tensor]
    maps: list[torch.Tensor]
    offsets: torch.Tensor
    around: torch.Tensor


@dataclass(frozen=True)
class LocalRefiner:
    """A close-up and what it knows of the templates: all that is needed to look closely at new images.

    Parameters
    ----------
    network : PatchEmbedding
    descriptors : PatchDescriptors
    typical : (n,) float array or None
        Mean support of each landmark in the images learned from; None before it was asked for.
    """

    network: PatchEmbedding
    descriptors: PatchDescriptors
    typical: np.ndarray | None = None


@dataclass(frozen=True)
class RefinedMatches:
    """Where landmarks of one image are, looked at closely.

    Parameters
    ----------
    positions : (n, d)
        On the canvas; the expected place where no template shows the landmark.
    support : (n,)
        0..1: which part of the landmark and the points around it looks alike and leads back to where it started.
    """

    positions: np.ndarray
    support: np.ndarray

    def between(self, expected: np.ndarray) -> np.ndarray:
        """(n, d) the matches where they have full support, half of the way there where none.

        Three quarters of the way is usual: support is seldom above a half between subjects.
        """
        share = _LEAST_SHARE + (1 - _LEAST_SHARE) * self.support
        return expected + share[:, None] * (self.positions - expected)


def build_local_refiner(
    network: PatchEmbedding, cohort: Cohort, templates: Sequence[Template], device: Device
) -> LocalRefiner:
    """Vectors and maps of windows around the landmarks of every template, with the network that says them."""
    around = device.to(neighbour_offsets(network.config))
    parts = [
        _describe_one(network, cohort.working(t.index), np.asarray(t.positions, float), around, device)
        for t in templates
    ]
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
    """(k, d) a square or cube of ways, in canvas pixels; one of them is no way at all."""
    rings = _RINGS[config.spatial_dims]
    axis = torch.arange(-rings, rings + 1) * (_RING_SPACING * config.window)
    return torch.cartesian_prod(*[axis] * config.spatial_dims)


def central_map_sizes(config: PatchEmbeddingConfig) -> list[int]:
    """Side of the maps that are kept of a template's windows, in cells, for each level."""
    return [_middle_side(config.window, config.spatial_dims) // stride for stride in PatchEmbedding.strides]


def _describe_one(
    network: PatchEmbedding, image: np.ndarray, positions: np.ndarray, around: torch.Tensor, device: Device
) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
    side, dims = network.config.window, network.config.spatial_dims
    pixels, origins = crop_patches_around(image, positions, side)
    pixels = device.to(pixels)
    offsets = device.to(torch.from_numpy(positions).float() - origins)
    known = torch.nan_to_num(offsets)[:, None] + around
    maps = network.embed(pixels, device)
    total = describe(maps, network.strides, known)
    middle = [_middle(m, stride) for m, stride in zip(maps, network.strides, strict=True)]
    generator = torch.Generator().manual_seed(0)  # the training's own must not feel that someone looks
    for _ in range(_COPIES):
        copies = Distortion.random(
            len(pixels), (side,) * dims, ranges=_COPY, generator=generator, device=device.torch_device
        )
        maps = network.embed(copies.apply(pixels), device)
        landed = torch.nan_to_num(copies.output_of(known))
        total = [t + v for t, v in zip(total, describe(maps, network.strides, landed), strict=True)]
    return [F.normalize(t, dim=-1) for t in total], middle, offsets


def refine_positions(
    look: LocalRefiner,
    image: np.ndarray,
    expected: np.ndarray,
    device: Device,
    *,
    prior: float,
) -> RefinedMatches:
    """Find the landmarks of the templates near places that are expected.

    Parameters
    ----------
    image : (*canvas) float array
        At working resolution.
    expected : (n, d) float array
        On the canvas.
    prior : float
        Standard deviation of the true place around the expected one, in canvas pixels.
    """
    network, descriptors = look.network, look.descriptors
    pixels, origins = crop_patches_around(image, expected, network.config.window)
    maps = network.embed(device.to(pixels), device)
    place = device.to(torch.from_numpy(np.asarray(expected, float)).float() - origins)
    found = [
        _find(network, descriptors, template, maps, place, prior)
        for template in range(len(descriptors.offsets))
    ]
    candidates, support = (torch.stack(part) for part in zip(*found, strict=True))
    known = ~descriptors.offsets[..., 0].isnan()
    support = support * known
    positions, votes = vote(candidates, support + _NOTHING * known, radius=_AGREEMENT)
    positions = torch.where(known.any(0)[:, None], positions, place).cpu() + origins
    share = votes / votes.sum(0)
    return RefinedMatches(positions.numpy().astype(float), (share * support).sum(0).cpu().numpy())


def _find(
    network: PatchEmbedding,
    descriptors: PatchDescriptors,
    template: int,
    maps: list[torch.Tensor],
    place: torch.Tensor,
    prior: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """What one template says: positions (n, d) in the windows that `maps` are of, and their support (n,)."""
    side, around = network.config.window, descriptors.around
    corner = (side - _middle_side(side, network.config.spatial_dims)) / 2
    near = [_middle(m, stride) for m, stride in zip(maps, network.strides, strict=True)]
    vectors = [v[template] for v in descriptors.vectors]
    start = place[:, None] + around
    found, similarity = patch_similarity(vectors, near, start, prior, corner=corner)
    home = torch.nan_to_num(descriptors.offsets[template])[:, None] + around
    back, _ = patch_similarity(
        describe(maps, network.strides, found),
        [m[template] for m in descriptors.maps],
        home,
        _BACK,
        corner=corner,
    )
    cycle = (back - home).norm(dim=-1)
    nearby = torch.exp(-around.square().sum(-1) / (2 * _NEARBY**2))
    trust = similarity.clamp(0, 1).square() * torch.exp(-((cycle / _CYCLE_SCALE) ** 2)) * nearby
    return place + weighted_geometric_median(found - start, trust + _NOTHING), trust.sum(-1) / nearby.sum()


def weighted_geometric_median(ways: torch.Tensor, weights: torch.Tensor, *, rounds: int = 8) -> torch.Tensor:
    """The way (n, d) that most of the weight goes: a geometric median of ways (n, k, d), weights (n, k).

    By Weiszfeld's iteration, started at the mean; ways well within half a pixel of it count about alike.
    """
    common = _mean(ways, weights)
    for _ in range(rounds):
        common = _mean(ways, weights / ((ways - common[:, None]).norm(dim=-1) + 0.5))
    return common


def _mean(ways: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return (weights[..., None] * ways).sum(1) / weights.sum(1, keepdim=True)


def embedding_prior(embedding: Embedding) -> float:
    """How far, in canvas pixels, what the embedding of whole images finds is typically off the structure itself."""
    return _PRIOR_IN_CELLS * embedding.canvas_strides[-1]


def detector_prior(detector: DetectorNetwork) -> float:
    """The same of a detector's answers."""
    return _PRIOR_IN_CELLS * detector.config.finest_stride * detector.config.downsampling


def _middle_side(window: int, dims: int) -> int:
    return min(window, 2 * _REACH[dims])


def _middle(maps: torch.Tensor, stride: int) -> torch.Tensor:
    """The cells of maps (batch, channels, *shape) that lie within `_REACH` of the window's middle."""
    cells, dims = maps.shape[-1], maps.ndim - 2
    wanted = _middle_side(cells * stride, dims) // stride
    low = (cells - wanted) // 2
    return maps[(..., *[slice(low, low + wanted)] * dims)]
