"""Patches: small windows of working images around positions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

import numpy as np
import torch

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.learning.batches import KeptImages
from napari_landmark.learning.device import Device

Read = Callable[[tuple[slice, ...]], np.ndarray]
"""Pixels of a box on the working grid."""


class Pixels(Protocol):
    """Image on a grid, read box by box: an array, or one that is drawn when it is asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the grid."""

    def __getitem__(self, box: tuple[slice, ...], /) -> np.ndarray:
        """Pixels of a box."""


def crop_patch(
    read: Read, canvas: tuple[int, ...], centre: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cut the patch centred nearest to a position.

    Parameters
    ----------
    read : callable
        Gives the pixels of a box within the working grid.
    canvas : tuple of int
        Shape of the working grid.
    centre : (d,) float array
        On the working grid.
    side : int
        Of the patch, in pixels, along each axis.

    Returns
    -------
    pixels : (side, ..., side) float32 array
        Outside the working grid its border is repeated.
    origin : (d,) float array
        Position of the patch's first pixel on the working grid; whole numbers.
    """
    size = np.asarray(canvas)
    start = _origin(canvas, centre, side)
    low, high = np.maximum(start, 0), np.minimum(start + side, size)
    pixels = read(tuple(slice(a, b) for a, b in zip(low, high, strict=True)))
    missing = list(zip(low - start, start + side - high, strict=True))
    if any(before or after for before, after in missing):
        pixels = np.pad(pixels, missing, mode="edge")
    return pixels, start.astype(float)


def _origin(canvas: tuple[int, ...], centre: np.ndarray, side: int) -> np.ndarray:
    """First pixels (..., d) of patches around centres (..., d)."""
    # A position far outside (a wrong match, a wrong click) still gives a patch that touches the working grid.
    nearest = np.clip(np.nan_to_num(centre), 0, np.asarray(canvas) - 1)
    return np.round(nearest - (side - 1) / 2).astype(int)


def crop_patches(
    images: Cohort | KeptImages, numbers: Sequence[int], centres: torch.Tensor, side: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut patches of images of a cohort: pixels (k, 1, side, ...) and origins (k, d), see `crop_patch`.

    `numbers` are those of the images of the `centres` (k, d). Pixels of kept images are on their device.
    """
    if isinstance(images, KeptImages):
        return _crop_kept(*images.rows(numbers), centres.cpu().numpy(), side, images.device)
    return _stacked(
        crop_patch(partial(images.working_part, int(number)), images.canvas, centre, side)
        for number, centre in zip(numbers, centres.cpu().numpy(), strict=True)
    )


def _crop_kept(
    rows: torch.Tensor, numbers: torch.Tensor, centres: np.ndarray, side: int, device: Device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Patches of the rows `numbers` of kept images (n, *working grid), all in one gather."""
    canvas = tuple(rows.shape[1:])
    origins = _origin(canvas, centres, side)
    pixels = np.clip(origins[:, :, None] + np.arange(side), 0, np.array(canvas)[:, None] - 1)
    index = [numbers.view(-1, *[1] * len(canvas))]
    for axis, along in enumerate(device.to(torch.from_numpy(pixels)).unbind(1)):
        shape = [1] * len(canvas)
        shape[axis] = side
        index.append(along.view(len(along), *shape))
    return rows[tuple(index)].float()[:, None], torch.from_numpy(origins.astype(np.float32))


def crop_patches_around(image: Pixels, centres: np.ndarray, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut patches of one image around positions (k, d), as `crop_patches` returns them."""
    return _stacked(crop_patch(image.__getitem__, image.shape, centre, side) for centre in centres)


def _stacked(patches: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[torch.Tensor, torch.Tensor]:
    pixels, origins = (np.stack(part).astype(np.float32) for part in zip(*patches, strict=True))
    return torch.from_numpy(pixels)[:, None], torch.from_numpy(origins)
