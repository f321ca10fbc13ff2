"""Annotated volume that is aligned with others: its surroundings of landmarks and of points between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from napari_landmark.data.cohort.fine_grid import FineGrid
from napari_landmark.detection.volumes.block_matching import cut_blocks, normalized
from napari_landmark.detection.volumes.fine_surroundings import FineSurroundings
from napari_landmark.detection.volumes.pyramid import Pyramid

_MARGIN = 1.1  # radius of the compared sphere, relative to the farthest landmark
_LEAST_RADIUS = 0.5  # of the longest side of the volume: few landmarks do not show the pose
_CELLS = 90  # of the finest level of blocks in the radius
_BLOCKS = 500
_STRUCTURED = 1 / 3  # share of the cells, those of the steepest values, that blocks are centred on
_LEAST_SLOPE, _STEEP = 0.1, 0.99  # slope of a block relative to this quantile: less is noise
_CANDIDATES = 6000
_FLAT = 0.2  # chance of a point where nothing changes, relative to the mean slope
AFFINE_LEVELS = ((5, 3000), (4, 8000), (2, 30_000))
"""Downsampling factor, relative to `Atlas.factor`, and number of points of each stage of the affine alignment."""


@dataclass(frozen=True, eq=False)
class Atlas:
    """Annotated volume with the points that it is aligned by; lengths as in `Pyramid`.

    Parameters
    ----------
    volume : Pyramid
    landmarks : (n, 3) tensor
        NaN where unknown.
    centre : (3,) tensor
    radius : float
        Of the sphere around the centre that is compared.
    factor : int
        Downsampling of the finest level at which blocks are matched.
    blocks : (m, 3) tensor
        Centres of blocks with structure, spread over the sphere.
    finer : tuple of FineSurroundings
        Of the known landmarks, from coarse to fine; empty where the cells of the volume resolve it.
    means : mapping of tuple of int to (m + n, 2r + 1, 2r + 1, 2r + 1) tensor
        Mean surroundings in many volumes, normalized, by level and radius r: of the blocks, then of the landmarks.
    """

    volume: Pyramid
    landmarks: torch.Tensor
    centre: torch.Tensor
    radius: float
    factor: int
    blocks: torch.Tensor
    finer: tuple[FineSurroundings, ...] = ()
    means: Mapping[tuple[int, int], torch.Tensor] = field(default_factory=dict)

    @classmethod
    def from_annotation(
        cls, volume: Pyramid, landmarks: torch.Tensor, *, finer: Sequence[FineGrid] = ()
    ) -> Atlas:
        """Choose the points of a volume; those of the whole volume where there are no or few landmarks.

        Parameters
        ----------
        landmarks : (n, 3) tensor
            NaN where unknown.
        finer : sequence of FineGrid, optional
            The same volume on finer cells.
        """
        known = landmarks[~landmarks.isnan().any(1)].float()
        radius = _LEAST_RADIUS * max(volume.shape) * volume.cell
        centre = (torch.tensor(volume.shape) - 1) / 2 * volume.cell
        if len(known):
            between = (known.amin(0) + known.amax(0)) / 2
            reach = _MARGIN * float((known - between).norm(dim=1).max())
            if reach >= radius:
                radius, centre = reach, between
        factor = max(1, round(radius / _CELLS / volume.cell))
        blocks = _spread_blocks(volume, centre, radius, 2 * factor)
        fine = tuple(FineSurroundings.cut(grid, known, cell=volume.cell) for grid in finer)
        return cls(volume, landmarks.float(), centre, radius, factor, blocks, fine)

    @property
    def known(self) -> torch.Tensor:
        """(n,) mask of the known landmarks."""
        return ~self.landmarks.isnan().any(1)

    @property
    def points(self) -> torch.Tensor:
        """(m + k, 3) centres of the blocks, then the known landmarks."""
        return torch.cat([self.blocks, self.landmarks[self.known]])

    def surroundings(self, level: int, radius: int) -> torch.Tensor:
        """(m + k, 2r + 1, 2r + 1, 2r + 1) normalized surroundings of `points`.

        Parameters
        ----------
        level : int
            Downsampling factor.
        radius : int
            r, in cells of the level.
        """
        if (level, radius) in self.means:
            kept = torch.cat([torch.ones(len(self.blocks), dtype=torch.bool), self.known])
            return self.means[level, radius][kept]
        return normalized(cut_blocks(self.volume, self.points, torch.eye(3), factor=level, radius=radius))

    def samples(self, stage: int) -> tuple[int, torch.Tensor, torch.Tensor]:
        """Level, points (k, 3) relative to the centre, and their values (k,) for a stage of `AFFINE_LEVELS`."""
        factor, count = AFFINE_LEVELS[stage]
        level = self.factor * factor
        centres = self.volume.centres(level)
        centres = centres[(centres - self.centre).norm(dim=1) <= self.radius]
        values = self.volume.values_and_slopes(centres, level)
        slopes = values[1:].norm(dim=0)
        generator = torch.Generator().manual_seed(0)
        chance = slopes + _FLAT * slopes.mean() + 1e-6
        chosen = torch.multinomial(chance, min(count, len(centres)), generator=generator)
        return level, centres[chosen] - self.centre, values[0, chosen]

    def with_means(self, means: Mapping[tuple[int, int], torch.Tensor]) -> Atlas:
        """The same atlas with mean surroundings."""
        return replace(self, means=dict(means))


def _spread_blocks(volume: Pyramid, centre: torch.Tensor, radius: float, level: int) -> torch.Tensor:
    """(m, 3) cells of a level with steep values, each far from those chosen before."""
    centres = volume.centres(level)
    centres = centres[(centres - centre).norm(dim=1) <= radius]
    slopes = volume.values_and_slopes(centres, level)[1:].norm(dim=0)
    steep = slopes.kthvalue(max(1, int(_STEEP * len(slopes)))).values
    count = min(int((slopes >= _LEAST_SLOPE * steep).sum()), max(1, int(_STRUCTURED * len(centres))))
    steepest = centres[slopes.argsort(descending=True)[:count]]
    generator = torch.Generator().manual_seed(0)
    candidates = steepest[torch.randperm(len(steepest), generator=generator)[:_CANDIDATES]]
    chosen, distance, nearest = [], torch.full((len(candidates),), torch.inf), 0
    for _ in range(min(_BLOCKS, len(candidates))):
        chosen.append(candidates[nearest])
        distance = torch.minimum(distance, (candidates - candidates[nearest]).norm(dim=1))
        nearest = int(distance.argmax())
    return torch.stack(chosen)
