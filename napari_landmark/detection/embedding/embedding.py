"""Embedding network: maps of unit vectors that describe the anatomy around each position of an image."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from napari_landmark.learning.batches import downsample
from napari_landmark.learning.device import Device
from napari_landmark.learning.unet import CHANNELS, UNet, fast_memory_format


@dataclass(frozen=True)
class EmbeddingConfig:
    """Architecture of an embedding.

    Parameters
    ----------
    spatial_dims : {2, 3}
    downsampling : int
        Working-grid pixels per input pixel, along each axis.
    size : int
        Length of the embedding vectors.
    channels : tuple of 5 int
        Of the U-Net.
    finest_stride : int
        Stride of the finest map, in input pixels.
    """

    spatial_dims: int = 2
    downsampling: int = 2
    size: int = 64
    channels: tuple[int, ...] = CHANNELS
    finest_stride: int = 4

    def to_json(self) -> dict[str, Any]:
        """Plain values for the model's sidecar."""
        return asdict(self)


class Embedding(nn.Module):
    """Unit vectors at strides 32, 16, 8 and 4 of the network's input; a `FeatureExtractor`."""

    def __init__(self, config: EmbeddingConfig = EmbeddingConfig()) -> None:
        super().__init__()
        self.config = config
        self.device = Device(torch.device("cpu"), None)
        """Device and precision of `embed`, see `use_device`."""
        self.pyramid = UNet(
            spatial_dims=config.spatial_dims, channels=config.channels, finest_stride=config.finest_stride
        )
        convolution = {2: nn.Conv2d, 3: nn.Conv3d}[config.spatial_dims]
        self.heads = nn.ModuleList([convolution(c, config.size, 1) for c in self.pyramid.out_channels])

    @property
    def input_strides(self) -> tuple[int, ...]:
        """Strides of the maps in pixels of the network's input, coarsest first."""
        return self.pyramid.strides

    @property
    def strides(self) -> tuple[int, ...]:
        """Strides of the maps in pixels of the working grid, coarsest first."""
        return tuple(stride * self.config.downsampling for stride in self.input_strides)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of architecture and weights."""
        total = hashlib.sha256(json.dumps(self.config.to_json()).encode())
        for name, value in sorted(self.state_dict().items()):
            total.update(name.encode())
            total.update(value.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
        return total.hexdigest()

    def use_device(self, device: Device) -> Embedding:
        """Move the weights to a device and compute there, in its precision, from now on; returns itself."""
        self.device = device
        return self.to(device.torch_device)

    def embed(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Maps of unit vectors (float32) of working images (batch, 1, *working grid), coarsest first.

        Leaves the network in evaluation mode.
        """
        return self.embed_input(downsample(images, self.config.downsampling))

    @torch.no_grad()
    def embed_input(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Like `embed`, of images that are downsampled already."""
        self.eval()
        with self.device.autocast():
            maps = self(images)
        return [F.normalize(m.float(), dim=1) for m in maps]

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Maps, not normalised, of downsampled images (batch, 1, *shape) with values 0..1."""
        images = (images - 0.4).contiguous(memory_format=fast_memory_format(self.config.spatial_dims))
        maps = self.pyramid(images)
        return [head(x) for head, x in zip(self.heads, maps, strict=True)]
