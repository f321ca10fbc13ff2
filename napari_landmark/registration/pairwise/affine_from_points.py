"""The affine map that matched points tell, in closed form: centroids of regions, and landmarks.

Where a few regions are known in both images, their centroids say how one image is turned, moved and scaled against the
other, without any search and whatever the distance.
"""

from __future__ import annotations

import torch

from napari_landmark.registration.transform.fields_torch import centred_positions

_LEAST_SIZE = 4.0  # pixels; what is smaller may be noise
_RIDGE = 1e-3  # of half the grid; where the points say nothing, the map is the identity


def affine_from_points(
    here: torch.Tensor, there: torch.Tensor, weight: torch.Tensor, *, half: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted least squares, held back a little towards the best similarity transform (Umeyama, 1991).

    So what the points leave open, such as the direction across a line of points, is turned with them and never
    mirrored; the similarity transform itself is held back towards the identity.

    Parameters
    ----------
    here, there : (batch, points, d) tensors
        Pixels from the centre of the grid, in the fixed and in the moving image.
    weight : (batch, points) tensor
        0..1; 0 for a point that is unknown.
    half : float
        Half of the grid's longest side, in pixels.

    Returns
    -------
    matrix, shift : (batch, d, d) and (batch, d) tensors
        phi(x) = c + matrix (x - c) + shift, c being the centre of the grid: the identity without points, with one
        point a shift.
    """
    dims = here.shape[2]
    share = (weight / max(1, weight.shape[1]))[..., None]
    sure = share.sum(1).clamp(min=1e-6)
    centre, goal = (share * here).sum(1) / sure / half, (share * there).sum(1) / sure / half
    arms, ends = here / half - centre[:, None], there / half - goal[:, None]
    unit = torch.eye(dims, device=here.device)
    covariance = torch.einsum("bpi,bpj->bij", share * ends, arms)
    turn = _rotation(covariance + _RIDGE * unit)
    growth = ((share * ends.square()).sum((1, 2)) + _RIDGE) / ((share * arms.square()).sum((1, 2)) + _RIDGE)
    similarity = turn * growth.sqrt()[:, None, None]
    normal = torch.einsum("bpi,bpj->bij", share * arms, arms) + _RIDGE * unit
    matrix = torch.linalg.solve(normal, covariance + _RIDGE * similarity, left=False)
    return matrix, (goal - torch.einsum("bij,bj->bi", matrix, centre)) * half


def _rotation(covariance: torch.Tensor) -> torch.Tensor:
    """(batch, d, d) rotations that turn the second set of points to the first, never a reflection."""
    left, _, right = torch.linalg.svd(covariance)
    signs = torch.ones_like(covariance[..., 0])
    signs[:, -1] = torch.linalg.det(left @ right).sign()
    return left @ (signs[..., None] * right)


def region_affine(fixed: torch.Tensor, moving: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`affine_from_points` of the regions' centroids, each weighted by how sure it is in both images.

    Parameters
    ----------
    fixed, moving : (batch, regions, *shape) tensors
        Probabilities of the regions; one that is absent from an image is all 0 there.
    """
    here, sure_here = region_centroids(fixed)
    there, sure_there = region_centroids(moving)
    return affine_from_points(here, there, sure_here * sure_there, half=max(fixed.shape[2:]) / 2)


def region_centroids(regions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(batch, regions, d) centroids from the centre of the grid, and (batch, regions) how sure they are, 0..1."""
    flat = regions.float().flatten(2)
    squares = flat.square()
    mass = squares.sum(-1)
    places = centred_positions(tuple(regions.shape[2:]), device=regions.device).reshape(-1, regions.ndim - 2)
    centroids = squares @ places / mass.clamp(min=1e-6)[..., None]
    sure = mass / flat.sum(-1).clamp(min=1e-6) * (mass > _LEAST_SIZE)
    return centroids, sure
