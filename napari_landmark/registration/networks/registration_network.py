"""The network that registers a pair: an affine map first, then a smooth invertible displacement.

The affine map starts from the centroids of the regions, where there are any. The displacement follows VoxelMorph
(Balakrishnan et al., IEEE TMI 2019; Dalca et al., MedIA 2019): a stationary velocity, integrated. The network also
sees where the segmenter finds the regions in both images, so that few label maps are enough to tell it which borders
belong together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

from napari_landmark.learning.unet import UNet, fast_memory_format
from napari_landmark.registration.pairwise.affine_from_points import region_affine
from napari_landmark.registration.transform.fields_torch import (
    affine_displacement,
    centred_positions,
    follow_affine,
    integrate,
    resize_field,
    warp,
)

_RIDGE = 0.02  # pulls the affine map towards the identity where the weights say nothing


@dataclass(frozen=True)
class NetworkConfig:
    """Architecture of a registration network.

    Parameters
    ----------
    spatial_dims : {2, 3}
    regions : int
        Labels, without the background, that the segmenter supplies; 0 without segmentation assistance.
    diffeomorphic : bool
        Integrate the output as a stationary velocity; otherwise it is the displacement itself.
    """

    spatial_dims: int = 2
    regions: int = 0
    diffeomorphic: bool = True
    channels: tuple[int, ...] = (32, 32, 64, 128, 128)

    def to_json(self) -> dict:
        """Plain values for the model's sidecar."""
        return asdict(self)


@dataclass(frozen=True)
class Alignment:
    """What the network says about a batch of pairs, in pixels of its grid.

    Parameters
    ----------
    matrix, shift : (batch, d, d) and (batch, d) tensors
        The affine map about the grid's centre.
    velocity : (batch, d, *coarse) tensor
        Stationary velocity (or displacement) in pixels of its own grid.
    displacement : (batch, d, *shape) tensor
        Of the whole map, affine and smooth: phi(x) = x + displacement(x).
    smooth : (batch, d, *shape) tensor
        Of the smooth part alone, which is followed by the affine map.
    """

    matrix: torch.Tensor
    shift: torch.Tensor
    velocity: torch.Tensor
    displacement: torch.Tensor
    smooth: torch.Tensor


class RegistrationNetwork(nn.Module):
    """Affine map and displacement field from a fixed and a moving image, in 2-D and 3-D."""

    def __init__(self, config: NetworkConfig = NetworkConfig()) -> None:
        super().__init__()
        self.config = config
        dims, inputs = config.spatial_dims, 2 + 2 * config.regions
        convolution = {2: nn.Conv2d, 3: nn.Conv3d}[dims]
        self.coarse = UNet(spatial_dims=dims, in_channels=inputs, channels=config.channels, finest_stride=8)
        self.affine_head = convolution(self.coarse.out_channels[-1], dims + 1, 1)
        self.fine = UNet(spatial_dims=dims, in_channels=inputs, channels=config.channels, finest_stride=2)
        self.velocity_head = convolution(self.fine.out_channels[-1], dims, 3, padding=1)
        for head in (self.affine_head, self.velocity_head):  # start from the identity
            nn.init.normal_(head.weight, std=1e-4)
            nn.init.zeros_(head.bias)

    def forward(self, fixed: torch.Tensor, moving: torch.Tensor) -> Alignment:
        """Align images.

        Parameters
        ----------
        fixed, moving : (batch, 1 + regions, *shape) tensors
            Image (0..1) and the regions' probabilities; sides are multiples of 32.
        """
        shape, kind = tuple(fixed.shape[2:]), fixed.device.type
        with torch.autocast(kind, enabled=False):  # places need all digits
            fixed, moving = fixed.float(), moving.float()
            start = region_affine(fixed[:, 1:].detach(), moving[:, 1:].detach())
            moved = warp(moving, affine_displacement(*start, shape)) if self.config.regions else moving
        said = self.affine_head(self.coarse(self._input(fixed, moved))[-1])
        with torch.autocast(kind, enabled=False):
            matrix, shift = follow(self._affine(said.float()), start)
            moved = warp(moving, affine_displacement(matrix, shift, shape))
        velocity = self.velocity_head(self.fine(self._input(fixed, moved))[-1])
        with torch.autocast(kind, enabled=False):
            return finish_alignment(
                matrix, shift, velocity.float(), shape, diffeomorphic=self.config.diffeomorphic
            )

    def _affine(self, said: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        stride, dims = self.coarse.strides[-1], self.config.spatial_dims
        return fit_affine(said[:, :dims] * stride, said[:, dims], stride)

    def _input(self, fixed: torch.Tensor, moving: torch.Tensor) -> torch.Tensor:
        both = torch.cat([fixed, moving], 1) - 0.4
        return both.contiguous(memory_format=fast_memory_format(self.config.spatial_dims))


def follow(
    first: tuple[torch.Tensor, torch.Tensor], second: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The affine map of `first`, followed by that of `second`; both are a matrix and a shift about the centre."""
    matrix = second[0] @ first[0]
    return matrix, torch.einsum("bij,bj->bi", second[0], first[1]) + second[1]


def finish_alignment(
    matrix: torch.Tensor,
    shift: torch.Tensor,
    velocity: torch.Tensor,
    shape: Sequence[int],
    *,
    diffeomorphic: bool = True,
) -> Alignment:
    """The whole map from its parts; the velocity may live on a coarser grid."""
    smooth = integrate(velocity) if diffeomorphic else velocity
    smooth = resize_field(smooth, tuple(shape))
    return Alignment(matrix, shift, velocity, follow_affine(matrix, shift, smooth), smooth)


def fit_affine(
    displacement: torch.Tensor, weight: torch.Tensor, stride: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The affine map that explains a coarse displacement best, by weighted least squares.

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
