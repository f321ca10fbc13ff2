"""Grid finer than the working grid, on which parts of a native image are drawn when they are asked for."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_landmark.data.cohort.working_grid import CanvasTransform, intensity_limits, resample_array
from napari_landmark.data.images.image import MedicalImage

_RESOLVED = 1.5  # cells that the pixels of an image may be long
_MARGIN = 2  # native pixels around a box, beyond half of one of its pixels: all that interpolation reaches


class FineGrid:
    """Native image on a grid that is finer than the working grid by one factor along every axis.

    Indexed by a box like an array, it draws that box alone: intensities 0..1 as on the working grid, averaged by area
    where the native pixels are finer still.

    Parameters
    ----------
    image : MedicalImage
        The native image.
    canvas_transform : CanvasTransform
        From the working grid to the native image.
    zoom : float
        Pixels of this grid along the side of one of the working grid.
    """

    def __init__(self, image: MedicalImage, canvas_transform: CanvasTransform, zoom: float) -> None:
        self.zoom = zoom
        self.shape = tuple(round(size * zoom) for size in canvas_transform.canvas)
        self._array, self._limits = image.array, intensity_limits(image.array)
        self._matrix = canvas_transform.matrix / zoom
        # Of this grid's first pixel on the working grid.
        corner = np.full(len(self.shape), (1 / zoom - 1) / 2)
        self._offset = canvas_transform.matrix @ corner + canvas_transform.offset
        self._inverted = canvas_transform.inverted

    def from_working(self, positions: ArrayLike) -> NDArray[np.float64]:
        """Positions on this grid of positions (..., d) on the working grid."""
        return (np.asarray(positions, float) + 0.5) * self.zoom - 0.5

    def to_working(self, positions: ArrayLike) -> NDArray[np.float64]:
        """Positions on the working grid of positions (..., d) on this grid."""
        return (np.asarray(positions, float) + 0.5) / self.zoom - 0.5

    def __getitem__(self, box: tuple[slice, ...]) -> NDArray[np.float32]:
        """Pixels of a box; each slice has a start and a stop."""
        start = np.array([side.start for side in box], float)
        shape = tuple(side.stop - side.start for side in box)
        offset = self._matrix @ start + self._offset
        ends = np.array(list(itertools.product(*[(0, side - 1) for side in shape])))
        corners = ends @ self._matrix.T + offset
        margin = np.abs(self._matrix).sum(1) / 2 + _MARGIN
        last = np.array(self._array.shape) - 1
        low = np.clip(np.floor(corners.min(0) - margin), 0, last).astype(int)
        high = np.clip(np.ceil(corners.max(0) + margin), 0, last).astype(int) + 1
        part = self._array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        return resample_array(
            part, self._limits, CanvasTransform(shape, self._matrix, offset - low, self._inverted)
        )


def fine_grids(
    image: MedicalImage, canvas_transform: CanvasTransform, *, cell: float, cells: Sequence[float]
) -> tuple[FineGrid, ...]:
    """Grids of a volume with cells of some lengths, up to the first that its voxels do not resolve.

    Parameters
    ----------
    image : MedicalImage
        The native volume.
    canvas_transform : CanvasTransform
        From a grid with cells of the length `cell`, see `isotropic_transform`.
    cells : sequence of float
        From coarse to fine, see `finer_cells`.
    """
    smallest = min(image.geometry.spacing or (1.0,))
    resolved = [length for length in cells if smallest <= _RESOLVED * length]
    return tuple(FineGrid(image, canvas_transform, cell / length) for length in resolved)
