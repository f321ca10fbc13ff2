"""Random points of images, preferably where the image has detail."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from napari_landmark.learning.device import sent
from napari_landmark.learning.interpolation import constant, sample_features

_DETAIL_STRIDE = 4
_DETAIL_THRESHOLD = 0.008
_KEPT_SHARE = 0.2  # of the points in regions without detail


def random_points(batch: int, count: int, shape: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    """(batch, count, d) uniform positions in images of that shape."""
    size = torch.tensor(tuple(shape), dtype=torch.float32)
    return torch.rand(batch, count, len(shape), generator=generator) * size - 0.5


def inside(points: torch.Tensor, shape: Sequence[int], margin: float = 4.0) -> torch.Tensor:
    """(batch, k) mask of positions at least `margin` pixels within the border; False for NaN."""
    size = constant(tuple(shape), points.dtype, points.device)
    return ((points > margin) & (points < size - 1 - margin)).all(-1)


def detail(images: torch.Tensor) -> torch.Tensor:
    """Local contrast: mean absolute deviation from the local mean, (batch, 1, *shape / 4)."""
    pool = {2: F.avg_pool2d, 3: F.avg_pool3d}[images.ndim - 2]
    small = pool(images, _DETAIL_STRIDE)
    smooth = pool(small, 3, stride=1, padding=1, count_include_pad=False)
    return pool((small - smooth).abs(), 3, stride=1, padding=1, count_include_pad=False)


def _has_detail(images: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    return sample_features(detail(images), points, _DETAIL_STRIDE)[..., 0] > _DETAIL_THRESHOLD


def informative(images: torch.Tensor, points: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(batch, k) mask of the points in regions with detail, and of one in five of the others."""
    detailed = _has_detail(images, points)
    return detailed | (sent(torch.rand(detailed.shape, generator=generator), detailed.device) < _KEPT_SHARE)


def informative_points(images: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """(batch, count, d) random positions in regions with detail, as far as there are any."""
    candidates = random_points(len(images), 4 * count, images.shape[2:], generator)
    candidates = sent(candidates, images.device)
    good = _has_detail(images, candidates) & inside(candidates, images.shape[2:])
    order = good.float().sort(dim=1, descending=True, stable=True).indices[:, :count]
    return candidates.gather(1, order[..., None].expand(-1, -1, candidates.shape[-1]))
