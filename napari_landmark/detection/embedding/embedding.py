"""CC2D-SSL: an embedding of a cohort's anatomy learned without any label.

The network learns to find, in a whole image, the places that a distorted copy of it shows (Yao, Quan, Xiao, Zhou:
"One-shot medical landmark detection", MICCAI 2021). Once it is fair, matches between *different* images that return
to where they started teach it how subjects differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.embedding.correspondence_loss import correspondence_loss
from napari_landmark.detection.embedding.feature_matching import match_points
from napari_landmark.learning.augmentation import Distortion, DistortionRange, random_appearance
from napari_landmark.learning.batches import KeptImages, kept_images, load_batch
from napari_landmark.learning.device import Device, sent
from napari_landmark.learning.interpolation import constant, sample_features
from napari_landmark.learning.loop import Budget, Checkpoint, History, run_training
from napari_landmark.learning.unet import CHANNELS, UNet, fast_memory_format
from napari_landmark.progress import CancelToken, Progress

_POINTS = 512
_DETAIL_STRIDE = 4
_DETAIL_THRESHOLD = 0.008
SELF_RANGES = DistortionRange()
CROSS_RANGES = DistortionRange(rotation=15, scale=1.18, shift=0.08, elastic=0.02)


@dataclass(frozen=True)
class EmbeddingConfig:
    """Architecture of an embedding.

    Parameters
    ----------
    spatial_dims : {2, 3}
    downsampling : int
        Working-canvas pixels per input pixel, along each axis.
    size : int
        Length of the embedding vectors.
    finest_stride : int
        Stride of the finest map, in input pixels.
    """

    spatial_dims: int = 2
    downsampling: int = 2
    size: int = 64
    channels: tuple[int, ...] = CHANNELS
    finest_stride: int = 4

    def to_json(self) -> dict:
        """Plain values for the model's sidecar."""
        return asdict(self)


