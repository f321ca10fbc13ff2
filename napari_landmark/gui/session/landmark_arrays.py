"""Landmarks of many images as arrays."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import Self

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.image_state import ImageState
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status

_STATUSES = tuple(Status)
_CODES = {status: code for code, status in enumerate(_STATUSES)}
_MANUAL = np.array([status.is_manual for status in _STATUSES])
_LARGEST_NDIM = 3


@dataclass(frozen=True, eq=False)
class LandmarkColumns:
    """Landmarks of n images and m names; rows of unknown images and columns of unknown names are unplaced.

    Parameters
    ----------
    status : (n, m) array
        Codes: a status is number `code(status)`.
    has_position : (n, m) array of bool
    expected_errors : (n, m) array
        In native pixels, NaN where unknown.
    """

    status: NDArray[np.uint8]
    has_position: NDArray[np.bool_]
    expected_errors: NDArray[np.float64]

    @property
    def is_manual(self) -> NDArray[np.bool_]:
        """(n, m): where a person decided."""
        return _MANUAL[self.status]

    def has_status(self, status: Status) -> NDArray[np.bool_]:
        """(n, m): where the status is that one."""
        return self.status == _CODES[status]

    def completed_by(self, others: LandmarkColumns) -> LandmarkColumns:
        """Those of a person, completed by others of the same images and names."""
        manual = self.is_manual
        return LandmarkColumns(
            np.where(manual, self.status, others.status),
            np.where(manual, self.has_position, others.has_position),
            np.where(manual, self.expected_errors, others.expected_errors),
        )


class LandmarkArrays:
    """Landmark sets of images by name, kept as arrays.

    Those of ten thousand images are a few megabytes; as objects they would be half a million, through which Python
    searches for garbage now and then while everything waits. Sets may have names that others have not, such as those
    of landmarks that left the schema of a study.
    """

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._image_states: dict[str, ImageState] = {}
        self._columns: dict[str, int] = {}
        self._positions = np.empty((0, 0, _LARGEST_NDIM))  # in array axis order, pictures with NaN in front
        self._status = np.empty((0, 0), np.uint8)
        self._confidences = np.empty((0, 0))
        self._errors = np.empty((0, 0))
        self._covered = np.empty((0, 0), bool)
        self._covariances = np.empty((0, 0, _LARGEST_NDIM, _LARGEST_NDIM))
        # The set that was asked for last: widgets and layers ask for those of the current image, one after another.
        self._last: tuple[str, LandmarkSchema, LandmarkSet] | None = None

    @classmethod
    def gather(cls, sets: Iterable[tuple[str, LandmarkSet]]) -> Self:
        """Arrays of landmark sets with the names of their images."""
        made = cls()
        for image, marks in sets:
            made.put(image, marks)
        return made

    @property
    def images(self) -> Collection[str]:
        """Names of the images."""
        return self._rows.keys()

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, image: str, marks: LandmarkSet) -> None:
        """Replace the landmarks of an image."""
        self._last = None
        self._image_states.pop(image, None)
        if marks.image_state is not None:
            self._image_states[image] = marks.image_state
        row = self._row(image)
        if any(name not in self._columns for name in marks):
            self._add_columns(marks)
        for array, empty in self._arrays():
            array[row] = empty
        columns = [self._columns[name] for name in marks]
        values = marks.values()
        ndim = marks.ndim or _LARGEST_NDIM
        self._positions[row, columns, _LARGEST_NDIM - ndim :] = marks.positions(ndim)
        self._status[row, columns] = [_CODES[mark.status] for mark in values]
        self._confidences[row, columns] = marks.confidences()
        self._errors[row, columns] = marks.expected_errors()
        self._covered[row, columns] = [mark.covered for mark in values]
        first = _LARGEST_NDIM - ndim
        self._covariances[row, columns, first:, first:] = marks.covariances(ndim)

    def get(self, image: str, schema: LandmarkSchema) -> LandmarkSet:
        """Landmarks of an image with the names of a schema, unplaced where nothing is known."""
        if self._last is not None and self._last[0] == image and self._last[1] is schema:
            return self._last[2]
        row = self._rows.get(image)
        known = [(name, self._columns[name]) for name in schema.names if name in self._columns]
        marks = [] if row is None else [self._landmark(row, name, column) for name, column in known]
        made = LandmarkSet(schema, marks, image_state=self.image_state(image))
        self._last = image, schema, made
        return made

    def image_state(self, image: str) -> ImageState | None:
        """State of an image that came with its landmarks."""
        return self._image_states.get(image)

    @property
    def judged_images(self) -> Collection[str]:
        """Names of the images that have a state."""
        return self._image_states.keys()

    def columns(self, images: Collection[str], schema: LandmarkSchema) -> LandmarkColumns:
        """Landmarks of many images, in the order of their names and of the schema."""
        rows, columns = self._cells(images, schema)
        has_position = ~np.isnan(self._positions[..., -1])  # of all: cheaper than to take all coordinates
        return LandmarkColumns(
            _taken(self._status, _CODES[Status.UNPLACED], rows, columns),
            _taken(has_position, False, rows, columns),
            _taken(self._errors, np.nan, rows, columns),
        )

    def positions(self, images: Collection[str], schema: LandmarkSchema) -> NDArray[np.float64]:
        """Positions of many images, in the order of their names and of the schema.

        Returns
        -------
        (n, m, 3) array
            Index coordinates in array axis order, of pictures with NaN in front; NaN without a position.
        """
        return _taken(self._positions, np.nan, *self._cells(images, schema))

    def covariances(self, images: Collection[str], schema: LandmarkSchema) -> NDArray[np.float64]:
        """Covariances of the errors of many images, in the order of their names and of the schema.

        Returns
        -------
        (n, m, 3, 3) array
            In squared native pixels, in array axis order, of pictures with NaN in front; NaN where unknown.
        """
        return _taken(self._covariances, np.nan, *self._cells(images, schema))

    def _cells(
        self, images: Collection[str], schema: LandmarkSchema
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows of images and columns of landmarks; -1 for those without."""
        rows = np.fromiter(map(self._rows.get, images, repeat(-1)), np.intp, len(images))
        return rows, np.array([self._columns.get(name, -1) for name in schema.names], np.intp)

    def copy(self) -> Self:
        """A copy that later changes do not reach, such as for a thread."""
        made = type(self)()
        made._rows, made._columns = dict(self._rows), dict(self._columns)
        made._image_states = dict(self._image_states)
        made._positions, made._status = self._positions.copy(), self._status.copy()
        made._confidences, made._errors = self._confidences.copy(), self._errors.copy()
        made._covered, made._covariances = self._covered.copy(), self._covariances.copy()
        return made

    def update(self, other: LandmarkArrays) -> None:
        """Take over all landmark sets of others."""
        if not len(other):
            return
        self._last = None
        for name in other._columns:
            if name not in self._columns:
                self._add_columns((name,))
        rows = np.array([self._row(image) for image in other._rows])
        columns = np.array([self._columns[name] for name in other._columns])
        sources = np.fromiter(other._rows.values(), int, len(other._rows))
        for (array, empty), (given, _) in zip(self._arrays(), other._arrays(), strict=True):
            array[rows] = empty
            array[np.ix_(rows, columns)] = given[sources]
        for image in other._rows:
            self._image_states.pop(image, None)
        self._image_states.update(other._image_states)

    def same(self, other: LandmarkArrays) -> bool:
        """Whether both have the same landmarks of the same images, in whatever order."""
        if self._rows.keys() != other._rows.keys() or self._columns.keys() != other._columns.keys():
            return False
        if self._image_states != other._image_states:
            return False
        rows = np.array([other._rows[image] for image in self._rows], int)
        columns = np.array([other._columns[name] for name in self._columns], int)
        own = np.fromiter(self._rows.values(), int, len(self._rows))
        return all(
            np.array_equal(mine[own], theirs[np.ix_(rows, columns)], equal_nan=mine.dtype.kind == "f")
            for (mine, _), (theirs, _) in zip(self._arrays(), other._arrays(), strict=True)
        )

    def _arrays(self) -> tuple[tuple[NDArray, float], ...]:
        """The arrays with their value of an unplaced landmark."""
        return (
            (self._positions, np.nan),
            (self._status, _CODES[Status.UNPLACED]),
            (self._confidences, np.nan),
            (self._errors, np.nan),
            (self._covered, False),
            (self._covariances, np.nan),
        )

    def _row(self, image: str) -> int:
        row = self._rows.setdefault(image, len(self._rows))
        if row >= len(self._status):
            self._resize(max(16, 2 * len(self._status)), len(self._columns))
        return row

    def _add_columns(self, names: Iterable[str]) -> None:
        for name in names:
            self._columns.setdefault(name, len(self._columns))
        self._resize(len(self._status), len(self._columns))

    def _resize(self, rows: int, columns: int) -> None:
        def larger(array: NDArray, empty: float) -> NDArray:
            made = np.full((rows, columns, *array.shape[2:]), empty, array.dtype)
            made[: array.shape[0], : array.shape[1]] = array
            return made

        arrays = tuple(larger(array, empty) for array, empty in self._arrays())
        self._positions, self._status, self._confidences, self._errors, self._covered, self._covariances = (
            arrays
        )

    def _landmark(self, row: int, name: str, column: int) -> Landmark:
        position = [value for value in self._positions[row, column].tolist() if value == value]
        confidence, error = float(self._confidences[row, column]), float(self._errors[row, column])
        return Landmark(
            name,
            tuple(position) or None,
            _STATUSES[self._status[row, column]],
            confidence if confidence == confidence else None,
            error if error == error else None,
            bool(self._covered[row, column]),
            self._covariance(row, column, len(position)),
        )

    def _covariance(self, row: int, column: int, ndim: int) -> tuple[tuple[float, ...], ...] | None:
        first = _LARGEST_NDIM - ndim
        matrix = self._covariances[row, column, first:, first:].tolist()
        known = ndim > 0 and all(value == value for values in matrix for value in values)
        return tuple(map(tuple, matrix)) if known else None


def _taken(array: NDArray, empty: float, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray:
    """Cells of an array in some order; those of a negative row or column are empty."""
    if not array.shape[0] or not array.shape[1]:
        return np.full((len(rows), len(columns), *array.shape[2:]), empty, array.dtype)
    made = array.take(rows, axis=0, mode="clip").take(columns, axis=1, mode="clip")
    made[rows < 0] = empty
    made[:, columns < 0] = empty
    return made
