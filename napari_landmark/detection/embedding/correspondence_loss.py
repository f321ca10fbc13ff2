"""Loss of an embedding for points that show the same anatomy in two views."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from napari_landmark.learning.interpolation import cell_coordinates, constant, sample_features

TEMPERATURE = 0.07
# Points compared per image at strides 32, 16, 8, 4, 2. On fine maps every point meets thousands of cells, and fewer
# points measured as good for a tenth of the time.
POINTS_PER_LEVEL = (512, 512, 192, 64, 32)


def correspondence_loss(
    query_maps: Sequence[torch.Tensor],
    key_maps: Sequence[torch.Tensor],
    strides: Sequence[int],
    query_points: torch.Tensor,
    key_points: torch.Tensor,
    valid: torch.Tensor,
) -> torch.Tensor:
    """Cross-entropy between the true cell and the softmax of a query's similarities, summed over the levels.

    The dense form of CC2D's comparison (Yao et al., MICCAI 2021): cosine similarity of the query's vector with every
    cell of the key image's map, softmax with `TEMPERATURE`, all cells of the map as negatives. The true position is
    between cells, so the target is shared bilinearly by its neighbours, which makes sub-cell positions learnable.

    Parameters
    ----------
    query_maps, key_maps : sequence of (batch, channels, *shape)
        Embeddings, not normalised, coarsest first.
    strides : sequence of int
    query_points, key_points : (batch, k, d)
        The same anatomy in both views, in pixels of the network's input.
    valid : (batch, k) bool or float
        Weight of each pair of points.
    """
    loss = query_maps[0].new_zeros(())
    for queries, keys, stride, count in zip(query_maps, key_maps, strides, POINTS_PER_LEVEL, strict=False):
        weights = valid[:, :count].float()
        vectors = F.normalize(sample_features(queries.float(), query_points[:, :count], stride), dim=-1)
        similarity = _cosine(vectors, keys.flatten(2)) / TEMPERATURE
        cells = cell_coordinates(key_points[:, :count], stride)
        target = _interpolated(similarity, cells, keys.shape[2:])
        loss = loss + ((similarity.logsumexp(-1) - target) * weights).sum() / weights.sum().clamp(min=1)
    return loss


def _cosine(vectors: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    # Dividing the products by the keys' lengths costs a fraction of normalising whole maps and its backward pass.
    lengths = keys.float().square().sum(1).add(1e-6).rsqrt()
    return (vectors.to(keys.dtype) @ keys).float() * lengths[:, None]


def _interpolated(similarity: torch.Tensor, cells: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Multilinear interpolation of (batch, k, n cells) at the continuous cell (batch, k, d) of each query."""
    where = (cells.dtype, cells.device)
    steps = constant(tuple(itertools.chain(*itertools.product((0, 1), repeat=len(shape)))), *where)
    steps = steps.view(-1, len(shape))
    last = constant(tuple(n - 1 for n in shape), *where)
    strides = constant(
        tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape))), torch.long, cells.device
    )
    low = cells.floor()[..., None, :]
    weights = (1 - (low + steps - cells[..., None, :]).abs()).prod(-1)
    corners = torch.minimum((low + steps).clamp(min=0), last).long()
    indices = (corners * strides).sum(-1)
    # One gather for all corners: the backward pass of each fills a tensor as large as all similarities.
    return (similarity.gather(-1, indices) * weights).sum(-1)