class Embedding(nn.Module):
    """A cascade of unit vectors per place: maps at strides 32, 16, 8 and 4 of the network's input."""

    def __init__(self, config: EmbeddingConfig = EmbeddingConfig()) -> None:
        super().__init__()
        self.config = config
        self.pyramid = UNet(
            spatial_dims=config.spatial_dims, channels=config.channels, finest_stride=config.finest_stride
        )
        convolution = {2: nn.Conv2d, 3: nn.Conv3d}[config.spatial_dims]
        self.heads = nn.ModuleList([convolution(c, config.size, 1) for c in self.pyramid.out_channels])

    @property
    def strides(self) -> tuple[int, ...]:
        """Strides of the maps in pixels of the network's input, coarsest first."""
        return self.pyramid.strides

    @property
    def canvas_strides(self) -> tuple[int, ...]:
        """Strides of the maps in pixels of the working canvas."""
        return tuple(stride * self.config.downsampling for stride in self.strides)

    @torch.no_grad()
    def embed(self, images: torch.Tensor, device: Device) -> list[torch.Tensor]:
        """Maps of unit vectors (float32) for comparing, coarsest first; leaves the network in evaluation mode."""
        self.eval()
        with device.autocast():
            maps = self(images)
        return [F.normalize(m.float(), dim=1) for m in maps]

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Maps of images (batch, 1, *shape) with values 0..1; their vectors are not normalised yet."""
        images = (images - 0.4).contiguous(memory_format=fast_memory_format(self.config.spatial_dims))
        maps = self.pyramid(images)
        return [head(x) for head, x in zip(self.heads, maps, strict=True)]


def training_step(
    embedding: Embedding,
    cohort: Cohort | KeptImages,
    device: Device,
    generator: torch.Generator,
    *,
    pairs: int = 6,
) -> torch.Tensor:
    """Loss of one batch of (image, distorted copy) pairs."""
    images = load_batch(
        cohort, random_indices(len(cohort), pairs, generator), embedding.config.downsampling, device
    )
    distortion = Distortion.random(
        pairs, tuple(images.shape[2:]), ranges=SELF_RANGES, generator=generator, device=device.torch_device
    )
    query = device.to(random_points(pairs, _POINTS, images.shape[2:], generator))
    key = distortion.source_of(query)
    valid = inside(key, images.shape[2:]) & informative(images, key, generator)
    views = random_appearance(torch.cat([images, distortion.apply(images)]), generator=generator)
    with device.autocast():
        maps = embedding(views)
    return correspondence_loss(
        [m[pairs:] for m in maps], [m[:pairs] for m in maps], embedding.strides, query, key, valid
    )


def cross_step(
    embedding: Embedding,
    cohort: Cohort | KeptImages,
    device: Device,
    generator: torch.Generator,
    *,
    pairs: int = 4,
    tolerance: float = 6.0,
) -> torch.Tensor:
    """Loss of one batch of pairs of different images, plus the self-supervised one that keeps it honest.

    Points of one image are matched into another and back; those that return to within `tolerance` input pixels are
    taken as true and must then also be found in a distorted copy of the other image.
    """
    first = load_batch(
        cohort, random_indices(len(cohort), pairs, generator), embedding.config.downsampling, device
    )
    second = load_batch(
        cohort, random_indices(len(cohort), pairs, generator), embedding.config.downsampling, device
    )
    shape = first.shape[2:]
    points = informative_points(first, 256, generator)
    found, sure = _mutual_matches(embedding, device, first, second, points, tolerance)
    across = Distortion.random(
        pairs, tuple(shape), ranges=CROSS_RANGES, generator=generator, device=device.torch_device
    )
    landed = across.output_of(found)
    sure = sure & inside(landed, shape)
    landed = torch.nan_to_num(landed)
    own = Distortion.random(
        pairs, tuple(shape), ranges=SELF_RANGES, generator=generator, device=device.torch_device
    )
    query = device.to(random_points(pairs, 256, shape, generator))
    key = own.source_of(query)
    valid = inside(key, shape) & informative(first, key, generator)
    views = random_appearance(torch.cat([first, across.apply(second), own.apply(first)]), generator=generator)
    with device.autocast():
        maps = embedding(views)
    keys = [m[:pairs] for m in maps]
    loss = correspondence_loss(
        [m[pairs : 2 * pairs] for m in maps], keys, embedding.strides, landed, points, sure
    )
    return loss + correspondence_loss(
        [m[2 * pairs :] for m in maps], keys, embedding.strides, query, key, valid
    )


@torch.no_grad()
def _mutual_matches(
    embedding: Embedding,
    device: Device,
    first: torch.Tensor,
    second: torch.Tensor,
    points: torch.Tensor,
    tolerance: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    maps = embedding.embed(torch.cat([first, second]), device)
    embedding.train()
    pairs = len(first)
    a, b = [m[:pairs] for m in maps], [m[pairs:] for m in maps]
    there = match_points(a, b, embedding.strides, points)
    back = match_points(b, a, embedding.strides, there.positions)
    returned = (back.positions - points).norm(dim=-1) < tolerance
    return there.positions, returned & (there.similarity > 0.25)


def train_embedding(
    embedding: Embedding,
    cohort: Cohort,
    *,
    device: Device,
    generator: torch.Generator,
    self_budget: Budget,
    cross_budget: Budget,
    batch_factor: int = 1,
    checkpoints: Sequence[Checkpoint | None] = (None, None),
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> list[History]:
    """Train in place: first each image with itself, then across subjects (skipped for a single image).

    `batch_factor` times as many images are seen in each step.
    """
    embedding.to(device.torch_device, memory_format=fast_memory_format(embedding.config.spatial_dims))
    images = kept_images(cohort, device)
    history = run_training(
        embedding,
        lambda _: training_step(embedding, images, device, generator, pairs=6 * batch_factor),
        stage="learning the anatomy",
        budget=self_budget,
        learning_rate=2.5e-3,
        generator=generator,
        checkpoint=checkpoints[0],
        progress=progress,
        cancel=cancel,
    )
    if history.cancelled or len(cohort) < 2:
        return [history]
    across = run_training(
        embedding,
        lambda _: cross_step(embedding, images, device, generator, pairs=4 * batch_factor),
        stage="learning across subjects",
        budget=cross_budget,
        learning_rate=1e-3,
        generator=generator,
        checkpoint=checkpoints[1],
        progress=progress,
        cancel=cancel,
    )
    return [history, across]


def random_indices(count: int, draws: int, generator: torch.Generator) -> list[int]:
    """`draws` indices below `count`, without repetition as far as possible."""
    order: list[int] = []
    while len(order) < draws:
        if count <= 4096:
            order += torch.randperm(count, generator=generator).tolist()
        else:
            order += torch.randint(count, (draws,), generator=generator).tolist()
    return order[:draws]


def random_points(batch: int, count: int, shape: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    """(batch, count, d) uniform positions on a canvas."""
    size = torch.tensor(tuple(shape), dtype=torch.float32)
    return torch.rand(batch, count, len(shape), generator=generator) * size - 0.5


def inside(points: torch.Tensor, shape: Sequence[int], margin: float = 4.0) -> torch.Tensor:
    """(batch, k) whether positions lie on the canvas, off its border; False for NaN."""
    size = constant(tuple(shape), points.dtype, points.device)
    return ((points > margin) & (points < size - 1 - margin)).all(-1)


def detail(images: torch.Tensor) -> torch.Tensor:
    """How much there is to see around each pixel: mean absolute deviation from the local mean, at stride 4."""
    pool = {2: F.avg_pool2d, 3: F.avg_pool3d}[images.ndim - 2]
    small = pool(images, _DETAIL_STRIDE)
    smooth = pool(small, 3, stride=1, padding=1, count_include_pad=False)
    return pool((small - smooth).abs(), 3, stride=1, padding=1, count_include_pad=False)


def _has_detail(images: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    return sample_features(detail(images), points, _DETAIL_STRIDE)[..., 0] > _DETAIL_THRESHOLD


def informative(images: torch.Tensor, points: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(batch, k) keeps points where there is something to see, and one in five of the others."""
    seen = _has_detail(images, points)
    return seen | (sent(torch.rand(seen.shape, generator=generator), seen.device) < 0.2)


def informative_points(images: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """(batch, count, d) positions drawn where there is something to see."""
    candidates = random_points(len(images), 4 * count, images.shape[2:], generator)
    candidates = sent(candidates, images.device)
    good = _has_detail(images, candidates) & inside(candidates, images.shape[2:])
    order = good.float().sort(dim=1, descending=True, stable=True).indices[:, :count]
    return candidates.gather(1, order[..., None].expand(-1, -1, candidates.shape[-1]))
