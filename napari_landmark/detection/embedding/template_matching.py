"""Positions for every image of a cohort from the templates' embedding vectors, each with a trust.

Trust comes from three sides: the match looks like the landmark (similarity), the way back leads to where it started
(cycle error), and it stands where the other landmarks let one expect it (constellation). Outliers are searched again
near the place the others point to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.detector.shape_model import fit_shape_model
from napari_landmark.detection.embedding.embedding import Embedding
from napari_landmark.detection.embedding.feature_matching import describe, match_vectors, sub_cell_peak
from napari_landmark.learning.batches import load_batch
from napari_landmark.learning.device import Device
from napari_landmark.learning.interpolation import canvas_coordinates, pixel_positions
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

_CYCLE_SCALE = 8.0  # canvas pixels (per 768) at which trust has fallen to 1/e
_SURPRISE_LIMIT = 4.0  # robust standard deviations
_BATCH = 4


@dataclass(frozen=True)
class Template:
    """An image that a person annotated.

    Parameters
    ----------
    index : int
        In the cohort.
    positions : (n, d) float array
        On the working canvas; NaN for landmarks that this image does not show.
    """

    index: int
    positions: np.ndarray


@dataclass(frozen=True)
class Descriptors:
    """Embedding vectors of the landmarks of all templates.

    Parameters
    ----------
    vectors : list of (templates, n, channels) tensors
        One per level.
    maps : list of (templates, channels, *shape) tensors
        The templates' own maps, for the way back.
    positions : (templates, n, d) tensor
        On the working canvas, NaN where absent.
    """

    vectors: list[torch.Tensor]
    maps: list[torch.Tensor]
    positions: torch.Tensor


@dataclass(frozen=True)
class Matches:
    """What the templates say about a set of images.

    Parameters
    ----------
    positions : (n_images, n, d)
    similarity, cycle : (n_images, n)
        Cosine product at the match, and distance between the landmark and the reverse match, in canvas pixels.
    """

    positions: np.ndarray
    similarity: np.ndarray
    cycle: np.ndarray

    def trust(self, scale: float = _CYCLE_SCALE) -> np.ndarray:
        """(n_images, n) 0..1 from cycle error."""
        return np.exp(-((self.cycle / scale) ** 2)) + 0.02


def describe_templates(
    embedding: Embedding, cohort: Cohort, templates: list[Template], device: Device
) -> Descriptors:
    """Embedding vectors at the landmarks of every template."""
    positions = torch.from_numpy(np.stack([t.positions for t in templates])).float().to(device.torch_device)
    images = load_batch(cohort, [t.index for t in templates], embedding.config.downsampling, device)
    maps = embedding.embed(images, device)
    vectors = describe(maps, embedding.canvas_strides, torch.nan_to_num(positions))
    return Descriptors(vectors, maps, positions)


def match_templates(
    embedding: Embedding, descriptors: Descriptors, maps: list[torch.Tensor], *, keep_heatmaps: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, torch.Tensor | None]:
    """Positions (n, d), similarity (n,), cycle (n,) and heatmaps (n, *shape) of one image's maps (batch of 1).

    Templates vote: the place that most of the trust gathers around wins, averaged over those who name it.
    """
    strides, known = embedding.canvas_strides, ~descriptors.positions[..., 0].isnan()
    count = len(descriptors.positions)
    spread = [m.expand(count, *m.shape[1:]) for m in maps]
    there = match_vectors(descriptors.vectors, spread, strides, keep_heatmaps=keep_heatmaps)
    back = match_vectors(describe(spread, strides, there.positions), descriptors.maps, strides)
    cycle = torch.nan_to_num((back.positions - descriptors.positions).norm(dim=-1), nan=1e3)
    weights = there.similarity * (torch.exp(-((cycle / _CYCLE_SCALE) ** 2)) + 0.02) * known
    positions, support = vote(there.positions, weights)
    total = support.sum(0)
    mean = lambda values: ((support * values).sum(0) / total).cpu().numpy()  # noqa: E731
    heat = None
    if keep_heatmaps:
        share = (weights / weights.sum(0).clamp(min=1e-9))[..., *[None] * (there.heatmaps.ndim - 2)]
        heat = (there.heatmaps * share).sum(0)
    return positions.cpu().numpy(), mean(there.similarity), mean(cycle), heat


def vote(
    candidates: torch.Tensor, weights: torch.Tensor, radius: float = 12.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Consensus of candidates (templates, n, d): positions (n, d) and each template's part in them (templates, n)."""
    distance = (candidates[:, None] - candidates[None]).norm(dim=-1)
    votes = (torch.exp(-0.5 * (distance / radius) ** 2) * weights[None]).sum(1) + 1e-6 * weights
    best = votes.argmax(0)
    near = distance.gather(0, best[None, None].expand(1, *distance.shape[1:]))[0] < radius
    support = weights * near + 1e-12
    return (candidates * support[..., None]).sum(0) / support.sum(0)[:, None], support


