"""Refinement of poses by the enhanced correlation coefficient (Evangelidis and Psarakis, PAMI 2008)."""

from __future__ import annotations

from typing import NamedTuple

import torch

from napari_landmark.detection.volumes.pose_search import Poses
from napari_landmark.detection.volumes.pyramid import Pyramid

_RIDGE = 1e-3  # of the mean curvature: keeps what the image does not decide
_LONGEST_STEP = 3.0  # cells


class ScoredPoses(NamedTuple):
    """Poses with their agreement.

    Parameters
    ----------
    poses : Poses
    correlation : (k,) tensor
        Pearson correlation of the template's values with those of the volume, where both are known.
    overlap : (k,) tensor
        Share of the template's points that are on the volume.
    """

    poses: Poses
    correlation: torch.Tensor
    overlap: torch.Tensor

    def best(self, count: int) -> Poses:
        """The poses of the highest correlation; a small overlap lowers it."""
        order = (self.correlation * self.overlap.sqrt()).argsort(descending=True)[:count]
        return Poses(self.poses.matrices[order], self.poses.shifts[order])


@torch.no_grad()
def refine_poses(
    poses: Poses,
    target: Pyramid,
    *,
    points: torch.Tensor,
    values: torch.Tensor,
    factor: int,
    steps: int,
    similarity: bool = False,
) -> ScoredPoses:
    """Maximize the correlation of each pose.

    Parameters
    ----------
    points : (m, 3) tensor
        Of the template, relative to its centre.
    values : (m,) tensor
        Of the template at these points.
    factor : int
        Level of the target.
    steps : int
    similarity : bool
        Rotate, shift and scale; otherwise any affine map.
    """
    matrices, shifts = poses
    reach = points.norm(dim=1).mean()
    for _ in range(steps):
        matrices, shifts = _step(matrices, shifts, target, points, values, factor, reach, similarity)
    found, _, inside = _look(matrices, shifts, target, points, factor)
    image, template = _centred(found, inside), _centred(values.expand_as(found), inside)
    norms = (image.norm(dim=1) * template.norm(dim=1)).clamp(min=1e-9)
    return ScoredPoses(Poses(matrices, shifts), (image * template).sum(1) / norms, inside.mean(1))


def _look(
    matrices: torch.Tensor, shifts: torch.Tensor, target: Pyramid, points: torch.Tensor, factor: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Values (k, m), slopes (k, m, 3) and mask 0 or 1 (k, m) of the target at the points in each pose."""
    where = torch.einsum("kij,mj->kmi", matrices, points) + shifts[:, None]
    found = target.values_and_slopes(where, factor)
    return found[0], found[1:].movedim(0, -1), target.contains(where).float()


def _centred(values: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Values (k, m, ...) without their mean, zero where not inside."""
    inside = inside.view(*inside.shape, *[1] * (values.ndim - 2))
    mean = (values * inside).sum(1, keepdim=True) / inside.sum(1, keepdim=True).clamp(min=1)
    return (values - mean) * inside


def _step(
    matrices: torch.Tensor,
    shifts: torch.Tensor,
    target: Pyramid,
    points: torch.Tensor,
    values: torch.Tensor,
    factor: int,
    reach: torch.Tensor,
    similarity: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Matrices and shifts after one Gauss-Newton step."""
    found, slopes, inside = _look(matrices, shifts, target, points, factor)
    image, template = _centred(found, inside), _centred(values.expand_as(found), inside)
    if similarity:
        arms = torch.einsum("kij,mj->kmi", matrices, points) / reach
        parts = [torch.linalg.cross(arms, slopes), (arms * slopes).sum(-1, keepdim=True), slopes]
        jacobian = torch.cat(parts, -1)
    else:
        arms = torch.cat([points / reach, torch.ones(len(points), 1)], 1)
        jacobian = (slopes[..., None] * arms[:, None]).flatten(2)
    jacobian = _centred(jacobian, inside)
    curvature = jacobian.transpose(1, 2) @ jacobian
    typical = torch.diagonal(curvature, dim1=1, dim2=2).mean(1)
    curvature += (_RIDGE * typical + 1e-9)[:, None, None] * torch.eye(curvature.shape[1])
    sides = torch.stack([(jacobian * v[..., None]).sum(1) for v in (image, template)], -1)
    solved = torch.linalg.solve(curvature, sides)
    energy = (image**2).sum(1) - (sides[..., 0] * solved[..., 0]).sum(1)
    product = (template * image).sum(1) - (sides[..., 1] * solved[..., 0]).sum(1)
    plain = image.norm(dim=1) / template.norm(dim=1).clamp(min=1e-9)
    contrast = torch.where(product > 0, energy / product.clamp(min=1e-9), plain)
    step = contrast[:, None] * solved[..., 1] - solved[..., 0]
    longest = _LONGEST_STEP * factor * target.cell
    step = step * (longest / step.abs().amax(1, keepdim=True).clamp(min=1e-9)).clamp(max=1)
    if not similarity:
        step = step.view(-1, 3, 4)
        return matrices + step[..., :3] / reach, shifts + step[..., 3]
    turn = torch.zeros(len(step), 3, 3)
    turn[:, 2, 1], turn[:, 0, 2], turn[:, 1, 0] = (step[:, :3] / reach).unbind(1)
    turn = turn - turn.transpose(1, 2)
    scale = torch.exp(step[:, 3] / reach)[:, None, None]
    return scale * (torch.matrix_exp(turn) @ matrices), shifts + step[:, 4:]
