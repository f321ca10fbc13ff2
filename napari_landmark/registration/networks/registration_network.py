"""Registration network: an affine map, followed by a smooth invertible displacement.

The affine map is initialized from the centroids of the regions, if there are any. The displacement follows
VoxelMorph (Balakrishnan et al., IEEE TMI 2019; Dalca et al., MedIA 2019): an integrated stationary velocity. The
probabilities of the regions from the segmenter are further inputs, so that few label maps suffice to tell which
borders correspond.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

from napari_landmark.learning.unet import UNet, fast_memory_format
from napari_landmark.registration.transform.affine_from_points import region_affine
from napari_landmark.registration.transform.fields_torch import (
    affine_after_field,
    affine_displacement,
    centred_positions,
    compose_affine,
    integrate,
    resize_field,
    warp,
)

_RIDGE = 0.02  # regularizes the affine map towards the identity where the weights are small


@dataclass(frozen=True)
class NetworkConfig:
    """Architecture of a registration network.

    Parameters
    ----------
    spatial_dims : {2, 3}
    regions : int
        Labels, without the background, from the segmenter; 0 without one.
    diffeomorphic : bool
        Integrate the output as a stationary velocity; otherwise it is the displacement itself.
    """

    spatial_dims: int = 2
    regions: int = 0
    diffeomorphic: bool = True
    channels: tuple[int, ...] = (32, 32, 64, 128, 128)

    def to_json(self) -> dict:
        """Plain values for the description of the model."""
        return asdict(self)


@dataclass(frozen=True)
class Alignment:
    """Predicted map of a batch of pairs, in pixels of the registration grid.

    Parameters
    ----------
    matrix, shift : (batch, d, d) and (batch, d) tensors
        Affine map about the centre of the grid.
    velocity : (batch, d, *coarse) tensor
        Stationary velocity (or displacement) in pixels of its own grid.
    displacement : (batch, d, *shape) tensor
        Of the whole map, smooth part and affine map: phi(x) = x + displacement(x).
    smooth : (batch, d, *shape) tensor
        Displacement of the smooth part, which is applied before the affine map.
    coarse : (batch, d, *coarse) tensor
        The same on the grid of the velocity, in pixels of that grid.
    """

    matrix: torch.Tensor
    shift: torch.Tensor
    velocity: torch.Tensor
    displacement: torch.Tensor
    smooth: torch.Tensor
    coarse: torch.Tensor


class RegistrationNetwork(nn.Module):
    """Network from a fixed and a moving image to an affine map and a displacement field, in 2-D and 3-D."""

    def __init__(self, config: NetworkConfig = NetworkConfig()) -> None:
        super().__init__()
        self.config = config
        dims, inputs = config.spatial_dims, 2 + 2 * config.regions
        convolution = {2: nn.Conv2d, 3: nn.Conv3d}[dims]
        self.coarse = UNet(spatial_dims=dims, in_channels=inputs, channels=config.channels, finest_stride=8)
        self.affine_head = convolution(self.coarse.out_channels[-1], dims + 1, 1)
        self.fine = UNet(spatial_dims=dims, in_channels=inputs, channels=config.channels, finest_stride=2)
        self.velocity_head = convolution(self.fine.out_channels[-1], dims, 3, padding=1)
        for head in (self.affine_head, self.velocity_head):  # initially the identity
            nn.init.normal_(head.weight, std=1e-4)
            if head.bias is not None:
                nn.init.zeros_(head.bias)

    def forward(self, fixed: torch.Tensor, moving: torch.Tensor) -> Alignment:
        """Align a batch of pairs.

        Parameters
        ----------
        fixed, moving : (batch, 1 + regions, *shape) tensors
            Image (0..1) and probabilities of the regions; sides are multiples of 32.
        """
        shape, kind = tuple(fixed.shape[2:]), fixed.device.type
        with torch.autocast(kind, enabled=False):  # positions need full precision
            fixed, moving = fixed.float(), moving.float()
            initial = region_affine(fixed[:, 1:].detach(), moving[:, 1:].detach())
            moved = warp(moving, affine_displacement(*initial, shape)) if self.config.regions else moving
        cells = self.affine_head(self.coarse(self._input(fixed, moved))[-1])
        with torch.autocast(kind, enabled=False):
            matrix, shift = compose_affine(self._affine(cells.float()), initial)
            moved = warp(moving, affine_displacement(matrix, shift, shape))
        velocity = self.velocity_head(self.fine(self._input(fixed, moved))[-1])
        with torch.autocast(kind, enabled=False):
            return compose_alignment(
                matrix, shift, velocity.float(), shape, diffeomorphic=self.config.diffeomorphic
            )

    def _affine(self, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        stride, dims = self.coarse.strides[-1], self.config.spatial_dims
        return fit_affine(cells[:, :dims] * stride, cells[:, dims], stride)

    def _input(self, fixed: torch.Tensor, moving: torch.Tensor) -> torch.Tensor:
        both = torch.cat([fixed, moving], 1) - 0.4
        return both.contiguous(memory_format=fast_memory_format(self.config.spatial_dims))


def compose_alignment(
    matrix: torch.Tensor,
    shift: torch.Tensor,
    velocity: torch.Tensor,
    shape: Sequence[int],
    *,
    diffeomorphic: bool = True,
) -> Alignment:
    """Compose the whole map from affine map and velocity, which may be given on a coarser grid."""
    coarse = integrate(velocity) if diffeomorphic else velocity
    smooth = resize_field(coarse, tuple(shape))
    return Alignment(matrix, shift, velocity, affine_after_field(smooth, matrix, shift), smooth, coarse)


def fit_affine(
    displacement: torch.Tensor, weight: torch.Tensor, stride: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit an affine map to a coarse displacement by weighted least squares.

    Parameters
    ----------
    displacement : (batch, d, *cells)
        In pixels of the fine grid.
    weight : (batch, *cells)
        Logarithm of the weight of each cell.
    stride : int
        Pixels per cell.

    Returns
    -------
    matrix, shift : (batch, d, d) and (batch, d)
    """
    cells = tuple(displacement.shape[2:])
    dims, size = len(cells), max(cells) * stride / 2
    points = centred_positions(cells, device=displacement.device).reshape(-1, dims) * (stride / size)
    basis = torch.cat([points, torch.ones_like(points[:, :1])], 1)
    share = F.softmax(weight.flatten(1), 1)
    normal = torch.einsum("bn,ni,nj->bij", share, basis, basis)
    normal = normal + _RIDGE * torch.eye(dims + 1, device=displacement.device)
    right = torch.einsum("bn,ni,bdn->bid", share, basis, displacement.flatten(2) / size)
    solved = torch.linalg.solve(normal, right)  # (batch, d + 1, d)
    matrix = torch.eye(dims, device=displacement.device) + solved[:, :dims].transpose(1, 2)
    return matrix, solved[:, dims] * size
