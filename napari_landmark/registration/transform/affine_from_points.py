"""Affine map from matched points in closed form: landmarks, and centroids of regions.

A few regions that are known in both images determine rotation, shift and scale by their centroids, without any
search and at any distance.
"""

from __future__ import annotations

import torch

from napari_landmark.registration.transform.fields_torch import centred_positions

_LEAST_SIZE = 4.0  # pixels; a smaller region may be noise
_RIDGE = 1e-3  # of half the grid; where the points determine nothing, the map is the identity


def affine_from_points(
    fixed: torch.Tensor, moving: torch.Tensor, weight: torch.Tensor, *, half: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit an affine map by weighted least squares, regularized towards the best similarity transform (Umeyama, 1991).

    A direction that the points leave open, such as that across a line of points, is rotated with them and never
    mirrored; the similarity transform itself is regularized towards the identity.

    Parameters
    ----------
    fixed, moving : (batch, points, d) tensors
        Pixels from the centre of the grid, in the fixed and in the moving image.
    weight : (batch, points) tensor
        0..1; 0 for an unknown point.
    half : float
        Half of the grid's longest side, in pixels.

    Returns
    -------
    matrix, shift : (batch, d, d) and (batch, d) tensors
        phi(x) = c + matrix (x - c) + shift with c the centre of the grid; the identity without points, a shift with
        one point.
    """
    # Not skimage.transform: this is batched, on any device, and regularized.
    dims = fixed.shape[2]
    share = (weight / max(1, weight.shape[1]))[..., None]
    total = share.sum(1).clamp(min=1e-6)
    centre_f, centre_m = (share * fixed).sum(1) / total / half, (share * moving).sum(1) / total / half
    arms_f, arms_m = fixed / half - centre_f[:, None], moving / half - centre_m[:, None]
    unit = torch.eye(dims, device=fixed.device)
    covariance = torch.einsum("bpi,bpj->bij", share * arms_m, arms_f)
    rotation = _rotation(covariance + _RIDGE * unit)
    growth = ((share * arms_m.square()).sum((1, 2)) + _RIDGE) / (
        (share * arms_f.square()).sum((1, 2)) + _RIDGE
    )
    similarity = rotation * growth.sqrt()[:, None, None]
    normal = torch.einsum("bpi,bpj->bij", share * arms_f, arms_f) + _RIDGE * unit
    matrix = torch.linalg.solve(normal, covariance + _RIDGE * similarity, left=False)
    return matrix, (centre_m - torch.einsum("bij,bj->bi", matrix, centre_f)) * half


def _rotation(covariance: torch.Tensor) -> torch.Tensor:
    """(batch, d, d) best rotations, never reflections, for covariances of moving and fixed points (Kabsch, 1976)."""
    left, _, right = torch.linalg.svd(covariance)
    signs = torch.ones_like(covariance[..., 0])
    signs[:, -1] = torch.linalg.det(left @ right).sign()
    return left @ (signs[..., None] * right)


def region_affine(fixed: torch.Tensor, moving: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit `affine_from_points` to the centroids of regions, weighted by their confidence in both images.

    Parameters
    ----------
    fixed, moving : (batch, regions, *shape) tensors
        Probabilities of the regions; one that is absent from an image is all 0 there.
    """
    centroids_f, confidence_f = region_centroids(fixed)
    centroids_m, confidence_m = region_centroids(moving)
    return affine_from_points(
        centroids_f, centroids_m, confidence_f * confidence_m, half=max(fixed.shape[2:]) / 2
    )


def region_centroids(regions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Centroids of probabilities (batch, regions, *shape).

    Returns
    -------
    centroids : (batch, regions, d) tensor
        Pixels from the centre of the grid.
    confidence : (batch, regions) tensor
        0..1; 0 for a region that is absent.
    """
    flat = regions.float().flatten(2)
    squares = flat.square()
    mass = squares.sum(-1)
    positions = centred_positions(tuple(regions.shape[2:]), device=regions.device).reshape(
        -1, regions.ndim - 2
    )
    centroids = squares @ positions / mass.clamp(min=1e-6)[..., None]
    confidence = mass / flat.sum(-1).clamp(min=1e-6) * (mass > _LEAST_SIZE)
    return centroids, confidence
