"""Smooth displacement that follows most of many uncertain ones."""

from __future__ import annotations

import torch

_ROUNDS = 4  # of reweighting
_LEAST_WEIGHT = 1e-3


class SmoothDisplacement:
    """Affine map and Gaussian kernels fitted to displacements, reweighted so that wrong ones lose their influence.

    Parameters
    ----------
    points, displacements : (n, 3) tensors
    weights : (n,) tensor
        0..1.
    width : float
        Standard deviation of the kernels, in the units of `points`.
    noise : float
        Variance of a displacement of weight 1 relative to that of the kernels: more is smoother.
    """

    def __init__(
        self,
        points: torch.Tensor,
        displacements: torch.Tensor,
        weights: torch.Tensor,
        *,
        width: float,
        noise: float,
    ) -> None:
        points, wanted = points.double(), displacements.double()
        self._points, self._width = points, width
        self._centre = points.mean(0)
        self._reach = (points - self._centre).norm(dim=1).mean().clamp(min=1e-9)
        kernels, linear = self._kernels(points), self._linear(points)
        given = weights.double().clamp(_LEAST_WEIGHT, 1)
        current = given
        ridge = 1e-6 * torch.eye(4, dtype=torch.float64)
        for _ in range(_ROUNDS):
            scaled = linear.T * current
            self._map = torch.linalg.solve(scaled @ linear + ridge, scaled @ wanted)
            rest = wanted - linear @ self._map
            self._amplitudes = torch.linalg.solve(kernels + torch.diag(noise / current), rest)
            residual = (rest - kernels @ self._amplitudes).norm(dim=1)
            typical = 2 * residual.median().clamp(min=1e-9)
            current = (given / (1 + (residual / typical) ** 2)).clamp(min=_LEAST_WEIGHT)

    def __call__(self, points: torch.Tensor) -> torch.Tensor:
        """(n, 3) displacements at points (n, 3)."""
        points = points.double()
        return (self._linear(points) @ self._map + self._kernels(points) @ self._amplitudes).float()

    def _kernels(self, points: torch.Tensor) -> torch.Tensor:
        return torch.exp(-0.5 * (torch.cdist(points, self._points) / self._width) ** 2)

    def _linear(self, points: torch.Tensor) -> torch.Tensor:
        ones = torch.ones(len(points), 1, dtype=points.dtype)
        return torch.cat([(points - self._centre) / self._reach, ones], 1)