def match_cohort(
    embedding: Embedding,
    cohort: Cohort,
    descriptors: Descriptors,
    *,
    device: Device,
    numbers: Sequence[int] | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Matches:
    """Match the templates with every image of the cohort, or with those of the given numbers."""
    found = []
    numbers = range(len(cohort)) if numbers is None else numbers
    for start in range(0, len(numbers), _BATCH):
        if cancel and cancel.cancelled:
            break
        indices = numbers[start : start + _BATCH]
        maps = embedding.embed(load_batch(cohort, indices, embedding.config.downsampling, device), device)
        found += [
            match_templates(embedding, descriptors, [m[k : k + 1] for m in maps])[:3]
            for k in range(len(indices))
        ]
        if progress:
            progress(ProgressEvent("matching the template", (start + _BATCH) / (len(numbers) + _BATCH)))
    if not found:  # cancelled before the first image
        landmarks, dims = descriptors.positions.shape[1:]
        return Matches(np.empty((0, landmarks, dims)), np.empty((0, landmarks)), np.empty((0, landmarks)))
    return Matches(*(np.stack(part) for part in zip(*found, strict=True)))


def refine(
    matches: Matches,
    embedding: Embedding,
    cohort: Cohort,
    descriptors: Descriptors,
    *,
    device: Device,
    numbers: Sequence[int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n_images, n, d) and weights (n_images, n) with gross errors repaired or left out.

    `numbers` names the images of the cohort that the rows of `matches` are of, if not all.
    Landmarks that stand where the constellation of the others does not let one expect them are searched again near
    the expected place; the second answer is taken if it is plausible, at half its trust.
    """
    positions, weights = matches.positions.copy(), matches.trust()
    model = fit_shape_model(positions, weights)
    if model is None:
        return positions, weights
    surprise, expected = model.judge(positions)
    for number in np.flatnonzero((surprise > _SURPRISE_LIMIT).any(1)):
        outliers = np.flatnonzero(surprise[number] > _SURPRISE_LIMIT)
        image = int(number) if numbers is None else numbers[number]
        maps = embedding.embed(load_batch(cohort, [image], embedding.config.downsampling, device), device)
        _, _, _, heat = match_templates(embedding, descriptors, maps, keep_heatmaps=True)
        radius = 2 * model.scale[outliers]
        again = _search_near(heat[outliers], expected[number, outliers], radius, embedding.canvas_strides[-1])
        positions[number, outliers] = again
    surprise_after, _ = model.judge(positions)
    weights *= np.exp(-0.5 * (surprise_after / _SURPRISE_LIMIT) ** 4)
    weights[surprise > _SURPRISE_LIMIT] *= 0.5
    return positions, weights


def _search_near(heat: torch.Tensor, expected: np.ndarray, radius: np.ndarray, stride: int) -> np.ndarray:
    """Peaks (k, d) of heatmaps (k, *shape) weighed by a Gaussian around the expected canvas positions (k, d)."""
    shape = tuple(heat.shape[1:])
    cells = canvas_coordinates(pixel_positions(shape, device=heat.device), stride).flatten(0, -2)
    centre = torch.as_tensor(expected, dtype=torch.float32, device=heat.device)
    width = torch.as_tensor(radius, dtype=torch.float32, device=heat.device)[:, None] + stride
    squared = (cells[None] - centre[:, None]).square().sum(-1)
    weighed = heat.flatten(1) * torch.exp(-0.5 * squared / width.square())
    cells_found, _ = sub_cell_peak(weighed.view(1, len(heat), *shape))
    return canvas_coordinates(cells_found[0], stride).cpu().numpy()
