"""Landmarks of many images as arrays in millimetres, with the standard deviations of their errors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSet

_PER_AXIS = {2: 1 / math.sqrt(math.pi / 2), 3: math.sqrt(math.pi / 8)}
"""Standard deviation along each axis of a mean radial error of 1: means of the Rayleigh and Maxwell distributions."""


@dataclass(frozen=True, eq=False)
class CohortLandmarks:
    """Landmarks of n images and m names.

    Parameters
    ----------
    images : tuple of str
    names : tuple of str
    positions : (n, m, ndim) array
        In array axis order along the axes of the image; millimetres where `has_spacing`, else pixels that are taken
        as square. NaN without a position.
    sigma : (n, m) array
        Standard deviation of the error along each axis, in the unit of the positions; NaN where it is not known. Where
        the axes differ, that of errors of the same mean length that are alike in all directions.
    roots : (n, m, ndim, ndim) array
        Symmetric square roots of the covariances of the errors; NaN where they are not known.
    is_manual : (n, m) array of bool
        Where a person placed, corrected or marked the landmark.
    has_spacing : (n,) array of bool
    spacing_sources : tuple of str
        Origin of the spacing of each image.
    """

    images: tuple[str, ...]
    names: tuple[str, ...]
    positions: NDArray[np.float64]
    sigma: NDArray[np.float64]
    roots: NDArray[np.float64]
    is_manual: NDArray[np.bool_]
    has_spacing: NDArray[np.bool_]
    spacing_sources: tuple[str, ...]

    @property
    def ndim(self) -> int:
        """Number of axes, 2 or 3."""
        return int(self.positions.shape[2])

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def of(
        cls,
        sets: Mapping[str, LandmarkSet],
        geometries: Mapping[str, Geometry],
        *,
        names: Sequence[str],
        reader_error: float | Mapping[str, float] | None = None,
    ) -> Self:
        """Landmarks of images by name.

        Parameters
        ----------
        sets : mapping of str to LandmarkSet
            Landmarks of all images, with coordinates along two axes or along three in all of them.
        geometries : mapping of str to Geometry
            Geometries by name; the spacing of an image that is not in it is unknown.
        names : sequence of str
            Names of the columns. One that a set does not have has no position.
        reader_error : float or mapping of str to float, optional
            Mean radial error of landmarks that persons place, in mm; one value or by name of the landmark. Without
            it their error is unknown.

        Raises
        ------
        InputError
            Some images are pictures and some are volumes.
        """
        ndims = {marks.ndim for marks in sets.values()} - {None}
        if len(ndims) > 1:
            flat = next(image for image, marks in sets.items() if marks.ndim == 2)
            deep = next(image for image, marks in sets.items() if marks.ndim == 3)
            raise InputError(f"{flat} is a picture and {deep} a volume: measure them one after the other")
        ndim = ndims.pop() or 2 if ndims else 2
        shape = (len(sets), len(names))
        positions, errors = np.full((*shape, ndim), np.nan), np.full(shape, np.nan)
        covariances = np.full((*shape, ndim, ndim), np.nan)
        manual, spacings = np.zeros(shape, bool), np.full((len(sets), ndim), np.nan)
        sources = []
        for row, (image, marks) in enumerate(sets.items()):
            geometry = geometries.get(image)
            sources.append("unknown" if geometry is None else geometry.spacing_statement)
            if geometry is not None and geometry.spacing is not None and geometry.ndim == ndim:
                spacings[row] = geometry.spacing
            for column, name in enumerate(names):
                mark = marks.get(name)
                if mark is None:
                    continue
                manual[row, column] = mark.status.is_manual
                if mark.position is not None:
                    positions[row, column] = mark.position
                if mark.expected_error is not None:
                    errors[row, column] = mark.expected_error
                if mark.covariance is not None:
                    covariances[row, column] = mark.covariance
        return cls.from_arrays(
            tuple(sets),
            tuple(names),
            positions,
            errors,
            manual,
            spacings,
            tuple(sources),
            reader_error,
            covariances=covariances,
        )

    @classmethod
    def from_arrays(
        cls,
        images: tuple[str, ...],
        names: tuple[str, ...],
        positions: NDArray[np.float64],
        expected_errors: NDArray[np.float64],
        is_manual: NDArray[np.bool_],
        spacings: NDArray[np.float64],
        spacing_sources: tuple[str, ...],
        reader_error: float | Mapping[str, float] | None = None,
        *,
        covariances: NDArray[np.float64] | None = None,
    ) -> Self:
        """Landmarks from arrays in pixels.

        Parameters
        ----------
        images, names : tuple of str
        positions : (n, m, ndim) array
            Index coordinates in array axis order, NaN without a position.
        expected_errors : (n, m) array
            Mean radial errors in native pixels, NaN where unknown.
        is_manual : (n, m) array of bool
        spacings : (n, ndim) array
            Millimetres per pixel, NaN where unknown.
        spacing_sources : tuple of str
        reader_error : float or mapping of str to float, optional
            As in `of`.
        covariances : (n, m, ndim, ndim) array, optional
            Of the errors in squared native pixels, NaN where unknown: such errors are taken as alike in all directions.
        """
        ndim = positions.shape[2]
        known = np.logical_and.reduce(np.isfinite(spacings), axis=1)
        factors = np.where(known[:, None], spacings, 1.0)
        # Expected errors are lengths of the mean spacing, as in tables of landmarks.
        errors = expected_errors * np.exp(np.log(factors).mean(axis=1))[:, None]
        if reader_error is not None:
            given = np.array(
                [
                    reader_error.get(name, np.nan) if isinstance(reader_error, Mapping) else reader_error
                    for name in names
                ]
            )
            if not np.all(np.isnan(given) | (np.isfinite(given) & (given >= 0))):
                raise InputError(f"a reader error of {reader_error}: expected millimetres, 0 or more")
            in_mm = np.where(
                known[:, None], given[None, :], np.nan
            )  # millimetres say nothing of unknown pixels
            errors = np.where(is_manual & np.isnan(errors), in_mm, errors)
        sigma = errors * _PER_AXIS[ndim]
        roots = sigma[..., None, None] * np.eye(ndim)
        if covariances is not None:
            scaled = covariances * factors[:, None, :, None] * factors[:, None, None, :]
            known_extent = np.isfinite(scaled).all((2, 3)) & np.isfinite(errors)
            roots[known_extent] = _symmetric_roots(scaled[known_extent])
        return cls(
            images,
            names,
            positions * factors[:, None, :],
            sigma,
            roots,
            is_manual,
            known,
            spacing_sources,
        )


def _symmetric_roots(covariances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Symmetric matrices (k, d, d) whose squares are covariances (k, d, d)."""
    variances, axes = np.linalg.eigh(covariances)
    return np.asarray((axes * np.sqrt(variances.clip(min=0))[:, None, :]) @ np.swapaxes(axes, 1, 2))
