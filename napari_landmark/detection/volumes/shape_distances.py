"""Differences of shapes that an affine map does not explain."""

from __future__ import annotations

import torch


def shape_distances(shapes: torch.Tensor) -> torch.Tensor:
    """(n, n) mean distances of the points of two shapes after the best affine map of one to the other.

    Of both directions the mean, so that the result is symmetric; in the length of the shapes.

    Parameters
    ----------
    shapes : (n, m, 3) tensor
        Positions of m corresponding points.
    """
    shapes = shapes.double()
    ones = torch.ones(*shapes.shape[:2], 1, dtype=shapes.dtype)
    basis = torch.linalg.qr(torch.cat([shapes - shapes.mean(1, keepdim=True), ones], 2))[0]
    distances = torch.stack([(shapes - one @ (one.T @ shapes)).norm(dim=2).mean(1) for one in basis])
    return (distances + distances.T) / 2
