"""Pose of an image relative to the template's, in which its working grid is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_landmark.data.errors import InputError

_LARGEST_SCALE, _LARGEST_SHIFT = 100.0, 100.0
_NOTICED_ANGLE = 20.0  # degrees
_SIMILAR = 1e-3  # relative deviation of a similarity's axes from equal length and right angles


@dataclass(frozen=True, eq=False)
class Pose:
    """Similarity from the working grid of an image in the template's pose to its upright working grid.

    ``upright - c = matrix @ (posed - c) + shift * longest side``, with the centre c of the grid; the upright grid shows
    the whole image as it is in its file. So a pose does not depend on the working resolution.

    Parameters
    ----------
    matrix : (d, d) array
        Rotation, possibly with a reflection, times a scale above 0; in array axis order.
    shift : (d,) array
        In parts of the grid's longest side.
    inverted : bool
        Whether bright and dark are exchanged.

    Raises
    ------
    InputError
        The matrix is no similarity, or a value is not finite.

    Examples
    --------
    >>> Pose.of_rotation(np.eye(2)[::-1]).is_mirrored
    True
    """

    matrix: NDArray[np.float64]
    shift: NDArray[np.float64]
    inverted: bool = False

    def __post_init__(self) -> None:
        matrix, shift = np.array(self.matrix, float), np.array(self.shift, float)
        dims = len(shift) if shift.ndim == 1 else 0
        if dims not in (2, 3) or matrix.shape != (dims, dims):
            raise InputError(f"a pose with a matrix of shape {matrix.shape} and a shift of {shift.shape}")
        if not (np.isfinite(matrix).all() and np.isfinite(shift).all()):
            raise InputError("a pose with values that are not finite")
        scale = float(abs(np.linalg.det(matrix)) ** (1 / dims))
        if not 1 / _LARGEST_SCALE <= scale <= _LARGEST_SCALE or abs(shift).max() > _LARGEST_SHIFT:
            raise InputError(f"a pose of scale {scale:g}")
        if abs(matrix.T @ matrix / scale**2 - np.eye(dims)).max() > _SIMILAR:
            raise InputError("a pose whose matrix is no similarity")
        matrix.setflags(write=False)
        shift.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "shift", shift)
        object.__setattr__(self, "inverted", bool(self.inverted))

    @classmethod
    def upright(cls, dims: int) -> Pose:
        """The image as it is in its file."""
        return cls(np.eye(dims), np.zeros(dims))

    @classmethod
    def of_rotation(cls, rotation: ArrayLike, *, scale: float = 1.0, inverted: bool = False) -> Pose:
        """Rotation or reflection about the centre of the grid."""
        matrix = np.asarray(rotation, float) * scale
        return cls(matrix, np.zeros(len(matrix)), inverted)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shift)

    @property
    def scale(self) -> float:
        """Pixels of the upright grid per pixel of the posed one."""
        return float(abs(np.linalg.det(self.matrix)) ** (1 / self.ndim))

    @property
    def is_mirrored(self) -> bool:
        """Whether the image is a mirror image of what the template shows."""
        return bool(np.linalg.det(self.matrix) < 0)

    @property
    def angle(self) -> float:
        """Degrees, 0 to 180 for volumes, -180 to 180 and counterclockwise for pictures.

        Of the rotation that follows the reflection at the last axis (left-right) where there is one.
        """
        rotation = self.matrix / self.scale
        if self.is_mirrored:
            rotation = rotation @ np.diag([1.0] * (self.ndim - 1) + [-1.0])
        if self.ndim == 2:
            return math.degrees(math.atan2(rotation[1, 0], rotation[0, 0]))
        return math.degrees(math.acos(float(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))

    @property
    def is_upright(self) -> bool:
        """Whether the image is drawn as it is in its file."""
        same = np.allclose(self.matrix, np.eye(self.ndim), atol=1e-9) and not self.shift.any()
        return bool(same) and not self.inverted

    @property
    def is_turned(self) -> bool:
        """Whether someone who compares the image with the template sees it turned, mirrored or inverted."""
        return self.is_mirrored or self.inverted or abs(self.angle) >= _NOTICED_ANGLE

    def then(self, inner: Pose) -> Pose:
        """Pose of a grid that has the pose `inner` relative to the grid of this one."""
        return Pose(
            self.matrix @ inner.matrix,
            self.matrix @ inner.shift + self.shift,
            self.inverted != inner.inverted,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pose):
            return NotImplemented
        return (
            np.array_equal(self.matrix, other.matrix)
            and np.array_equal(self.shift, other.shift)
            and self.inverted == other.inverted
        )

    __hash__ = None  # type: ignore[assignment]

    def to_json(self) -> dict[str, Any]:
        """Plain values, all digits kept."""
        return {"matrix": self.matrix.tolist(), "shift": self.shift.tolist(), "inverted": self.inverted}

    @classmethod
    def from_json(cls, data: object) -> Pose:
        """Pose from the object of `to_json`; InputError for anything else."""
        try:
            if not isinstance(data, Mapping) or not isinstance(data["inverted"], bool):
                raise TypeError
            return cls(np.array(data["matrix"], float), np.array(data["shift"], float), data["inverted"])
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                "a pose was expected: an object with 'matrix', 'shift' and 'inverted'"
            ) from error
