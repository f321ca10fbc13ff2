"""Geometry of an image in the world: shape, spacing, origin and direction, all in array axis order."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_landmark.data.errors import InputError, UnknownSpacingError

_EXACT = 1e-3  # largest scalar product of two axes, and difference of a squared length from 1
_ROUNDED = 5e-3  # the same in a header written with three digits


class SpacingSource(StrEnum):
    """Source of the spacing."""

    FILE = "file"
    USER = "user"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Geometry:
    """Shape, spacing, origin and direction of an image array.

    Every tuple is in array axis order ([y, x] or [z, y, x]); pixel centres are at integer indices.

    Parameters
    ----------
    shape : tuple of int
        Shape of the array.
    spacing : tuple of float, optional
        Millimetres per index step along each axis; None where it is not known.
    origin : tuple of float, optional
        World position in mm of index 0; zeros by default.
    direction : tuple of tuple of float, optional
        Matrix whose columns are the world directions of the array axes; identity by default.
    spacing_source : SpacingSource, optional
        Source of the spacing. USER where a spacing is given without a source.
    spacing_plane : str, optional
        Plane in which the spacing was measured, where the file of a projection says so: 'calibrated' (of the
        patient), 'detector plane', 'film plane'.
    is_anatomical : bool, optional
        Whether the file itself says how the axes lie in the patient, so that their ends may be called left or right.
        Equal geometries may differ in it: it describes the same grid.

    Raises
    ------
    InputError
        Where a value is not possible: an axis of no pixels, a spacing not above 0, a singular direction.

    Examples
    --------
    >>> geometry = Geometry((1200, 968), spacing=(0.1, 0.1))
    >>> geometry.to_world([[10, 20]]).round(3).tolist()
    [[1.0, 2.0]]
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...] | None = None
    origin: tuple[float, ...] = ()
    direction: tuple[tuple[float, ...], ...] = ()
    spacing_source: SpacingSource = SpacingSource.UNKNOWN
    spacing_plane: str = ""
    is_anatomical: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        shape = tuple(int(size) for size in self.shape)
        ndim = len(shape)
        if ndim not in (2, 3) or min(shape) < 1:
            raise InputError(f"an image of shape {shape}: expected two or three axes, none of them empty")
        origin = tuple(float(value) for value in self.origin) or (0.0,) * ndim
        direction = tuple(tuple(float(value) for value in row) for row in self.direction) or _identity(ndim)
        _check_orientation(origin, direction, ndim)
        spacing, source = self.spacing, SpacingSource(self.spacing_source)
        if spacing is None:
            source = SpacingSource.UNKNOWN
            object.__setattr__(self, "spacing_plane", "")
        else:
            spacing = _checked_spacing(spacing, ndim)
            source = SpacingSource.USER if source is SpacingSource.UNKNOWN else source
        for name, value in (
            ("shape", shape),
            ("origin", origin),
            ("direction", direction),
            ("spacing", spacing),
            ("spacing_source", source),
        ):
            object.__setattr__(self, name, value)

    @property
    def ndim(self) -> int:
        """Number of axes, 2 or 3."""
        return len(self.shape)

    @property
    def has_spacing(self) -> bool:
        """Whether the spacing is known, so that lengths can be given in mm."""
        return self.spacing is not None

    @property
    def spacing_statement(self) -> str:
        """Source of the spacing and its plane, such as 'file (detector plane)'."""
        return (
            f"{self.spacing_source} ({self.spacing_plane})"
            if self.spacing_plane
            else str(self.spacing_source)
        )

    @property
    def mean_spacing(self) -> float | None:
        """Geometric mean of the spacing in mm, None where it is not known."""
        return None if self.spacing is None else math.prod(self.spacing) ** (1 / self.ndim)

    def to_world(self, points: ArrayLike) -> NDArray[np.float64]:
        """World positions of index positions.

        Parameters
        ----------
        points : (n, ndim) array_like
            Continuous index coordinates in array axis order.

        Returns
        -------
        (n, ndim) array
            Millimetres, in array axis order.

        Raises
        ------
        UnknownSpacingError
            Where the spacing is not known.
        """
        return as_points(points, self.ndim) @ self._matrix().T + np.asarray(self.origin)

    def to_index(self, points: ArrayLike) -> NDArray[np.float64]:
        """Index positions of world positions; the inverse of `to_world`."""
        shifted = as_points(points, self.ndim) - np.asarray(self.origin)
        return np.linalg.solve(self._matrix(), shifted.T).T

    def contains(self, points: ArrayLike, margin: float = 0.0) -> NDArray[np.bool_]:
        """Test which index positions are on the image.

        A pixel reaches half an index step to each side of its centre. NaN is on no image.

        Parameters
        ----------
        points : (n, ndim) array_like
            Index coordinates.
        margin : float, optional
            Pixels beyond the border that still count; negative for an inner part only.

        Returns
        -------
        (n,) array of bool
        """
        points = as_points(points, self.ndim)
        upper = np.asarray(self.shape) - 0.5 + margin
        return np.all((points >= -0.5 - margin) & (points <= upper), axis=1)

    def with_spacing(
        self, spacing: float | Sequence[float], source: SpacingSource = SpacingSource.USER
    ) -> Geometry:
        """Replace the spacing; the world position of index 0 stays.

        Parameters
        ----------
        spacing : float or sequence of float
            Millimetres per pixel, one value for all axes or one for each.
        source : SpacingSource, optional
            Source of the new spacing.
        """
        if isinstance(spacing, int | float | np.number):
            spacing = (float(spacing),) * self.ndim
        return dataclasses.replace(self, spacing=tuple(spacing), spacing_source=source, spacing_plane="")

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values, of which `from_json` makes an equal geometry."""
        return {
            "shape": list(self.shape),
            "spacing": None if self.spacing is None else list(self.spacing),
            "origin": list(self.origin),
            "direction": [list(row) for row in self.direction],
            "spacing_source": self.spacing_source.value,
            "spacing_plane": self.spacing_plane,
            "is_anatomical": self.is_anatomical,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Geometry:
        """The geometry of which `to_json` gave these values.

        Raises
        ------
        InputError, LookupError, TypeError, ValueError, OverflowError
            The values are none of a geometry.
        """
        return cls(
            shape=tuple(content["shape"]),
            spacing=content["spacing"],
            origin=tuple(content["origin"]),
            direction=tuple(map(tuple, content["direction"])),
            spacing_source=SpacingSource(content["spacing_source"]),
            spacing_plane=str(content.get("spacing_plane", "")),
            is_anatomical=content.get("is_anatomical") is True,
        )

    def _matrix(self) -> NDArray[np.float64]:
        if self.spacing is None:
            raise UnknownSpacingError("the distance between pixels, in mm per pixel, is not known")
        return np.asarray(self.direction) * np.asarray(self.spacing)


def as_points(points: ArrayLike, ndim: int) -> NDArray[np.float64]:
    """Convert points to an (n, ndim) array of float64; ValueError for another shape."""
    array = np.asarray(points, dtype=np.float64)
    if array.size == 0:
        return array.reshape(0, ndim)
    if array.ndim != 2 or array.shape[1] != ndim:
        raise ValueError(f"expected points of shape (n, {ndim}), got {array.shape}")
    return array


def nearest_rotation(direction: ArrayLike) -> NDArray[np.float64]:
    """Correct the rounding of a direction matrix read from a file.

    Parameters
    ----------
    direction : (n, n) array_like
        Its columns are the directions of the axes.

    Returns
    -------
    (n, n) array
        As given where its axes are at right angles and of length one within 0.001; the nearest orthonormal matrix
        (of the same handedness) within 0.005, about 0.3 degrees.

    Raises
    ------
    InputError
        Without a file's name, where it is not finite or further from orthonormal: the grid is sheared.
    """
    matrix = np.asarray(direction, dtype=np.float64)
    if not np.isfinite(matrix).all():
        raise InputError(
            "has an orientation that is not finite, it seems damaged: save it again or remove it"
        )
    deviation = np.abs(matrix.T @ matrix - np.eye(len(matrix))).max()
    if deviation <= _EXACT:
        return matrix
    if deviation > _ROUNDED:
        raise InputError("has axes that are not at right angles (sheared): resample it onto a regular grid")
    left, _, right = np.linalg.svd(matrix)
    return left @ right


def _identity(ndim: int) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(row == column) for column in range(ndim)) for row in range(ndim))


def _checked_spacing(spacing: Sequence[float], ndim: int) -> tuple[float, ...]:
    values = tuple(float(value) for value in spacing)
    if len(values) != ndim:
        raise InputError(
            f"a spacing of {len(values)} values for an image of {ndim} axes: give one value or {ndim}"
        )
    if not all(math.isfinite(value) and value > 0 for value in values):
        raise InputError(f"a spacing of {values}: expected positive millimetres per pixel")
    return values


def _check_orientation(
    origin: tuple[float, ...], direction: tuple[tuple[float, ...], ...], ndim: int
) -> None:
    if len(origin) != ndim or not all(map(math.isfinite, origin)):
        raise InputError(f"an origin of {origin} for an image of {ndim} axes: expected {ndim} finite values")
    matrix = np.asarray(direction) if all(len(row) == ndim for row in direction) else np.empty(0)
    if matrix.shape != (ndim, ndim) or not np.isfinite(matrix).all():
        raise InputError(f"a direction of {direction}: expected a {ndim} x {ndim} matrix of finite values")
    if abs(np.linalg.det(matrix)) < 1e-6:
        raise InputError(f"a direction of {direction}: its axes do not span the space")
