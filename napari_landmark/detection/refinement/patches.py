"""Small windows of working images around places of interest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.learning.batches import KeptImages
from napari_landmark.learning.device import Device

Read = Callable[[tuple[slice, ...]], np.ndarray]
"""Given a box on the canvas, its pixels."""


def crop_patch(
    read: Read, canvas: tuple[int, ...], centre: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """The window whose middle is nearest to a place.

    Parameters
    ----------
    read : callable
        Gives the pixels of a box that lies on the canvas.
    canvas : tuple of int
    centre : (d,) float array
        On the canvas.
    side : int
        Of the window, in pixels, along each axis.

    Returns
    -------
    pixels : (side, ..., side) float32 array
        Beyond the canvas its border is repeated.
    origin : (d,) float array
        Canvas position of the window's first pixel; always whole numbers.
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
    """First pixels (..., d) of windows around centres (..., d)."""
    # A place far off (a match gone astray, a wrong click) still gives a window that touches the canvas.
    nearest = np.clip(np.nan_to_num(centre), 0, np.asarray(canvas) - 1)
    return np.round(nearest - (side - 1) / 2).astype(int)


def crop_patches(
    images: Cohort | KeptImages, numbers: Sequence[int], centres: torch.Tensor, side: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows of images of a cohort: pixels (k, 1, side, ...) and origins (k, d), see `crop_patch`.

    `numbers` names the image of each of the `centres` (k, d). Pixels of kept images lie on their device.
    """
    if isinstance(images, KeptImages):
        return _cut_kept(*images.rows(numbers), centres.cpu().numpy(), side, images.device)
    found = [
        crop_patch(lambda box, n=int(n): images.working_part(n, box), images.canvas, centre, side)
        for n, centre in zip(numbers, centres.cpu().numpy(), strict=True)
    ]
    pixels, origins = (np.stack(part).astype(np.float32) for part in zip(*found, strict=True))
    return torch.from_numpy(pixels)[:, None], torch.from_numpy(origins)


def _cut_kept(
    rows: torch.Tensor, numbers: torch.Tensor, centres: np.ndarray, side: int, device: Device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows of images (n, *canvas) that lie together on the device: all in one gather."""
    canvas = tuple(rows.shape[1:])
    origins = _origin(canvas, centres, side)
    places = np.clip(origins[:, :, None] + np.arange(side), 0, np.array(canvas)[:, None] - 1)
    index = [numbers.view(-1, *[1] * len(canvas))]
    for axis, along in enumerate(device.to(torch.from_numpy(places)).unbind(1)):
        shape = [1] * len(canvas)
        shape[axis] = side
        index.append(along.view(len(along), *shape))
    return rows[tuple(index)].float()[:, None], torch.from_numpy(origins.astype(np.float32))


def crop_patches_around(
    image: np.ndarray, centres: np.ndarray, side: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows of one image around places (k, d), as `crop_patches` gives them."""
    found = [crop_patch(image.__getitem__, image.shape, centre, side) for centre in centres]
    pixels, origins = (np.stack(part).astype(np.float32) for part in zip(*found, strict=True))
    return torch.from_numpy(pixels)[:, None], torch.from_numpy(origins)
