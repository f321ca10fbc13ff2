"""Images of a cohort as network input."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.learning.device import Device


class KeptImages:
    """Working images of a cohort kept in the memory of a device, each sent when it is first used.

    Parameters
    ----------
    cohort : Cohort
    device : Device
    """

    def __init__(self, cohort: Cohort, device: Device) -> None:
        self.canvas, self.device = cohort.canvas, device
        self._cohort = cohort
        # The cohort's own cache has half precision, so nothing is lost.
        shape = (len(cohort), *cohort.canvas)
        self._rows = torch.empty(shape, dtype=torch.float16, device=device.torch_device)
        self._row_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._cohort)

    def rows(self, numbers: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Kept images (rows, *working grid), and the row of each of these images."""
        for number in numbers:
            if number not in self._row_of:
                row = self._row_of[number] = len(self._row_of)
                self._rows[row] = self.device.to(torch.from_numpy(self._cohort.working(number)).half())
        return self._rows, self.device.to(torch.tensor([self._row_of[number] for number in numbers]))


def kept_images(cohort: Cohort, device: Device) -> Cohort | KeptImages:
    """Images kept on a graphics card if all of them fit into a quarter of its free memory, else the cohort itself.

    Reading images and sending them to a card takes longer than a step of a training.
    """
    fits = 2 * math.prod(cohort.canvas) * len(cohort) <= device.free_memory() // 4
    return KeptImages(cohort, device) if fits else cohort


def load_batch(
    images: Cohort | KeptImages, indices: Sequence[int], downsampling: int, device: Device
) -> torch.Tensor:
    """(batch, 1, *working grid / downsampling) float32 images on the device, values 0..1."""
    numbers = [int(index) for index in indices]
    if isinstance(images, KeptImages):
        kept, rows = images.rows(numbers)
        batch = kept[rows].float()
    else:
        batch = device.to(torch.from_numpy(np.stack([images.working(number) for number in numbers])))
    return downsample(batch[:, None], downsampling)


def downsample(images: torch.Tensor, factor: int) -> torch.Tensor:
    """Images (batch, 1, *shape) averaged over blocks of `factor` pixels per side."""
    if factor == 1:
        return images
    return {2: F.avg_pool2d, 3: F.avg_pool3d}[images.ndim - 2](images, factor)
