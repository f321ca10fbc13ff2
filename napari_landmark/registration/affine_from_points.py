"""The affine map that matched points tell, in closed form: centroids of regions, and landmarks.

Where a few regions are known in both images, their centroids say how one image is turned, moved and scaled against the
other, without any search and whatever the distance.
"""

from __future__ import annotations

import torch

from napari_landmark.registration.field import centred_positions

_LEAST_SIZE = 4.0  # pixels; what is smaller may be noise
_RIDGE = 1e-3  # of half the grid; where the points say nothing, the map is the identity


def affine_from_points(
    here: torch.Tensor, there: torch.Tensor, weight: torch.Tensor, *, half: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted least squares, held back a little towards the identity.

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
    here, there = here / half, there / half
    share = weight / max(1, weight.shape[1])
    basis = torch.cat([here, torch.ones_like(here[..., :1])], -1)
    normal = torch.einsum("bp,bpi,bpj->bij", share, basis, basis)
    # The shift is hardly held back: one sure point tells it.
    ridge = torch.full((dims + 1,), _RIDGE, device=here.device)
    ridge[dims] = _RIDGE * 1e-3
    right = torch.einsum("bp,bpi,bpd->bid", share, basis, there - here)
    solved = torch.linalg.solve(normal + torch.diag(ridge), right)
    matrix = torch.eye(dims, device=here.device) + solved[:, :dims].transpose(1, 2)
    return matrix, solved[:, dims] * half


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
