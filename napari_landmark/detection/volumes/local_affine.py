"""Affine maps around points, fitted to a displacement of many."""

from __future__ import annotations

import torch

_LEAST_WEIGHT = 1e-9  # keeps the fit defined where a point has no others near it
_RIDGE = 1e-6  # of the prior, relative to the extent of the points


def local_affine(
    points: torch.Tensor, positions: torch.Tensor, around: torch.Tensor, *, width: float, prior: torch.Tensor
) -> torch.Tensor:
    """(k, 3, 3) linear parts of the affine maps that fit best around each of some points.

    Parameters
    ----------
    points, positions : (n, 3) tensors
        Where points are, and where they are mapped to.
    around : (k, 3) tensor
    width : float
        Standard deviation of the Gaussian weights of the points, in their units.
    prior : (3, 3) tensor
        The map along directions in which the points do not extend, as across a slab that is one cell thick.
    """
    source, target, middle = points.double(), positions.double(), around.double()
    weights = torch.exp(-0.5 * (torch.cdist(middle, source) / width) ** 2) + _LEAST_WEIGHT
    shares = (weights / weights.sum(1, keepdim=True))[..., None]
    source = source - (shares * source).sum(1, keepdim=True)
    target = target - (shares * target).sum(1, keepdim=True)
    moments = source.transpose(1, 2) @ (shares * source)
    extent = torch.diagonal(moments, dim1=1, dim2=2).sum(1).clamp(min=_LEAST_WEIGHT)
    ridge = _RIDGE * extent[:, None, None] * torch.eye(3).double()
    products = source.transpose(1, 2) @ (shares * target) + ridge @ prior.double().T
    return torch.linalg.solve(moments + ridge, products).transpose(1, 2).float()
