"""Trial of the operations that networks and registration need on a device.

PyTorch lacks some operations on Apple graphics chips, more of them in older versions, and tells so only when one is
called: without a trial a training would end in its first step.
"""

from __future__ import annotations

import functools
import itertools

import torch
import torch.nn.functional as F

from napari_landmark.learning.interpolation import pixel_positions, sample
from napari_landmark.learning.unet import UNet, place_network

_SIDE = 64  # the coarsest maps are of 2 cells an axis


@functools.lru_cache(maxsize=8)
def can_train(device: torch.device) -> bool:
    """Whether a step of training runs on a device, in 2-D and 3-D; tried once in a process."""
    try:
        with torch.random.fork_rng(devices=[]):  # the initial weights must not change the caller's chance
            for dims in (2, 3):
                _training_step(dims, device)
    except (NotImplementedError, RuntimeError, TypeError):  # TypeError: a data type that the device lacks
        return False
    return True


def _training_step(dims: int, device: torch.device) -> None:
    """Run forward and backward passes of a tiny network and of the operations around it."""
    shape = (_SIDE,) * dims
    with torch.autocast(device.type, enabled=False):
        pass
    network = UNet(spatial_dims=dims, channels=(2,) * 5, finest_stride=4)
    place_network(network, device)
    images = torch.linspace(0, 1, _SIDE, device=device).expand(2, 1, *shape)
    features = network(images)[-1]
    displacement = F.interpolate(features, size=shape, mode={2: "bilinear", 3: "trilinear"}[dims])
    positions = pixel_positions(shape, device=device) + displacement[:, :1].movedim(1, -1)
    warped = sample(images * displacement[:, :1], positions)
    loss = _similarity(warped, dims) + _matching(features) + _smoothness(displacement, dims)
    loss = loss + sample(images, positions.detach(), mode="nearest").mean() + _affine(features, dims)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0, foreach=True)
    torch.isfinite(loss).item()  # waits for the device: its errors may come late


def _similarity(warped: torch.Tensor, dims: int) -> torch.Tensor:
    pool = {2: F.avg_pool2d, 3: F.avg_pool3d}[dims]
    means = pool(warped, 3, stride=1, padding=1, count_include_pad=False)
    blocks = pool(F.pad(means, [1] * 2 * dims, mode="replicate"), 4, ceil_mode=True)
    return F.huber_loss(blocks, torch.zeros_like(blocks))


def _matching(features: torch.Tensor) -> torch.Tensor:
    vectors = F.normalize(features.flatten(2).transpose(1, 2), dim=-1)
    similarity = torch.baddbmm(vectors.new_zeros(1), vectors, vectors.transpose(1, 2))
    best = similarity.argmax(-1, keepdim=True)
    return similarity.gather(-1, best).mean() - F.log_softmax(similarity, -1).mean()


def _smoothness(displacement: torch.Tensor, dims: int) -> torch.Tensor:
    pairs = itertools.combinations_with_replacement(range(2, dims + 2), 2)
    return torch.stack([displacement.diff(dim=i).diff(dim=j).square().mean() for i, j in pairs]).sum()


def _affine(features: torch.Tensor, dims: int) -> torch.Tensor:
    pooled = features.flatten(2)[:, :1, :dims].expand(-1, dims, -1)
    matrix = torch.eye(dims, device=features.device) + 0.01 * pooled
    left, _, right = torch.linalg.svd(matrix.detach())
    inverse = torch.linalg.solve(matrix, left @ right)
    product = torch.einsum("bij,bjk->bik", inverse, torch.linalg.matrix_exp(matrix))
    return product.mean() + torch.linalg.det(matrix).mean()
