"""Candidate poses of a template in a volume, over all rotations and all shifts.

A sphere around the template's landmarks is rotated, and each rotation correlated with the volume at every shift by
Fourier transforms. What lies beyond the sphere, another field of view say, has no part in it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len

from napari_landmark.detection.volumes.pyramid import Pyramid
from napari_landmark.learning.interpolation import pixel_positions
from napari_landmark.learning.rotations import all_rotations, rotation_angle

_RADIUS = 8  # cells of the coarse grid to the edge of the sphere
_ROTATIONS = 1000
_BATCH = 16  # rotations transformed at a time
_CANDIDATES = 12
_APART = 25.0  # degrees between two candidates
_LEAST_CONTENT = 0.02  # of the largest variance: less is background, where noise would be compared


class Poses(NamedTuple):
    """Maps x -> matrix @ (x - centre) + shift from a template, whose centre is known, to a volume.

    Parameters
    ----------
    matrices : (k, 3, 3) tensor
    shifts : (k, 3) tensor
        Position of the template's centre in the volume.
    """

    matrices: torch.Tensor
    shifts: torch.Tensor


@torch.no_grad()
def search_poses(template: Pyramid, target: Pyramid, *, centre: torch.Tensor, radius: float) -> Poses:
    """Rotations and shifts of the highest normalized correlation, the best first, that differ from each other.

    Parameters
    ----------
    template, target : Pyramid
        With cells of one length.
    centre : (3,) tensor
    radius : float
        Of the sphere of the template that is compared.
    """
    factor = max(1, round(radius / _RADIUS / template.cell))
    cell = factor * template.cell
    reach = math.ceil(radius / cell)
    offsets = (pixel_positions((2 * reach + 1,) * 3) - reach) * cell
    sphere = (offsets.norm(dim=-1) <= radius).float()
    image = target.level(factor)[0, 0]
    correlate = _Correlation(F.pad(image, (reach,) * 6), image.shape)
    content = correlate(sphere, squared=True) - correlate(sphere) ** 2 / sphere.sum()
    spread = content.clamp(min=max(_LEAST_CONTENT * float(content.max()), 1e-12)).sqrt()
    rotations = all_rotations(3, _ROTATIONS)
    peaks, places = [], []
    for chunk in np.array_split(rotations, math.ceil(len(rotations) / _BATCH)):
        inverse = torch.from_numpy(chunk).float().transpose(1, 2)
        values = template.values(centre + torch.einsum("bij,zyxj->bzyxi", inverse, offsets), factor) * sphere
        values = (values - values.sum((1, 2, 3), keepdim=True) / sphere.sum()) * sphere
        norms = values.flatten(1).norm(dim=1).clamp(min=1e-6).view(-1, 1, 1, 1)
        peak, place = (correlate(values / norms) / spread).flatten(1).max(1)
        peaks.append(peak)
        places.append(place)
    scores, cells = torch.cat(peaks), torch.cat(places)
    chosen = _different(rotations, scores)
    found = torch.stack(torch.unravel_index(cells[chosen], image.shape), 1).float()
    shifts = ((found + 0.5) * factor - 0.5) * target.cell
    return Poses(torch.from_numpy(rotations[chosen]).float(), shifts)


def _different(rotations: np.ndarray, scores: torch.Tensor) -> list[int]:
    """Numbers of the best rotations of which no two are alike."""
    chosen: list[int] = []
    for number in scores.argsort(descending=True).tolist():
        if all(rotation_angle(rotations[number], rotations[other]) > _APART for other in chosen):
            chosen.append(number)
        if len(chosen) == _CANDIDATES:
            break
    return chosen


class _Correlation:
    """Correlation of one image with kernels, at every position of the kernels' centres in it.

    Parameters
    ----------
    padded : (z, y, x) tensor
        The image with half a kernel of zeros around it.
    shape : sequence of int
        Of the image without them.
    """

    def __init__(self, padded: torch.Tensor, shape: torch.Size) -> None:
        self._shape = tuple(shape)
        self._size = [next_fast_len(side, real=True) for side in padded.shape]
        self._spectrum = torch.fft.rfftn(padded, s=self._size)
        self._squared = torch.fft.rfftn(padded**2, s=self._size)

    def __call__(self, kernels: torch.Tensor, *, squared: bool = False) -> torch.Tensor:
        """(..., z, y, x) sums of the products of image, or of its square, and kernel."""
        spectrum = self._squared if squared else self._spectrum
        spectra = torch.fft.rfftn(kernels, s=self._size, dim=(-3, -2, -1))
        full = torch.fft.irfftn(spectrum * spectra.conj(), s=self._size, dim=(-3, -2, -1))
        z, y, x = self._shape
        return full[..., :z, :y, :x]
