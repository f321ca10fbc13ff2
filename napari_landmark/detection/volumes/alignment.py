"""Alignment of an atlas with a volume: pose, affine map, smooth displacement, each landmark on its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from napari_landmark.data.cohort.fine_grid import FineGrid
from napari_landmark.detection.volumes.affine import ScoredPoses, refine_poses
from napari_landmark.detection.volumes.atlas import Atlas
from napari_landmark.detection.volumes.block_matching import match_blocks
from napari_landmark.detection.volumes.fine_surroundings import FineSurroundings
from napari_landmark.detection.volumes.landmark_refinement import refine_landmarks
from napari_landmark.detection.volumes.local_affine import local_affine
from napari_landmark.detection.volumes.pose_search import Poses, search_poses
from napari_landmark.detection.volumes.pyramid import Pyramid
from napari_landmark.detection.volumes.smooth_displacement import SmoothDisplacement

_COARSE_STEPS, _STEPS = 12, 6
_FINALISTS = 3  # poses that are compared at a finer level
_CONFIDENCE_POWER = 4  # of a block's correlation, as its weight


@dataclass(frozen=True)
class _Level:
    """Matching of all blocks at one resolution.

    Parameters
    ----------
    factor : int
        Downsampling, relative to `Atlas.factor`.
    radius, search : int
        Of a block, and of the shifts that are tried, in cells of the level.
    width : float
        Of the kernels of the smooth displacement, relative to the radius of the atlas.
    """

    factor: int
    radius: int
    search: int
    width: float


_LEVELS = (_Level(4, 4, 3, 0.32), _Level(2, 5, 3, 0.2), _Level(1, 6, 3, 0.16))
_NOISE = 0.3
_LOCAL_WIDTH = 0.12  # of the affine map around a landmark, relative to the radius of the atlas


@dataclass(frozen=True, eq=False)
class Alignment:
    """Atlas in a volume; positions in the volume, lengths as in `Pyramid`.

    Parameters
    ----------
    matrix : (3, 3) tensor
        Linear part of the affine map.
    shift : (3,) tensor
        Of the affine map: position of the atlas' centre.
    blocks : (m, 3) tensor
    landmarks : (n, 3) tensor
        NaN where the atlas has none.
    correlation : (n,) tensor
        Mean correlation of the surroundings of each landmark with the atlas'; NaN where it has none.
    spread : (n,) tensor
        Scatter of the matches around each landmark, in `cell`.
    cell : float
        Length of the cells that landmarks were refined on at last.
    agreement : float
        Correlation of the whole atlas after the affine map.
    overlap : float
        Share of the atlas that is on the volume.
    """

    matrix: torch.Tensor
    shift: torch.Tensor
    blocks: torch.Tensor
    landmarks: torch.Tensor
    correlation: torch.Tensor
    spread: torch.Tensor
    cell: float
    agreement: float
    overlap: float

    def to_atlas(self, atlas: Atlas, positions: torch.Tensor) -> torch.Tensor:
        """(n, 3) positions in the atlas of positions of the landmarks in the volume; NaN remains NaN."""
        inverse = torch.linalg.inv(self.matrix).T
        blocks = (self.blocks - self.shift) @ inverse + atlas.centre
        around = (positions - self.shift) @ inverse + atlas.centre
        smooth = SmoothDisplacement(
            blocks,
            atlas.blocks - blocks,
            torch.ones(len(blocks)),
            width=_LEVELS[-1].width * atlas.radius,
            noise=_NOISE,
        )
        # What was annotated beside a found landmark is as far beside it in the atlas.
        beside = atlas.landmarks + (positions - self.landmarks) @ inverse
        return torch.where(beside.isnan(), around + smooth(around), beside)


@dataclass(frozen=True, eq=False)
class Deformation:
    """Points of an atlas in a volume, before each landmark is refined; lengths as in `Pyramid`.

    Parameters
    ----------
    matrix, shift
        See `Alignment`.
    points : (m + k, 3) tensor
        Positions of `Atlas.points`.
    agreement, overlap : float
        See `Alignment`.
    """

    matrix: torch.Tensor
    shift: torch.Tensor
    points: torch.Tensor
    agreement: float
    overlap: float


def align(atlas: Atlas, target: Pyramid, *, finer: Sequence[FineGrid] = ()) -> Alignment:
    """Align an atlas with a volume in any pose.

    Parameters
    ----------
    target : Pyramid
        With cells as long as the atlas'.
    finer : sequence of FineGrid, optional
        The same volume on the cells of `Atlas.finer`, or the first of them.
    """
    found = deform(atlas, target)
    count, known = len(atlas.blocks), atlas.known
    landmarks = found.points[count:]
    width = _LOCAL_WIDTH * atlas.radius
    around = local_affine(atlas.points, found.points, atlas.landmarks[known], width=width, prior=found.matrix)
    for factor in sorted({atlas.factor, 1}, reverse=True):
        refined = refine_landmarks(
            (atlas.volume, atlas.landmarks[known]), (target, landmarks), around, factor=factor
        )
        landmarks = refined.positions
    cell = target.cell
    for surroundings, grid in zip(atlas.finer, finer, strict=False):
        there = FineSurroundings.cut(grid, landmarks, cell=target.cell)
        refined = refine_landmarks((surroundings, atlas.landmarks[known]), (there, landmarks), around)
        landmarks, cell = refined.positions, surroundings.cell
    return Alignment(
        found.matrix,
        found.shift,
        found.points[:count],
        _for_all(landmarks, known),
        _for_all(refined.correlation, known),
        _for_all(refined.spread, known),
        cell,
        found.agreement,
        found.overlap,
    )


def deform(atlas: Atlas, target: Pyramid, *, levels: int = len(_LEVELS)) -> Deformation:
    """Find the pose of an atlas in a volume, then the smooth displacement of its points.

    Parameters
    ----------
    target : Pyramid
        With cells as long as the atlas'.
    levels : int, optional
        Resolutions at which blocks are matched, from the coarsest: all by default.
    """
    scored = find_pose(atlas, target)
    matrix, shift = scored.poses.matrices[0], scored.poses.shifts[0]
    points = atlas.points
    positions = (points - atlas.centre) @ matrix.T + shift
    for level in _LEVELS[:levels]:
        factor = level.factor * atlas.factor
        blocks = atlas.surroundings(factor, level.radius)
        found = match_blocks(blocks, target, positions, matrix, factor=factor, search=level.search)
        smooth = SmoothDisplacement(
            points,
            found.displacements,
            found.correlation.clamp(min=0) ** _CONFIDENCE_POWER,
            width=level.width * atlas.radius,
            noise=_NOISE,
        )(points)
        positions = positions + smooth @ matrix.T
    return Deformation(matrix, shift, positions, float(scored.correlation[0]), float(scored.overlap[0]))


def find_pose(atlas: Atlas, target: Pyramid) -> ScoredPoses:
    """The affine map of the highest correlation, from the best candidates over all rotations and shifts."""
    poses = search_poses(atlas.volume, target, centre=atlas.centre, radius=atlas.radius)
    poses = _refined(atlas, target, poses, 0, similarity=True).best(_FINALISTS)
    poses = _refined(atlas, target, poses, 1, similarity=True).best(1)
    poses = _refined(atlas, target, poses, 1).poses
    return _refined(atlas, target, poses, 2)


def _refined(
    atlas: Atlas, target: Pyramid, poses: Poses, stage: int, *, similarity: bool = False
) -> ScoredPoses:
    level, points, values = atlas.samples(stage)
    steps = _STEPS if stage else _COARSE_STEPS
    return refine_poses(
        poses, target, points=points, values=values, factor=level, steps=steps, similarity=similarity
    )


def _for_all(values: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Values (k, ...) of the known landmarks as (n, ...), NaN for the others."""
    spread = torch.full((len(known), *values.shape[1:]), torch.nan)
    spread[known] = values
    return spread
