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

    Reading images and sending them to a graphics card takes longer than a step of a training on it. What fits into
    half of the card's free memory is sent once, when it is first wanted; all else is sent each time.

    Parameters
    ----------
    cohort : Cohort
    device : Device
    capacity : int, optional
        Number of images kept; by default what the device has room for, none on a processor.
    """

    def __init__(self, cohort: Cohort, device: Device, *, capacity: int | None = None) -> None:
        self.cohort, self.canvas, self.device = cohort, cohort.canvas, device
        if capacity is None:
            capacity = device.free_memory() // 2 // (2 * math.prod(cohort.canvas))
        rows = min(len(cohort), capacity)
        # Half precision is what the cohort's own cache has, so nothing is lost.
        self._rows = torch.empty(rows, *cohort.canvas, dtype=torch.float16, device=device.torch_device)
        self._row_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.cohort)

    def rows(self, numbers: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor] | None:
        """All that is kept (rows, *canvas), and the row of each image; None where there is no room for one of them."""
        for number in numbers:
            if number not in self._row_of:
                row = len(self._row_of)
                if row == len(self._rows):
                    return None
                self._rows[row] = self.device.to(torch.from_numpy(self.cohort.working(number)).half())
                self._row_of[number] = row
        return self._rows, self.device.to(torch.tensor([self._row_of[number] for number in numbers]))


def load_batch(
    images: Cohort | KeptImages, indices: Sequence[int], shrink: int, device: Device
) -> torch.Tensor:
    """(batch, 1, *canvas / shrink) float32 working images, values 0..1."""
    numbers = [int(index) for index in indices]
    cohort = images.cohort if isinstance(images, KeptImages) else images
    if isinstance(images, KeptImages) and (kept := images.rows(numbers)):
        batch = kept[0][kept[1]].float()
    else:
        batch = device.to(torch.from_numpy(np.stack([cohort.working(number) for number in numbers])))
    return shrink_images(batch[:, None], shrink)


def shrink_images(images: torch.Tensor, factor: int) -> torch.Tensor:
    """Images (batch, 1, *shape) averaged over blocks of `factor` pixels per side."""
    if factor == 1:
        return images
    return {2: F.avg_pool2d, 3: F.avg_pool3d}[images.ndim - 2](images, factor)
