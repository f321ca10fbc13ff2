"""U-Net that all networks share, in 2-D and 3-D.

Layout of U-Net (Ronneberger et al., MICCAI 2015) with a strided first convolution: medical radiographs are smooth at
the pixel scale, and full-resolution layers would cost more than all others together.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

# Powers of two: oneDNN has fast bfloat16 kernels for these, odd multiples of 32 are several times slower.
CHANNELS = (32, 32, 64, 128, 256)
COARSEST_STRIDE = 32


def _block(
    spatial_dims: int, inputs: int, outputs: int, *, stride: int = 1, kernel: int = 3
) -> nn.Sequential:
    convolution = {2: nn.Conv2d, 3: nn.Conv3d}[spatial_dims]
    norm = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[spatial_dims]
    return nn.Sequential(
        convolution(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        norm(outputs),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    """Feature maps of an image at strides 32, 16, 8, ... down to `finest_stride`.

    Parameters
    ----------
    spatial_dims : {2, 3}
    in_channels : int
    channels : sequence of 5 int
        Channels at strides 2, 4, 8, 16 and 32.
    finest_stride : {2, 4, 8}
        Stride of the last map.

    Raises
    ------
    ValueError
        Not five positive numbers of channels, or another stride.
    """

    def __init__(
        self,
        *,
        spatial_dims: int = 2,
        in_channels: int = 1,
        channels: Sequence[int] = CHANNELS,
        finest_stride: int = 4,
    ) -> None:
        super().__init__()
        c, dims = tuple(channels), spatial_dims
        if len(c) != 5 or min(c) < 1 or finest_stride not in (2, 4, 8):
            raise ValueError(f"a pyramid of {c} channels down to stride {finest_stride} cannot be built")
        self.spatial_dims, self.finest_stride = spatial_dims, finest_stride
        stem = _block(dims, in_channels, c[0], stride=2, kernel=5)
        deeper = [
            nn.Sequential(_block(dims, c[i - 1], c[i], stride=2), _block(dims, c[i], c[i]))
            for i in range(1, 5)
        ]
        self.encoder = nn.ModuleList([stem, *deeper])
        self.context = nn.Sequential(_block(dims, c[4], c[4]), _block(dims, c[4], c[4]))
        levels = range(3, finest_stride.bit_length() - 3, -1)
        self.decoder = nn.ModuleList([_block(dims, c[i + 1] + c[i], c[i]) for i in levels])
        self.out_channels = (c[4], *[c[i] for i in levels])
        self.strides = tuple(COARSEST_STRIDE >> i for i in range(len(self.out_channels)))

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Maps from the coarsest to the finest; sides of `images` are multiples of 32."""
        skips = []
        x = images
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        x = self.context(x)
        maps = [x]
        for stage, skip in zip(self.decoder, skips[-2::-1], strict=False):
            x = stage(torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), skip], 1))
            maps.append(x)
        return maps


def fast_memory_format(spatial_dims: int) -> torch.memory_format:
    """Channels-last layout, fastest for convolutions on CPU and GPU."""
    return torch.channels_last if spatial_dims == 2 else torch.channels_last_3d


def place_network(network: nn.Module, device: torch.device) -> None:
    """Move a network to a device in the layout in which its convolutions are fastest there.

    A network whose weights lie otherwise than its images copies them at every convolution: a detection takes half as
    long again.
    """
    axes = max((weights.ndim - 2 for weights in network.parameters()), default=0)
    memory_format = fast_memory_format(axes) if axes in (2, 3) else torch.preserve_format
    network.to(device, memory_format=memory_format)  # type: ignore[call-overload] # not in the stubs of torch
