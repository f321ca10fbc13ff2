"""Values of images and feature maps at continuous positions.

Positions are index coordinates of the working grid in array axis order ([y, x] or [z, y, x]), pixel centres at
integers. A feature map of stride s has the cell centres (s - 1) / 2 + s * i.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F


def cell_coordinates(points: torch.Tensor, stride: int) -> torch.Tensor:
    """Working-grid positions as continuous cell indices of a map of that stride."""
    return (points + 0.5) / stride - 0.5


def canvas_coordinates(cells: torch.Tensor, stride: int) -> torch.Tensor:
    """Continuous cell indices of a map of that stride as working-grid positions."""
    return (cells + 0.5) * stride - 0.5


def sample(
    maps: torch.Tensor,
    positions: torch.Tensor,
    *,
    mode: str = "bilinear",
    scale: tuple[float, ...] | None = None,
) -> torch.Tensor:
    """Interpolated values of `maps` at `positions`, which are cell indices of these maps; the edge is replicated.

    Beyond an edge, and on it, the gradient of the positions along that axis is zero.

    Parameters
    ----------
    maps : (batch, channels, *shape)
    positions : (batch, *anything, d)
        d = number of spatial axes. Finite: the value at NaN is undefined.
    mode : {'bilinear', 'nearest'}
    scale : tuple of d float, optional
        Cells per unit of `positions` along each axis, where these are not cell indices.

    Returns
    -------
    (batch, channels, *anything)
    """
    dims = maps.ndim - 2
    where = (positions.dtype, positions.device)
    # The centres of the first and the last cell are -1 and 1; an axis of one cell has all positions in its centre.
    last = tuple(n - 1 for n in maps.shape[2:])
    scales = scale or (1.0,) * dims
    factors = (_factor(s, n, positions.dtype) for s, n in zip(scales, last, strict=True))
    start = constant(tuple(-1.0 if n else 0.0 for n in last), *where)
    # grid_sample wants x first
    grid = torch.addcmul(start, positions, constant(tuple(factors), *where)).flip(-1)
    # Replicates the edge: grid_sample's own "border" padding is not available on all devices. The largest number
    # below 1 becomes the last centre, too, but with the gradient of a position between it and the zeros beyond.
    grid = F.hardtanh(grid, -1.0, 1.0 - torch.finfo(grid.dtype).eps / 2)
    anything = positions.shape[1:-1]
    if len(anything) != dims:  # a list of points becomes a grid of one column
        grid = grid.reshape(len(maps), -1, *[1] * (dims - 1), dims)
    values = F.grid_sample(maps, grid, mode=mode, padding_mode="zeros", align_corners=True)
    return values.reshape(*values.shape[:2], *anything)


@functools.lru_cache(maxsize=1024)
def _factor(scale: float, last: int, dtype: torch.dtype) -> float:
    """2 * scale / last, rounded up in `dtype`, so that the last centre is mapped to 1 and not just below."""
    if last == 0:
        return 0.0
    exact = 2 * scale / last
    rounded = torch.tensor(exact, dtype=dtype)
    if rounded.double().item() < exact:
        rounded = torch.nextafter(rounded, torch.full_like(rounded, float("inf")))
    return rounded.item()


def sample_features(features: torch.Tensor, points: torch.Tensor, stride: int) -> torch.Tensor:
    """Feature vectors at working-grid positions: (batch, channels, *shape), (batch, k, d) -> (batch, k, channels)."""
    return sample(features, cell_coordinates(points, stride)).transpose(1, 2)


@functools.lru_cache(maxsize=1024)
def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Cached constant tensor on a device, not to be changed; sending it in every step would make a card wait."""
    with torch.inference_mode(False):  # the cached tensor outlives the mode of the caller
        return torch.tensor(values, dtype=dtype, device=device)


def pixel_positions(shape: tuple[int, ...], *, device: torch.device | None = None) -> torch.Tensor:
    """(*shape, d) positions of all pixels of an image."""
    axes = [torch.arange(n, dtype=torch.float32, device=device) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
