"""The templates' landmarks found again in windows: the last few pixels of a place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from napari_landmark.data.cohort import Cohort
from napari_landmark.learning.augment import Distortion, DistortionRange
from napari_landmark.learning.device import Device
from napari_landmark.oneshot.close_up import CloseUp, likeness
from napari_landmark.oneshot.detector import DetectorNetwork
from napari_landmark.oneshot.embedding import Embedding
from napari_landmark.oneshot.matching import describe
from napari_landmark.oneshot.pseudolabels import Template, vote
from napari_landmark.oneshot.windows import cut_around

_COPIES = 16
_COPY = DistortionRange(rotation=10, scale=1.1, aspect=1.05, shift=0, elastic=0.008)
_REACH = 16  # pixels: how far from the expected place is searched
_BACK = 8.0  # pixels: standard deviation that the way back is held with
_CYCLE_SCALE = 4.0  # pixels at which trust has fallen to 1/e
_LEAST_SHARE = 0.5
_AGREEMENT = 4.0  # pixels within which templates name the same place


@dataclass(frozen=True)
class CloseDescriptors:
    """The templates' landmarks as a close-up sees them.

    Parameters
    ----------
    vectors : list of (templates, n, channels) tensors
        One per level; means over distorted copies.
    maps : list of (templates, n, channels, *cells) tensors
        The middle of the windows, for the way back.
    offsets : (templates, n, d) tensor
        Where the landmark lies in its window; NaN where absent.
    """

    vectors: list[torch.Tensor]
    maps: list[torch.Tensor]
    offsets: torch.Tensor


@dataclass(frozen=True)
class CloseLook:
    """A close-up and what it knows of the templates: all that is needed to look closely at new images.

    Parameters
    ----------
    network : CloseUp
    descriptors : CloseDescriptors
    typical : (n,) float array or None
        Mean cycle error of each landmark in the images learned from, in canvas pixels; None before it was asked for.
    """

    network: CloseUp
    descriptors: CloseDescriptors
    typical: np.ndarray | None = None


@dataclass(frozen=True)
class CloseMatches:
    """Where landmarks of one image are, looked at closely.

    Parameters
    ----------
    positions : (n, d)
        On the canvas; the expected place where no template shows the landmark.
    similarity, cycle : (n,)
        Mean cosine, and the distance between the landmark and the reverse match in canvas pixels.
    """

    positions: np.ndarray
    similarity: np.ndarray
    cycle: np.ndarray

    def trust(self) -> np.ndarray:
        """(n,) 0..1 from cycle error."""
        return np.exp(-((self.cycle / _CYCLE_SCALE) ** 2))

    def between(self, expected: np.ndarray) -> np.ndarray:
        """(n, d) the matches where they can be trusted, places nearer to what was expected where not."""
        share = _LEAST_SHARE + (1 - _LEAST_SHARE) * self.trust()
        return expected + share[:, None] * (self.positions - expected)


def describe_closely(
    network: CloseUp, cohort: Cohort, templates: Sequence[Template], device: Device
) -> CloseLook:
    """Vectors and maps of windows around the landmarks of every template, with the network that says them."""
    parts = [
        _describe_one(network, cohort.working(t.index), np.asarray(t.positions, float), device)
        for t in templates
    ]
    vectors, maps, offsets = zip(*parts, strict=True)
    levels = range(len(network.strides))
    descriptors = CloseDescriptors(
        [torch.stack([v[level] for v in vectors]) for level in levels],
        [torch.stack([m[level] for m in maps]) for level in levels],
        torch.stack(offsets),
    )
    return CloseLook(network, descriptors)


def _describe_one(
    network: CloseUp, image: np.ndarray, positions: np.ndarray, device: Device
) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
    side, dims = network.config.window, network.config.spatial_dims
    pixels, origins = cut_around(image, positions, side)
    pixels = device.to(pixels)
    offsets = device.to(torch.from_numpy(positions).float() - origins)
    known = torch.nan_to_num(offsets)[:, None]
    maps = network.embed(pixels, device)
    total = [v[:, 0] for v in describe(maps, network.strides, known)]
    middle = [_middle(m, stride) for m, stride in zip(maps, network.strides, strict=True)]
    generator = torch.Generator().manual_seed(0)  # the training's own must not feel that someone looks
    for _ in range(_COPIES):
        copies = Distortion.random(
            len(pixels), (side,) * dims, ranges=_COPY, generator=generator, device=device.torch_device
        )
        maps = network.embed(copies.apply(pixels), device)
        landed = torch.nan_to_num(copies.output_of(known))
        total = [t + v[:, 0] for t, v in zip(total, describe(maps, network.strides, landed), strict=True)]
    return [F.normalize(t, dim=-1) for t in total], middle, offsets


def look_closely(
    look: CloseLook,
    image: np.ndarray,
    expected: np.ndarray,
    device: Device,
    *,
    prior: float,
) -> CloseMatches:
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
    pixels, origins = cut_around(image, expected, network.config.window)
    maps = network.embed(device.to(pixels), device)
    near = [_middle(m, stride) for m, stride in zip(maps, network.strides, strict=True)]
    corner = (network.config.window - _middle_side(network.config.window)) / 2
    place = device.to(torch.from_numpy(np.asarray(expected, float)).float() - origins)
    candidates, likenesses, cycles = [], [], []
    for template in range(len(descriptors.offsets)):
        vectors = [v[template][:, None] for v in descriptors.vectors]
        found, similarity = likeness(vectors, near, place[:, None], prior, corner=corner)
        home = descriptors.offsets[template][:, None]
        back, _ = likeness(
            describe(maps, network.strides, found),
            [m[template] for m in descriptors.maps],
            torch.nan_to_num(home),
            _BACK,
            corner=corner,
        )
        candidates.append(found[:, 0])
        likenesses.append(similarity[:, 0])
        cycles.append(torch.nan_to_num((back - home)[:, 0].norm(dim=-1), nan=1e3))
    similarity, cycle = torch.stack(likenesses), torch.stack(cycles)
    known = ~descriptors.offsets[..., 0].isnan()
    weights = similarity.clamp(min=0) * (torch.exp(-((cycle / _CYCLE_SCALE) ** 2)) + 0.02) * known
    positions, support = vote(torch.stack(candidates), weights, radius=_AGREEMENT)
    positions = torch.where(known.any(0)[:, None], positions, place).cpu() + origins
    share = support / support.sum(0)
    return CloseMatches(
        positions.numpy().astype(float),
        (share * similarity).sum(0).cpu().numpy(),
        (share * cycle).sum(0).cpu().numpy(),
    )


def prior_of_embedding(embedding: Embedding) -> float:
    """How far, in canvas pixels, what the embedding of whole images finds is typically off the structure itself."""
    return embedding.canvas_strides[-1] / 2


def prior_of_detector(detector: DetectorNetwork) -> float:
    """The same of a detector's answers."""
    return detector.config.finest_stride * detector.config.shrink / 2


def _middle_side(window: int) -> int:
    return min(window, 2 * _REACH)


def _middle(maps: torch.Tensor, stride: int) -> torch.Tensor:
    """The cells of maps (batch, channels, *shape) that lie within `_REACH` of the window's middle."""
    cells = maps.shape[-1]
    wanted = _middle_side(cells * stride) // stride
    low = (cells - wanted) // 2
    return maps[(..., *[slice(low, low + wanted)] * (maps.ndim - 2))]
