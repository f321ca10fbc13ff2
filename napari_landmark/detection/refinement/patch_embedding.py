"""Patch embedding for sub-pixel refinement of a coarse match.

The embedding of whole images recognises a position by its wide surroundings, so its matches are right within some
millimetres, but off the edge or the tip that was annotated. This network is given a patch, shifted at random, and has
to go by the structure itself.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from napari_landmark.detection.embedding.correspondence_loss import TEMPERATURE
from napari_landmark.detection.embedding.feature_matching import sub_cell_peak
from napari_landmark.learning.device import Device
from napari_landmark.learning.interpolation import canvas_coordinates, pixel_positions
from napari_landmark.learning.unet import COARSEST_STRIDE, UNet, fast_memory_format

_LARGEST_WINDOW = 64  # pixels; in larger patches matches go by the surroundings again
PRIOR_WEIGHT = TEMPERATURE / 2
"""Cosine that makes up for a distance of sqrt(2) standard deviations from the expected position: half the temperature
at which the cosines of both levels are trained."""


@dataclass(frozen=True)
class PatchEmbeddingConfig:
    """Architecture of a patch embedding.

    Parameters
    ----------
    spatial_dims : {2, 3}
    window : int
        Side of the patches, in pixels of the working grid; a multiple of 32.
    size : int
        Length of the embedding vectors.
    channels : tuple of 5 int
        Of the U-Net.
    """

    spatial_dims: int = 2
    window: int = 64
    size: int = 64
    channels: tuple[int, ...] = (32, 32, 64, 64, 64)

    @classmethod
    def for_canvas(cls, canvas: tuple[int, ...]) -> PatchEmbeddingConfig:
        """Configuration with the largest patches that fit into a working grid of that shape."""
        largest = min(_LARGEST_WINDOW, *canvas)
        return cls(len(canvas), max(COARSEST_STRIDE, largest // COARSEST_STRIDE * COARSEST_STRIDE))

    def to_json(self) -> dict[str, Any]:
        """Plain values for the model's sidecar."""
        return asdict(self)


class PatchEmbedding(nn.Module):
    """Maps of unit vectors at strides 4 and 2 of a patch."""

    strides = (4, 2)

    def __init__(self, config: PatchEmbeddingConfig = PatchEmbeddingConfig()) -> None:
        super().__init__()
        self.config = config
        self.pyramid = UNet(spatial_dims=config.spatial_dims, channels=config.channels, finest_stride=2)
        convolution = {2: nn.Conv2d, 3: nn.Conv3d}[config.spatial_dims]
        self.heads = nn.ModuleList([convolution(c, config.size, 1) for c in self.pyramid.out_channels[-2:]])

    def forward(self, patches: torch.Tensor) -> list[torch.Tensor]:
        """Maps, not normalised, of patches (batch, 1, side, ...) with values 0..1, coarsest first."""
        patches = (patches - 0.4).contiguous(memory_format=fast_memory_format(self.config.spatial_dims))
        return [head(x) for head, x in zip(self.heads, self.pyramid(patches)[-2:], strict=True)]

    @torch.no_grad()
    def embed(self, patches: torch.Tensor, device: Device) -> list[torch.Tensor]:
        """Maps of unit vectors (float32), coarsest first; leaves the network in evaluation mode."""
        self.eval()
        with device.autocast():
            maps = self(patches)
        return [F.normalize(m.float(), dim=1) for m in maps]


def patch_similarity(
    vectors: list[torch.Tensor],
    maps: list[torch.Tensor],
    expected: torch.Tensor,
    prior: float,
    *,
    corner: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Match vectors (batch, k, channels per level) in the maps of patches near expected positions.

    Parameters
    ----------
    expected : (batch, k, d)
        In pixels of the patch.
    prior : float
        Standard deviation of the true position around the expected one, in pixels.
    corner : float
        Patch coordinate, along each axis, of the maps' first cell edge (they may be a central part).

    Returns
    -------
    positions : (batch, k, d)
        In pixels of the patch, to a fraction of a cell.
    similarity : (batch, k)
        Mean cosine of both levels there.
    """
    shape = maps[-1].shape[2:]
    mode = "bilinear" if len(shape) == 2 else "trilinear"
    coarse, fine = ((v @ m.flatten(2)).unflatten(-1, m.shape[2:]) for v, m in zip(vectors, maps, strict=True))
    cosine = (F.interpolate(coarse, size=shape, mode=mode, align_corners=False) + fine) / 2
    stride = PatchEmbedding.strides[-1]
    centres = canvas_coordinates(pixel_positions(tuple(shape), device=cosine.device), stride) + corner
    squared = (centres - expected.unflatten(1, (-1, *[1] * len(shape)))).square().sum(-1)
    cells, height = sub_cell_peak(cosine - PRIOR_WEIGHT * squared / (2 * prior**2))
    positions = canvas_coordinates(cells, stride) + corner
    penalty = PRIOR_WEIGHT * (positions - expected).square().sum(-1) / (2 * prior**2)
    return positions, height + penalty
