"""Heatmaps of the landmarks of an aligned atlas."""

from __future__ import annotations

import torch

from napari_landmark.detection.volumes.alignment import Alignment
from napari_landmark.detection.volumes.atlas import Atlas
from napari_landmark.detection.volumes.block_matching import match_blocks
from napari_landmark.detection.volumes.pyramid import Pyramid
from napari_landmark.learning.interpolation import sample

_LEVEL, _RADIUS, _SEARCH = 2, 4, 5
_POWER = 8  # of the correlation: the peak stands out


def alignment_heatmaps(atlas: Atlas, target: Pyramid, alignment: Alignment, *, factor: int) -> torch.Tensor:
    """(n, z, y, x) correlation of each landmark's surroundings on a level of the target, 1 at its peak.

    0 where the surroundings were not compared, and for landmarks that the atlas lacks.
    """
    level, known = _LEVEL * atlas.factor, atlas.known
    centres = alignment.landmarks[known]
    blocks = atlas.surroundings(level, _RADIUS)[len(atlas.blocks) :]
    found = match_blocks(blocks, target, centres, alignment.matrix, factor=level, search=_SEARCH)
    maps = found.maps.clamp(min=0) ** _POWER
    maps = maps / maps.flatten(1).amax(1).clamp(min=1e-9).view(-1, 1, 1, 1)
    shape = target.level(factor).shape[2:]
    cells = target.centres(factor)
    inverse = torch.linalg.inv(alignment.matrix) / (target.cell * level)
    heat = torch.zeros(len(known), *shape)
    for number, values, centre in zip(torch.nonzero(known)[:, 0].tolist(), maps, centres, strict=True):
        where = (cells - centre) @ inverse.T
        near = (where.abs() <= _SEARCH).all(1)
        if near.any():
            flat = heat[number].view(-1)
            flat[near] = sample(values[None, None], where[near][None] + _SEARCH)[0, 0]
            flat /= flat.max().clamp(min=1e-9)
    return heat
