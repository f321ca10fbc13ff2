"""Displacement fields as tensors: warping, composition, integration, and the determinant of the Jacobian.

All values are in pixels of one grid, in array axis order ([y, x] or [z, y, x]). A field `u` of shape
(batch, d, *shape) is the pull-back phi(x) = x + u(x): the position in the moving image of a point of the fixed image.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from napari_landmark.learning.interpolation import pixel_positions, sample

INTEGRATION_STEPS = 6


def warp(images: torch.Tensor, displacement: torch.Tensor, *, mode: str = "bilinear") -> torch.Tensor:
    """Resample images (batch, channels, *shape) through phi to the grid of the field; the border is repeated."""
    return sample(images, positions(displacement), mode=mode)


def positions(displacement: torch.Tensor) -> torch.Tensor:
    """(batch, *shape, d) position of every pixel in the moving image."""
    grid = pixel_positions(tuple(displacement.shape[2:]), device=displacement.device)
    return grid + displacement.movedim(1, -1)


def compose(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Compose two fields on one grid: the displacement of phi_second(phi_first(x))."""
    return first + warp(second, first)


def affine_displacement(matrix: torch.Tensor, shift: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Displacement (batch, d, *shape) of phi(x) = c + matrix (x - c) + shift with c the centre of the grid.

    Parameters
    ----------
    matrix : (batch, d, d)
    shift : (batch, d)
    shape : tuple of int
    """
    grid = centred_positions(shape, device=matrix.device)
    change = matrix - torch.eye(len(shape), device=matrix.device)
    moved = torch.einsum("bij,...j->bi...", change, grid)
    return moved + shift.view(*shift.shape, *[1] * len(shape))


def compose_affine(
    first: tuple[torch.Tensor, torch.Tensor], second: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compose two affine maps second(first(x)), each a matrix (batch, d, d) and a shift (batch, d) about the centre."""
    matrix = second[0] @ first[0]
    return matrix, torch.einsum("bij,bj->bi", second[0], first[1]) + second[1]


def affine_after_field(displacement: torch.Tensor, matrix: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Compose a field and the affine map A of `affine_displacement`: the displacement of A(x + u(x))."""
    moved = torch.einsum("bij,bj...->bi...", matrix, displacement)
    return affine_displacement(matrix, shift, tuple(displacement.shape[2:])) + moved


def centred_positions(shape: tuple[int, ...], *, device: torch.device | None = None) -> torch.Tensor:
    """(*shape, d) positions of all pixels relative to the centre of the grid."""
    middle = torch.tensor([(n - 1) / 2 for n in shape], device=device)
    return pixel_positions(shape, device=device) - middle


def integrate(velocity: torch.Tensor, steps: int = INTEGRATION_STEPS) -> torch.Tensor:
    """Integrate a stationary velocity to the displacement at time one, by scaling and squaring.

    Arsigny, Commowick, Pennec, Ayache: "A log-Euclidean framework for statistics on diffeomorphisms", MICCAI 2006.
    The negative velocity gives the inverse.
    """
    displacement = velocity / 2**steps
    for _ in range(steps):
        displacement = compose(displacement, displacement)
    return displacement


def resize_field(displacement: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Resample a field to a finer or coarser grid over the same area, in pixels of the new grid."""
    old = displacement.shape[2:]
    if tuple(old) == tuple(shape):
        return displacement
    mode = "bilinear" if displacement.ndim == 4 else "trilinear"
    resized = F.interpolate(displacement, size=tuple(shape), mode=mode, align_corners=False)
    factors = torch.tensor([n / o for n, o in zip(shape, old, strict=True)], device=displacement.device)
    return resized * factors.view(1, -1, *[1] * len(shape))


def jacobian_determinant(displacement: torch.Tensor) -> torch.Tensor:
    """(batch, *(shape - 1)) determinant of the Jacobian of phi in each cell, by forward differences."""
    dims = displacement.ndim - 2
    columns = []
    for axis in range(dims):
        change = displacement.diff(dim=axis + 2)
        for other in range(dims):
            if other != axis:
                change = change.narrow(other + 2, 0, change.shape[other + 2] - 1)
        columns.append(change)
    matrix = torch.stack(columns, 2).movedim((1, 2), (-2, -1))
    matrix = matrix + torch.eye(dims, device=displacement.device)
    if dims == 2:
        return matrix[..., 0, 0] * matrix[..., 1, 1] - matrix[..., 0, 1] * matrix[..., 1, 0]
    return (matrix[..., 0] * torch.linalg.cross(matrix[..., 1], matrix[..., 2], dim=-1)).sum(-1)
