"""Images of a cohort as network input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from napari_landmark.data.cohort import Cohort
from napari_landmark.learning.device import Device


def load_batch(cohort: Cohort, indices: Sequence[int], shrink: int, device: Device) -> torch.Tensor:
    """(batch, 1, *canvas / shrink) float32 working images, values 0..1."""
    images = device.to(torch.from_numpy(np.stack([cohort.working(int(i)) for i in indices]))[:, None])
    return shrink_images(images, shrink)


def shrink_images(images: torch.Tensor, factor: int) -> torch.Tensor:
    """Images (batch, 1, *shape) averaged over blocks of `factor` pixels per side."""
    if factor == 1:
        return images
    return {2: F.avg_pool2d, 3: F.avg_pool3d}[images.ndim - 2](images, factor)
