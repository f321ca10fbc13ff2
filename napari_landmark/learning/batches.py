"""Images of a cohort as network input."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from napari_landmark.data.cohort import Cohort
from napari_landmark.learning.device import Device


class KeptImages:
    """Working images of a cohort that stay where they are learned from.

    Reading images and sending them to a graphics card takes longer than a step of a training on it. If all of them fit
    into a quarter of the card's free memory, each is sent once, when it is first wanted; otherwise, and on a
    processor, each time.

    Parameters
    ----------
    cohort : Cohort
    device : Device
    """

    def __init__(self, cohort: Cohort, device: Device) -> None:
        self.cohort, self.canvas, self.device = cohort, cohort.canvas, device
        fits = 2 * math.prod(cohort.canvas) * len(cohort) <= device.free_memory() // 4
        # Half precision is what the cohort's own cache has, so nothing is lost.
        shape = (len(cohort) if fits else 0, *cohort.canvas)
        self._rows = torch.empty(shape, dtype=torch.float16, device=device.torch_device)
        self._row_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.cohort)

    def rows(self, numbers: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor] | None:
        """What is kept (rows, *canvas), and the row of each image in it; None where nothing is kept."""
        if not len(self._rows):
            return None
        for number in numbers:
            if number not in self._row_of:
                row = self._row_of[number] = len(self._row_of)
                self._rows[row] = self.device.to(torch.from_numpy(self.cohort.working(number)).half())
        return self._rows, self.device.to(torch.tensor([self._row_of[number] for number in numbers]))


def load_batch(
    images: Cohort | KeptImages, indices: Sequence[int], shrink: int, device: Device
) -> torch.Tensor:
    """(batch, 1, *canvas / shrink) float32 working images, values 0..1."""
    numbers = [int(index) for index in indices]
    kept = None
    if isinstance(images, KeptImages):
        images, kept = images.cohort, images.rows(numbers)
    if kept is None:
        batch = device.to(torch.from_numpy(np.stack([images.working(number) for number in numbers])))
    else:
        batch = kept[0][kept[1]].float()
    return shrink_images(batch[:, None], shrink)


def shrink_images(images: torch.Tensor, factor: int) -> torch.Tensor:
    """Images (batch, 1, *shape) averaged over blocks of `factor` pixels per side."""
    if factor == 1:
        return images
    return {2: F.avg_pool2d, 3: F.avg_pool3d}[images.ndim - 2](images, factor)
