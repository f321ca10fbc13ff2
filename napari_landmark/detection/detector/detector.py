"""Detector network after CC2D-TPL: heatmap and offsets of every landmark, which vote for its position.

A multi-task U-Net gives, per landmark, a heatmap and an offset map that is valid where the heatmap's target is on;
the cells of largest mass vote through their offsets for a sub-pixel position (Yao et al., MICCAI 2021). Unlike there,
the heatmap is a softmax over the working grid: a landmark has one position, and the spread of the mass is a measure of
its error.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import nn

from napari_landmark.detection.refinement.local_refinement import position_prior
from napari_landmark.learning.device import Device
from napari_landmark.learning.interpolation import canvas_coordinates, pixel_positions
from napari_landmark.learning.unet import CHANNELS, UNet, fast_memory_format

_VOTERS = 25
_FAR = 2.5  # radii


@dataclass(frozen=True)
class DetectorConfig:
    """Architecture of a detector.

    Parameters
    ----------
    landmarks : int
    spatial_dims : {2, 3}
    downsampling : int
        Working-grid pixels per input pixel, along each axis.
    channels : tuple of 5 int
        Of the U-Net.
    finest_stride : int
        Stride of heatmap and offsets, in input pixels.
    radius : float
        Of the disc around a landmark where offsets are valid, in input pixels.
    sigma : float
        Of the heatmap's target, in input pixels.
    """

    landmarks: int
    spatial_dims: int = 2
    downsampling: int = 1
    channels: tuple[int, ...] = CHANNELS
    finest_stride: int = 4
    radius: float = 24.0
    sigma: float = 6.0

    def to_json(self) -> dict[str, Any]:
        """Plain values for the model's sidecar."""
        return asdict(self)


@dataclass(frozen=True)
class Votes:
    """Landmarks detected in a batch of images.

    Parameters
    ----------
    positions : (batch, n_landmarks, d)
        On the working grid.
    confidence : (batch, n_landmarks)
        Share of the heatmap's mass within the disc around the position.
    spread : (batch, n_landmarks)
        Mean distance of the heatmap's mass from the position, in working-grid pixels; far mass counts like
        mass at two and a half radii.
    heatmaps : (batch, n_landmarks, *input shape / stride)
        Probabilities; each map sums to 1.
    """

    positions: torch.Tensor
    confidence: torch.Tensor
    spread: torch.Tensor
    heatmaps: torch.Tensor


class DetectorNetwork(nn.Module):
    """Heatmap logits and offsets of every landmark at the finest stride of a U-Net."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        self.pyramid = UNet(
            spatial_dims=config.spatial_dims, channels=config.channels, finest_stride=config.finest_stride
        )
        convolution = {2: nn.Conv2d, 3: nn.Conv3d}[config.spatial_dims]
        outputs = config.landmarks * (1 + config.spatial_dims)
        self.head = convolution(self.pyramid.out_channels[-1], outputs, 1)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (batch, n, cells) and offsets (batch, n, cells, d) in units of the radius, float32."""
        out = self.head(self._features(images)).float().flatten(2)
        count = self.config.landmarks
        offsets = out[:, count:].unflatten(1, (count, self.config.spatial_dims)).movedim(2, -1)
        return out[:, :count], offsets

    def of_one(self, images: torch.Tensor, landmarks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (batch, cells) and offsets (batch, cells, d) of one landmark in each image, as `forward` gives them.

        Parameters
        ----------
        images : (batch, 1, *shape) tensor
        landmarks : (batch,) int tensor
            Rows of the landmarks.
        """
        features = self._features(images).flatten(2)
        count, dims = self.config.landmarks, self.config.spatial_dims
        axes = torch.arange(dims, device=landmarks.device)
        rows = torch.cat([landmarks[:, None], count + landmarks[:, None] * dims + axes], 1)
        weights, bias = self.head.weight.flatten(1)[rows], cast(torch.Tensor, self.head.bias)[rows]
        out = torch.bmm(weights.to(features.dtype), features).float() + bias[..., None]
        return out[:, 0], out[:, 1:].movedim(1, -1)

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        """(batch, channels, *cells) finest map of the U-Net."""
        images = (images - 0.4).contiguous(memory_format=fast_memory_format(self.config.spatial_dims))
        return self.pyramid(images)[-1]

    def cell_positions(self, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
        """(cells, d) centres of the output cells in input pixels, for an input of that shape."""
        stride = self.pyramid.finest_stride
        cells = pixel_positions(tuple(n // stride for n in shape), device=device)
        return canvas_coordinates(cells, stride).flatten(0, -2)

    def vote(self, images: torch.Tensor, device: Device) -> Votes:
        """Detect the landmarks in images (batch, 1, *working grid / downsampling)."""
        config = self.config
        shape = tuple(images.shape[2:])
        with torch.no_grad(), device.autocast():
            logits, offsets = self(images)
        cells = self.cell_positions(shape, images.device)
        heat = logits.softmax(-1)
        top = heat.topk(min(_VOTERS, heat.shape[-1]), -1)
        weights = top.values / top.values.sum(-1, keepdim=True)
        index = top.indices[..., None].expand(-1, -1, -1, len(shape))
        votes = (offsets * config.radius + cells).gather(2, index)
        positions = (weights[..., None] * votes).sum(2)
        distance = (cells - positions[:, :, None]).norm(dim=-1)
        confidence = (heat * (distance < config.radius)).sum(-1)
        spread = (heat * distance.clamp(max=_FAR * config.radius)).sum(-1) * config.downsampling
        stride = self.pyramid.finest_stride
        heatmaps = heat.unflatten(-1, tuple(n // stride for n in shape))
        return Votes(canvas_coordinates(positions, config.downsampling), confidence, spread, heatmaps)


def detector_prior(detector: DetectorNetwork) -> float:
    """Typical error of a detector's positions, in working-grid pixels."""
    return position_prior(detector.config.finest_stride * detector.config.downsampling)
