"""Candidate poses of an image: turned, mirrored, inverted, each fitted into the working grid."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.cohort.content_box import content_box
from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.cohort.working_grid import fit_canvas_transform
from napari_landmark.data.geometry import Geometry


@dataclass(frozen=True, eq=False)
class ContentBounds:
    """Edges of an image's content on its upright working grid.

    Parameters
    ----------
    canvas : tuple of int
        Shape of the working grid.
    low, high : (d,) arrays
        Outer edges in pixels of the working grid; the first pixel reaches from -0.5 to 0.5.
    is_cut : bool
        Whether uniform borders are outside.
    """

    canvas: tuple[int, ...]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    is_cut: bool = False

    @classmethod
    def of_image(
        cls, geometry: Geometry, canvas: tuple[int, ...], upright: NDArray[np.float32] | None = None
    ) -> ContentBounds:
        """Edges of the whole image, or of the part inside its uniform borders where its upright grid is given.

        Volumes are not cut: outside of the object, many hold nothing but zeros.
        """
        corners = np.stack([np.full(geometry.ndim, -0.5), np.asarray(geometry.shape) - 0.5])
        corners = fit_canvas_transform(geometry, canvas).to_working(corners)
        low, high = corners.min(0), corners.max(0)
        box = None if upright is None or geometry.ndim != 2 else content_box(upright)
        if box is None:
            return cls(canvas, low, high)
        return cls(canvas, np.maximum(low, box[0] - 0.5), np.minimum(high, box[1] - 0.5), True)

    def including(self, points: NDArray[np.float64]) -> ContentBounds:
        """Bounds that hold points (n, d) of the upright grid, too; NaN are left out."""
        points = points[~np.isnan(points).any(1)]
        if not len(points):
            return self
        low, high = (np.minimum(self.low, points.min(0)), np.maximum(self.high, points.max(0)))
        return ContentBounds(self.canvas, low, high, self.is_cut)

    def fit(self, rotation: NDArray[np.float64], *, inverted: bool = False) -> Pose:
        """Pose of that rotation or reflection in which the content fills the working grid, centred.

        Between quarter turns the scale is between theirs: corners may lie outside.
        """
        nearest = np.round(rotation)
        share = (self.high - self.low) / np.asarray(self.canvas)
        if not self.is_cut and not inverted and np.array_equal(rotation, np.eye(len(share))):
            return Pose.upright(len(share))
        if abs(np.linalg.det(nearest)) == 1 and np.allclose(nearest, rotation):
            scale = self._scale(nearest)
        else:
            scale = float(
                np.exp(np.mean([math.log(self._scale(turn)) for turn in quarter_turns(len(share))]))
            )
        centre = (np.asarray(self.canvas) - 1) / 2
        shift = ((self.low + self.high) / 2 - centre) / max(self.canvas)
        return Pose(scale * rotation, shift, inverted)

    def _scale(self, turn: NDArray[np.float64]) -> float:
        return float((abs(turn.T) @ (self.high - self.low) / np.asarray(self.canvas)).max())


def quarter_turns(dims: int, *, mirrored: bool = False) -> list[NDArray[np.float64]]:
    """Rotations by quarter turns, the identity first: 4 of a picture, 24 of a volume; or as many reflections."""
    found = []
    for axes in itertools.permutations(range(dims)):
        for signs in itertools.product((1.0, -1.0), repeat=dims):
            matrix = np.zeros((dims, dims))
            matrix[range(dims), axes] = signs
            if (np.linalg.det(matrix) < 0) == mirrored:
                found.append(matrix)
    return sorted(found, key=lambda matrix: -np.trace(matrix))


def coarse_poses(bounds: Sequence[ContentBounds], *, mirror: bool, between: bool = False) -> list[Pose]:
    """Candidates at quarter turns, mirrored or not, of both contrasts.

    Parameters
    ----------
    bounds : sequence of ContentBounds
        Each is fitted.
    mirror : bool
        Mirrored ones, too.
    between : bool
        Half-way between the quarter turns instead; pictures only.
    """
    dims = len(bounds[0].canvas)
    half = _plane_rotation(45.0) if between else np.eye(dims)
    return [
        part.fit(half @ turn, inverted=inverted)
        for part in bounds
        for inverted in (False, True)
        for mirrored in ((False, True) if mirror else (False,))
        for turn in quarter_turns(dims, mirrored=mirrored)
    ]


def scaled(pose: Pose, factor: float) -> Pose:
    """The pose with the content shown larger (factor below 1) or smaller about the centre of the grid."""
    return pose.then(Pose.of_rotation(np.eye(pose.ndim), scale=factor))


def _plane_rotation(degrees: float) -> NDArray[np.float64]:
    angle = math.radians(degrees)
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
