"""Segmenter: propagates a few label maps to all images of a cohort.

Trained on the labelled images under strong distortions, and on its own confident pseudo-labels of the others (the
simplest form of a mean teacher: the prediction for an image is the target for its distorted copy).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

from napari_landmark.learning.augmentation import Distortion, DistortionRange, random_appearance
from napari_landmark.learning.interpolation import cell_coordinates, sample
from napari_landmark.learning.unet import CHANNELS, UNet, fast_memory_format

RANGES = DistortionRange(rotation=12, scale=1.25, aspect=1.2, shift=0.08, elastic=0.03)
STRIDE = 2


@dataclass(frozen=True)
class SegmenterConfig:
    """Architecture of a segmenter.

    Parameters
    ----------
    spatial_dims : {2, 3}
    regions : int
        Labels without the background.
    """

    spatial_dims: int = 2
    regions: int = 1
    channels: tuple[int, ...] = CHANNELS

    def to_json(self) -> dict:
        """Plain values for the description of the model."""
        return asdict(self)


class Segmenter(nn.Module):
    """U-Net from images (batch, 1, *canvas) to logits (batch, 1 + regions, *canvas / 2), background first."""

    def __init__(self, config: SegmenterConfig = SegmenterConfig()) -> None:
        super().__init__()
        self.config = config
        self.pyramid = UNet(spatial_dims=config.spatial_dims, channels=config.channels, finest_stride=STRIDE)
        convolution = {2: nn.Conv2d, 3: nn.Conv3d}[config.spatial_dims]
        self.head = convolution(self.pyramid.out_channels[-1], 1 + config.regions, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits, before the softmax."""
        images = (images - 0.4).contiguous(memory_format=fast_memory_format(self.config.spatial_dims))
        return self.head(self.pyramid(images)[-1]).float()

    def probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """(batch, 1 + regions, *canvas / 2) probabilities, which sum to one."""
        return F.softmax(self(images), 1)


def segmentation_loss(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Cross-entropy and soft Dice of logits against soft targets, both (batch, 1 + regions, *shape).

    `weight` (batch,) or (batch, *shape) is that of the targets, 0..1.
    """
    dims = logits.ndim - 2
    weight = weight.view(len(logits), *(weight.shape[1:] or [1] * dims)).expand(
        len(logits), *logits.shape[2:]
    )
    entropy = -(target * F.log_softmax(logits, 1)).sum(1)
    entropy = (entropy * weight).mean()
    predicted = F.softmax(logits, 1)[:, 1:] * weight[:, None]
    true = target[:, 1:] * weight[:, None]
    axes = (0, *range(2, logits.ndim))
    dice = (2 * (predicted * true).sum(axes) + 1) / ((predicted + true).sum(axes) + 1)
    return entropy + (1 - dice).mean()


@dataclass(frozen=True)
class DistortedImages:
    """Distorted copies of images, and the means to distort their targets alike.

    Parameters
    ----------
    copies : (batch, 1, *canvas) tensor
        With random appearance.
    coordinates : (batch, *canvas / 2, d) tensor
        Where the targets of the copies are sampled, as `sample` takes them.
    """

    copies: torch.Tensor
    coordinates: torch.Tensor

    def distort_targets(self, targets: torch.Tensor) -> torch.Tensor:
        """Distort soft targets (batch, channels, *canvas / 2) of the images."""
        return sample(targets, self.coordinates)


def distort_images(images: torch.Tensor, generator: torch.Generator) -> DistortedImages:
    """Distort images (batch, 1, *canvas), each at random."""
    distortion = Distortion.random(
        len(images), tuple(images.shape[2:]), ranges=RANGES, generator=generator, device=images.device
    )
    grid = distortion.grid()
    pool = {2: F.avg_pool2d, 3: F.avg_pool3d}[images.ndim - 2]
    coarse = pool(grid.movedim(-1, 1), STRIDE).movedim(1, -1)
    copies = random_appearance(sample(images, grid), generator=generator)
    return DistortedImages(copies, cell_coordinates(coarse, STRIDE))


def pixel_confidence(probabilities: torch.Tensor) -> torch.Tensor:
    """(batch, 1, *shape) confidence of probabilities (batch, 1 + regions, *shape), 0..1: 0 at even odds."""
    return (2 * probabilities.amax(1, keepdim=True) - 1).clamp(0, 1)


def region_confidence(probabilities: torch.Tensor) -> torch.Tensor:
    """(regions,) mean `pixel_confidence` inside each region of probabilities (1 + regions, *shape)."""
    confidence = pixel_confidence(probabilities[None])
    inside = probabilities[1:].flatten(1)
    return (inside * confidence.flatten()).sum(1) / inside.sum(1).clamp(min=1e-6)
