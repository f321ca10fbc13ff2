"""Matching of the templates' landmarks in one image by their features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.embedding.feature_extractor import FeatureExtractor
from napari_landmark.detection.embedding.feature_matching import describe, match_vectors
from napari_landmark.learning.batches import load_batch
from napari_landmark.learning.device import Device

_CYCLE_SCALE = 8.0  # working-grid pixels at which the weight of a match has fallen to 1/e
_LEAST_WEIGHT = 0.02
_NO_CYCLE = 1e3  # pixels, for landmarks that a template lacks
_AGREEMENT = 12.0  # pixels
_BATCH_PIXELS = 10 * 768**2  # of the working grid, embedded at once


@dataclass(frozen=True)
class Template:
    """Manually annotated image.

    Parameters
    ----------
    index : int
        In the cohort.
    positions : (n, d) float array
        On the working grid; NaN for landmarks that this image does not show.
    """

    index: int
    positions: np.ndarray


@dataclass(frozen=True)
class Descriptors:
    """Features of the landmarks of all templates.

    Parameters
    ----------
    vectors : list of (templates, n, channels) tensors
        One per level.
    maps : list of (templates, channels, *shape) tensors
        Of the whole templates, for reverse matches.
    positions : (templates, n, d) tensor
        On the working grid, NaN where absent.
    """

    vectors: list[torch.Tensor]
    maps: list[torch.Tensor]
    positions: torch.Tensor


class TemplateMatch(NamedTuple):
    """Landmarks of the templates matched in one image.

    Attributes
    ----------
    positions : (n, d) array
        On the working grid.
    similarity : (n,) array
        Product of the levels' cosines at the match, 0..1.
    cycle_error : (n,) array
        Distance between the landmark and the reverse match in the template, in working-grid pixels.
    heatmaps : (n, *finest shape) tensor or None
    """

    positions: np.ndarray
    similarity: np.ndarray
    cycle_error: np.ndarray
    heatmaps: torch.Tensor | None


def describe_templates(
    extractor: FeatureExtractor, cohort: Cohort, templates: Sequence[Template], device: Device
) -> Descriptors:
    """Features at the landmarks of every template, and their maps; a part of the templates at a time."""
    positions = torch.from_numpy(np.stack([t.positions for t in templates])).float().to(device.torch_device)
    size = max(1, _BATCH_PIXELS // math.prod(cohort.canvas))
    parts = [
        extractor.embed(load_batch(cohort, [t.index for t in templates[start : start + size]], 1, device))
        for start in range(0, len(templates), size)
    ]
    maps = parts[0] if len(parts) == 1 else [torch.cat(level) for level in zip(*parts, strict=True)]
    vectors = describe(maps, extractor.strides, torch.nan_to_num(positions))
    return Descriptors(vectors, maps, positions)


def match_templates(
    extractor: FeatureExtractor,
    descriptors: Descriptors,
    maps: Sequence[torch.Tensor],
    *,
    keep_heatmaps: bool = False,
) -> TemplateMatch:
    """Match the landmarks of all templates in the maps (batch of 1) of an image.

    Every template votes; the position with most weight around it wins, averaged over the templates that agree.
    """
    strides, known = extractor.strides, ~descriptors.positions[..., 0].isnan()
    count = len(descriptors.positions)
    repeated = [m.expand(count, *m.shape[1:]) for m in maps]
    match = match_vectors(descriptors.vectors, repeated, strides, keep_heatmaps=keep_heatmaps)
    reverse = match_vectors(describe(repeated, strides, match.positions), descriptors.maps, strides)
    cycle = torch.nan_to_num((reverse.positions - descriptors.positions).norm(dim=-1), nan=_NO_CYCLE)
    weights = match.similarity * (torch.exp(-((cycle / _CYCLE_SCALE) ** 2)) + _LEAST_WEIGHT) * known
    positions, shares = vote(match.positions, weights, radius=_AGREEMENT)
    total = shares.sum(0)

    def mean(values: torch.Tensor) -> np.ndarray:
        return ((shares * values).sum(0) / total).cpu().numpy()

    heatmaps = None
    if match.heatmaps is not None:
        part = weights / weights.sum(0).clamp(min=1e-9)
        heatmaps = (match.heatmaps * part[..., *[None] * (match.heatmaps.ndim - 2)]).sum(0)
    return TemplateMatch(positions.cpu().numpy(), mean(match.similarity), mean(cycle), heatmaps)


def cycle_weight(cycle_error: np.ndarray) -> np.ndarray:
    """Weight 0..1 of matches with that cycle error in working-grid pixels."""
    return np.exp(-((cycle_error / _CYCLE_SCALE) ** 2)) + _LEAST_WEIGHT


def vote(
    candidates: torch.Tensor, weights: torch.Tensor, *, radius: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Consensus of the templates.

    Parameters
    ----------
    candidates : (templates, n, d)
    weights : (templates, n)
    radius : float
        Distance within which candidates agree, in pixels.

    Returns
    -------
    positions : (n, d)
    shares : (templates, n)
        Weight of each template in the position.
    """
    distance = (candidates[:, None] - candidates[None]).norm(dim=-1)
    votes = (torch.exp(-0.5 * (distance / radius) ** 2) * weights[None]).sum(1) + 1e-6 * weights
    best = votes.argmax(0)
    near = distance.gather(0, best[None, None].expand(1, *distance.shape[1:]))[0] < radius
    shares = weights * near + 1e-12
    return (candidates * shares[..., None]).sum(0) / shares.sum(0)[:, None], shares
