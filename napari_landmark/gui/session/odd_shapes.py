"""Odd shapes of the images of a study, as a second order of review beside the expected errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from napari_landmark.data.geometry import Geometry
from napari_landmark.shape.analysis import OddShape, odd_shapes
from napari_landmark.shape.outliers import find_shape_outliers
from napari_landmark.shape.procrustes import Array


@dataclass(frozen=True, eq=False)
class OddShapes:
    """What is odd about the shape of each image, whether a person or a model placed its landmarks.

    Parameters
    ----------
    images : tuple of str
        Names of all images, the oddest first.
    shapes : dict of str to OddShape
        By name; an image that was changed since is taken out.
    """

    images: tuple[str, ...]
    shapes: dict[str, OddShape] = field(default_factory=dict)

    @classmethod
    def find(
        cls,
        images: Sequence[str],
        names: Sequence[str],
        positions: Array,
        geometries: Sequence[Geometry],
        *,
        side_pairs: Sequence[tuple[int, int]] = (),
    ) -> Self:
        """Compare the shapes of all images; takes seconds with 10,000, hence a thread does.

        Parameters
        ----------
        images, names : sequence of str
            Images and landmarks, in the order of the positions.
        positions : (n, k, d) array
            Index coordinates, NaN where a landmark is missing. It is changed.
        geometries : sequence of Geometry
            Of the images: world coordinates are compared where the spacing is known.
        side_pairs : sequence of pair of int, optional
            Rows of left and right landmarks.
        """
        for row, geometry in enumerate(geometries):
            there = ~np.isnan(positions[row, :, 0])
            if geometry.has_spacing and there.any():
                positions[row, there] = geometry.to_world(positions[row, there])
        found = odd_shapes(images, names, find_shape_outliers(positions, side_pairs=side_pairs))
        return cls(tuple(shape.image for shape in found), {shape.image: shape for shape in found})

    @property
    def n_found(self) -> int:
        """Number of images with a finding."""
        return sum(bool(shape.finding) for shape in self.shapes.values())

    def forget(self, image: str) -> None:
        """Take out an image whose landmarks changed; its place in the order stays."""
        self.shapes.pop(image, None)
