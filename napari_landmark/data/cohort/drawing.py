"""Images of files drawn on a working grid, for the cache of a cohort."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.cohort.headers import ImageFile
from napari_landmark.data.cohort.memory_budget import MemoryBudget
from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.cohort.working_grid import fit_canvas_transform, resample
from napari_landmark.data.images.image import read_image
from napari_landmark.data.images.memory_limit import total_memory

RESAMPLING = 2
"""Raised when `resample` or the readers give other values, so that old caches are made anew."""
_SHARE_OF_MEMORY = 0.6  # of all images that are read at the same time
_BYTES_PER_PIXEL = 16  # the pixels in the type of the file, decoded and as they are resampled
_MOST_THREADS = 8  # decoding and resampling release the interpreter's lock; more only take memory


class Drawing(Protocol):
    """Draws images on a working grid; called from several threads."""

    @property
    def threads(self) -> int:
        """Images that are drawn at a time."""

    def draw(
        self,
        entry: ImageFile,
        canvas: tuple[int, ...],
        *,
        spacing: float | Sequence[float] | None = None,
    ) -> NDArray[np.floating]:
        """The image as it is in its file on the working grid, 0 to 1.

        Raises
        ------
        InputError, OSError
            The image cannot be read.
        """


class LocalDrawing:
    """Reads and resamples in threads of this process, a limited amount of memory at a time."""

    def __init__(self) -> None:
        self.threads = min(_MOST_THREADS, os.cpu_count() or 1)
        self._budget = MemoryBudget(int(_SHARE_OF_MEMORY * total_memory()))

    def draw(
        self,
        entry: ImageFile,
        canvas: tuple[int, ...],
        *,
        spacing: float | Sequence[float] | None = None,
        pose: Pose | None = None,
    ) -> NDArray[np.floating]:
        """See `Drawing.draw`; in a pose where one is given."""
        with self._budget.reserve(_BYTES_PER_PIXEL * math.prod(entry.geometry.shape)):
            image = read_image(entry.path, spacing=spacing, name=entry.name)
            return resample(image, fit_canvas_transform(image.geometry, canvas, pose))
