"""Expected errors of the predictions of a cohort: by landmark, by image, and the most doubtful points."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.images.display import display_range, scale_to_unit
from napari_landmark.data.landmarks import Landmark, LandmarkSet

_CROP_SIDE = 180  # pixels of a picture
_CROP_PART = 0.14  # of the longest side of the image that a picture shows at least
_CROP_RINGS = 3.0  # expected errors between the middle of a picture and its border at least
_STATES = {
    ImageState.DOUBTFUL: "doubtful",
    ImageState.FOREIGN: "not this anatomy?",
    ImageState.SEVERAL: "several subjects?",
}


@dataclass(frozen=True)
class LandmarkErrors:
    """Expected errors of one landmark in all images.

    Parameters
    ----------
    name, color : str
    count : int
        Number of images in which it was found.
    median, largest : float or None
        In the unit of the table; None where none is known.
    worst_image : str
        Image of the largest one; empty without.
    """

    name: str
    color: str
    count: int
    median: float | None
    largest: float | None
    worst_image: str


@dataclass(frozen=True)
class ImageErrors:
    """Expected errors of the landmarks of one image.

    Parameters
    ----------
    name, state : str
        The state is empty for a usual image.
    count : int
        Number of landmarks that were found.
    mean, largest : float or None
        In the unit of the table; None where none is known.
    worst_landmark : str
        Landmark of the largest one; empty without.
    """

    name: str
    state: str
    count: int
    mean: float | None
    largest: float | None
    worst_landmark: str


@dataclass(frozen=True)
class DoubtfulPoint:
    """One predicted position.

    Parameters
    ----------
    image, landmark : str
    error : float
        In the unit of the table.
    mark : Landmark
        In native index coordinates.
    """

    image: str
    landmark: str
    error: float
    mark: Landmark


class ErrorTables:
    """Tables of the expected errors of predictions.

    Parameters
    ----------
    cohort : Cohort
    predictions : mapping of str to LandmarkSet
        By name of the image.

    Attributes
    ----------
    unit : str
        'mm' where the spacing of all predicted images is known, else 'px' of the image.
    """

    def __init__(self, cohort: Cohort, predictions: Mapping[str, LandmarkSet]) -> None:
        spacings = {name: cohort.geometry(cohort.index(name)).mean_spacing for name in predictions}
        scaled = bool(spacings) and None not in spacings.values()
        self.unit = "mm" if scaled else "px"
        self._predictions = dict(predictions)
        self._lengths = {name: (spacing or 1.0) if scaled else 1.0 for name, spacing in spacings.items()}

    @property
    def landmarks(self) -> list[LandmarkErrors]:
        """A row a landmark, the largest median first."""
        schema = next(iter(self._predictions.values())).schema if self._predictions else None
        rows = []
        for name, color in () if schema is None else zip(schema.names, schema.colors, strict=True):
            found = [marks[name] for marks in self._predictions.values()]
            errors = {image: self._error(image, name) for image in self._predictions}
            known = {image: error for image, error in errors.items() if error is not None}
            worst = max(known, key=known.__getitem__, default="")
            rows.append(
                LandmarkErrors(
                    name,
                    color,
                    sum(mark.position is not None for mark in found),
                    float(np.median(list(known.values()))) if known else None,
                    known.get(worst),
                    worst,
                )
            )
        return sorted(rows, key=lambda row: -math.inf if row.median is None else -row.median)

    @property
    def images(self) -> list[ImageErrors]:
        """A row an image, the largest mean first; before them those without any expected error."""
        rows = []
        for image, marks in self._predictions.items():
            errors = {name: self._error(image, name) for name in marks}
            known = {name: error for name, error in errors.items() if error is not None}
            worst = max(known, key=known.__getitem__, default="")
            rows.append(
                ImageErrors(
                    image,
                    state_text(marks),
                    sum(mark.position is not None for mark in marks.values()),
                    float(np.mean(list(known.values()))) if known else None,
                    known.get(worst),
                    worst,
                )
            )
        return sorted(rows, key=lambda row: -math.inf if row.mean is None else -row.mean)

    def doubtful_points(self, most: int) -> list[DoubtfulPoint]:
        """The positions with the largest expected errors, the largest first."""
        points = [
            DoubtfulPoint(image, name, error, mark)
            for image, marks in self._predictions.items()
            for name, mark in marks.items()
            if mark.position is not None and (error := self._error(image, name)) is not None
        ]
        return sorted(points, key=lambda point: -point.error)[:most]

    def _error(self, image: str, landmark: str) -> float | None:
        error = self._predictions[image][landmark].expected_error
        return None if error is None or not math.isfinite(error) else error * self._lengths[image]


def state_text(marks: LandmarkSet) -> str:
    """State of an image to look at; empty otherwise."""
    return "" if marks.image_state is None else _STATES.get(marks.image_state, "")


def doubtful_crops(cohort: Cohort, points: list[DoubtfulPoint]) -> list[NDArray[np.uint8]]:
    """(side, side, 3) parts of pictures around points, with a cross and a ring of the expected error around each."""
    crops: dict[int, NDArray[np.uint8]] = {}
    for image in dict.fromkeys(point.image for point in points):  # each file is read once
        array = cohort.read(cohort.index(image)).array
        limits = display_range(array)
        crops |= {n: _crop(array, limits, one.mark) for n, one in enumerate(points) if one.image == image}
    return [crops[number] for number in range(len(points))]


def _crop(array: NDArray, limits: tuple[float, float], mark: Landmark) -> NDArray[np.uint8]:
    error = mark.expected_error or 0.0
    position = (0.0, 0.0) if mark.position is None else mark.position
    half = max(0.5 * _CROP_PART * max(array.shape), _CROP_RINGS * error)
    top, left = (round(centre - half) for centre in position)
    size = max(3, round(2 * half))
    part = np.full((size, size), limits[0], np.float32)  # black beyond the image
    rows = slice(max(top, 0), min(top + size, array.shape[0]))
    columns = slice(max(left, 0), min(left + size, array.shape[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        part[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = array[
            rows, columns
        ]
    grey = (255 * scale_to_unit(part, limits)).astype(np.uint8)
    picture = Image.fromarray(grey).resize((_CROP_SIDE, _CROP_SIDE), Image.Resampling.BILINEAR).convert("RGB")
    scale = _CROP_SIDE / size
    y, x = ((centre - start + 0.5) * scale for centre, start in zip(position, (top, left), strict=True))
    pen = ImageDraw.Draw(picture)
    for first, last in ((-14, -5), (5, 14)):
        pen.line((x + first, y, x + last, y), fill="#ffd34d")
        pen.line((x, y + first, x, y + last), fill="#ffd34d")
    radius = error * scale
    if radius > 2:
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline="#4dd2ff")
    return np.asarray(picture)
