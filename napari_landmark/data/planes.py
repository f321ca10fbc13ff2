"""Axial, coronal and sagittal planes of a volume as they are shown: axes, flips, names, letters at the edges.

Nothing is resampled: a plane is one slice of the array along one of its axes. Where the axes of the array are turned
against those of the patient, the plane is oblique, and its name and letters say so.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry

_NAMES = ("axial", "coronal", "sagittal")
_INDEX_NAMES = ("z", "y", "x")
# World axes [z, y, x] point to superior, posterior and left.
_LETTERS = (("I", "S"), ("A", "P"), ("R", "L"))
# Radiological convention: rows and columns of each plane as world axes, and whether these count up on the screen. The
# patient's left is on the right, anterior on top; above the feet, superior is on top and anterior on the left.
_ON_SCREEN = (
    ((1, True), (2, True)),
    ((0, False), (2, True)),
    ((0, False), (1, True)),
)
_LEAST_COMPONENT = 0.2
"""Part of a direction, about 12 degrees, from which on its letter is shown beside the main one."""
_STRAIGHT = 0.5  # degrees; headers are rounded


@dataclass(frozen=True)
class Plane:
    """Slices of a volume across one axis of its array, as rows and columns on a screen.

    Parameters
    ----------
    axis : int
        Of the array, across the plane.
    row_axis, column_axis : int
        Of the array, down and across the screen.
    row_flipped, column_flipped : bool
        Whether indices count up towards the top, or towards the left.
    name : str
        'axial', 'coronal' or 'sagittal'; 'z', 'y' or 'x' where the file does not say how it lies in the patient.
    tilt : float
        Degrees between the normal of the plane and that of the plane of its name; 0 where there is no such name.
    letters : tuple of str
        Sides of the patient at the top, bottom, left and right edge, such as 'A', 'P', 'R', 'L', of an oblique plane
        several, the main one first; empty where they are not known.
    shape : tuple of int
        Rows and columns.
    spacing : tuple of float
        Length of a row and of a column, in mm or in voxels.
    """

    axis: int
    row_axis: int
    column_axis: int
    row_flipped: bool
    column_flipped: bool
    name: str
    tilt: float
    letters: tuple[str, str, str, str]
    shape: tuple[int, int]
    spacing: tuple[float, float]

    @property
    def is_oblique(self) -> bool:
        """Whether the plane is turned against the plane of its name."""
        return self.tilt > _STRAIGHT

    @property
    def title(self) -> str:
        """Name for people, such as 'Axial' or 'Axial, oblique by 23°'."""
        return (
            f"{self.name.capitalize()}, oblique by {self.tilt:.0f}°"
            if self.is_oblique
            else self.name.capitalize()
        )

    def slice(self, array: NDArray, index: int) -> NDArray:
        """(rows, columns) view of slice `index` of a volume, as it is shown.

        Raises
        ------
        IndexError
            There is no such slice.
        """
        return self.oriented(array[(slice(None),) * self.axis + (index,)])

    def oriented(self, flat: NDArray) -> NDArray:
        """(rows, columns) view, as it is shown, of an array without the axis across the plane."""
        shown = flat if self.row_axis < self.column_axis else flat.T
        return shown[:: -1 if self.row_flipped else 1, :: -1 if self.column_flipped else 1]

    def to_plane(self, points: ArrayLike) -> NDArray[np.float64]:
        """(n, 2) row and column on the shown slice, pixel centres at integers, of index positions (n, 3)."""
        points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        rows, columns = points[:, self.row_axis], points[:, self.column_axis]
        rows = self.shape[0] - 1 - rows if self.row_flipped else rows
        columns = self.shape[1] - 1 - columns if self.column_flipped else columns
        return np.stack([rows, columns], axis=1)

    def to_index(self, row: float, column: float, index: float) -> tuple[float, float, float]:
        """Index position in the volume of a row and column on slice `index`."""
        position = [0.0, 0.0, 0.0]
        position[self.axis] = float(index)
        position[self.row_axis] = self.shape[0] - 1 - row if self.row_flipped else row
        position[self.column_axis] = self.shape[1] - 1 - column if self.column_flipped else column
        return (position[0], position[1], position[2])


def orthogonal_planes(geometry: Geometry) -> tuple[Plane, Plane, Plane]:
    """The axial, coronal and sagittal plane of a volume, or of an unknown pose those across its z, y and x axis.

    Parameters
    ----------
    geometry : Geometry
        Of three axes. The planes are those of its array; of an oblique volume each gets the name that is nearest.

    Raises
    ------
    InputError
        The geometry is that of a picture.

    Examples
    --------
    >>> axial, coronal, sagittal = orthogonal_planes(Geometry((4, 5, 6), is_anatomical=True))
    >>> axial.title, axial.letters
    ('Axial', ('A', 'P', 'R', 'L'))
    """
    if geometry.ndim != 3:
        raise InputError("a picture has no planes: open a volume")
    if not geometry.is_anatomical:
        return (_index_plane(geometry, 0), _index_plane(geometry, 1), _index_plane(geometry, 2))
    direction = np.asarray(geometry.direction)
    direction = direction / np.linalg.norm(direction, axis=0)
    # Array axis that is nearest to each world axis, all three together.
    axes = max(
        itertools.permutations(range(3)), key=lambda order: sum(abs(direction[w, order[w]]) for w in range(3))
    )
    planes = tuple(_anatomical_plane(geometry, direction, axes, world) for world in range(3))
    return (planes[0], planes[1], planes[2])


def _index_plane(geometry: Geometry, axis: int) -> Plane:
    row_axis, column_axis = (other for other in range(3) if other != axis)
    return _plane(
        geometry, (axis, row_axis, column_axis), (False, False), _INDEX_NAMES[axis], 0.0, ("", "", "", "")
    )


def _anatomical_plane(
    geometry: Geometry, direction: NDArray[np.float64], axes: tuple[int, ...], world: int
) -> Plane:
    tilt = math.degrees(math.acos(min(1.0, abs(direction[world, axes[world]]))))
    flips, letters, used = [], [], [axes[world]]
    for other, counts_up in _ON_SCREEN[world]:
        axis = axes[other]
        flipped = (direction[other, axis] > 0) != counts_up
        towards = -direction[:, axis] if flipped else direction[:, axis]
        used.append(axis)
        flips.append(flipped)
        letters += [_letters(-towards), _letters(towards)]
    top, bottom, left, right = letters
    return _plane(
        geometry,
        (used[0], used[1], used[2]),
        (flips[0], flips[1]),
        _NAMES[world],
        tilt,
        (top, bottom, left, right),
    )


def _plane(
    geometry: Geometry,
    axes: tuple[int, int, int],
    flips: tuple[bool, bool],
    name: str,
    tilt: float,
    letters: tuple[str, str, str, str],
) -> Plane:
    spacing = geometry.spacing or (1.0, 1.0, 1.0)
    axis, row_axis, column_axis = axes
    return Plane(
        axis=axis,
        row_axis=row_axis,
        column_axis=column_axis,
        row_flipped=flips[0],
        column_flipped=flips[1],
        name=name,
        tilt=tilt,
        letters=letters,
        shape=(geometry.shape[row_axis], geometry.shape[column_axis]),
        spacing=(spacing[row_axis], spacing[column_axis]),
    )


def _letters(direction: NDArray[np.float64]) -> str:
    """Letters of the sides of the patient that a direction points to, the main one first."""
    order = np.argsort(-np.abs(direction), kind="stable")
    return "".join(
        _LETTERS[axis][int(direction[axis] > 0)] for axis in order if abs(direction[axis]) >= _LEAST_COMPONENT
    )
