"""Crops of images around landmarks, read and resampled in a thread."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.images.display import display_range, scale_to_unit
from napari_landmark.data.images.image import MedicalImage

_KEPT_BYTES = 400 * 1024**2  # of images
_KEPT_CROPS = 3000


@dataclass(frozen=True)
class CropRequest:
    """A square part of an image, or of a slice of a volume.

    Parameters
    ----------
    image : str
        Name in the cohort.
    center : tuple of float
        Index coordinates in array axis order.
    axes : (int, int)
        Axes of the array that are shown, that of the rows first.
    extent : float
        Side in native pixels.
    pixels : int
        Side of the crop.
    limits : (float, float), optional
        Intensities shown as black and white; robust ones of the image by default.
    """

    image: str
    center: tuple[float, ...]
    axes: tuple[int, int]
    extent: float
    pixels: int
    limits: tuple[float, float] | None = None


class CropReader:
    """Reader of crops of one cohort. The last request is served first: it is what the user looks at.

    Parameters
    ----------
    cohort : Cohort
    """

    def __init__(self, cohort: Cohort) -> None:
        self._cohort = cohort
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="landmark-crops")
        self._waiting: OrderedDict[CropRequest, Callable[[CropRequest], object]] = OrderedDict()
        self._crops: OrderedDict[CropRequest, NDArray[np.float32] | None] = OrderedDict()
        self._images: OrderedDict[str, tuple[MedicalImage, tuple[float, float]]] = OrderedDict()
        self._working: Future[None] | None = None

    def crop(self, request: CropRequest, then: Callable[[CropRequest], object]) -> NDArray[np.float32] | None:
        """The crop if it is known, else it is read.

        Parameters
        ----------
        request : CropRequest
        then : callable
            Called from the thread once the crop is known.

        Returns
        -------
        (pixels, pixels) array or None
            0 (black) to 1 (white); None while it is unknown, and where the image cannot be read.
        """
        if request in self._crops:
            self._crops.move_to_end(request)
            return self._crops[request]
        self._waiting[request] = then
        self._waiting.move_to_end(request)
        if self._working is None or self._working.done():
            self._working = self._pool.submit(self._work)
        return None

    def is_read(self, request: CropRequest) -> bool:
        """Whether the crop was read, or cannot be."""
        return request in self._crops

    def forget_waiting(self) -> None:
        """Leave out what was asked for and is not read yet."""
        self._waiting.clear()

    def close(self) -> None:
        """Stop reading."""
        self._waiting.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _work(self) -> None:
        while True:
            try:
                request, then = self._waiting.popitem()
            except KeyError:
                return
            try:
                image, limits = self._image(request.image)
                unit = scale_to_unit(
                    resampled_crop(image.array, request),
                    limits if request.limits is None else request.limits,
                )
            except InputError:
                unit = None
            self._crops[request] = unit
            while len(self._crops) > _KEPT_CROPS:
                self._crops.popitem(last=False)
            then(request)

    def _image(self, name: str) -> tuple[MedicalImage, tuple[float, float]]:
        if name in self._images:
            self._images.move_to_end(name)
            return self._images[name]
        image = self._cohort.read(self._cohort.index(name))
        self._images[name] = image, display_range(image.array)
        while len(self._images) > 1 and sum(i.array.nbytes for i, _ in self._images.values()) > _KEPT_BYTES:
            self._images.popitem(last=False)
        return self._images[name]


def resampled_crop(array: NDArray, request: CropRequest) -> NDArray[np.float32]:
    """(pixels, pixels) intensities of a crop by linear interpolation; the border of the image is continued."""
    step = request.extent / request.pixels
    away = np.asarray((np.arange(request.pixels) - (request.pixels - 1) / 2) * step, dtype=np.float64)
    plane = _plane(array, request)
    rows: NDArray[np.float64] = request.center[request.axes[0]] + away
    columns: NDArray[np.float64] = request.center[request.axes[1]] + away
    # Only the part that is needed: map_coordinates turns all of its input into floats.
    part, first = _part(plane, rows, columns)
    where = np.stack(np.meshgrid(rows - first[0], columns - first[1], indexing="ij"))
    return map_coordinates(part.astype(np.float32), where, order=1, mode="nearest")


def place_in_crop(request: CropRequest, position: ArrayLike) -> NDArray[np.float64]:
    """(2,) pixel [y, x] of a crop at which an index position is, from 0 at the first pixel's centre."""
    axes = list(request.axes)
    away = np.asarray(position, dtype=float)[axes] - np.asarray(request.center, dtype=float)[axes]
    return away * request.pixels / request.extent + (request.pixels - 1) / 2


def position_in_image(request: CropRequest, place: ArrayLike) -> tuple[float, ...]:
    """Index position of a pixel [y, x] of a crop; across the plane it is that of the crop's centre."""
    position = list(request.center)
    away = (np.asarray(place, dtype=float) - (request.pixels - 1) / 2) * request.extent / request.pixels
    for axis, value in zip(request.axes, away.tolist(), strict=True):
        position[axis] += value
    return tuple(position)


def _plane(array: NDArray, request: CropRequest) -> NDArray:
    """The shown slice of a volume, its axes in the order of the request; a picture itself."""
    cut: list[slice | int] = [slice(None)] * array.ndim
    for axis in set(range(array.ndim)) - set(request.axes):
        cut[axis] = min(max(round(request.center[axis]), 0), array.shape[axis] - 1)
    plane = array[tuple(cut)]
    return plane if request.axes[0] < request.axes[1] else plane.T


def _part(
    plane: NDArray, rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> tuple[NDArray, tuple[int, int]]:
    bounds = []
    for values, size in ((rows, plane.shape[0]), (columns, plane.shape[1])):
        low = min(max(int(np.floor(values[0])) - 1, 0), size - 1)
        high = min(max(int(np.ceil(values[-1])) + 2, low + 1), size)
        bounds.append((low, high))
    (top, bottom), (left, right) = bounds
    return plane[top:bottom, left:right], (top, left)
