"""Configurations of landmarks of many images in one unit, with those that are missing named."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.formats.image_names import common_schema
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.shape.procrustes import Array, generalized_procrustes
from napari_landmark.shape.thin_plate import ThinPlateSpline

_FEWEST_COMPLETE = 3


class MissingLandmarks(StrEnum):
    """Treatment of images in which landmarks are missing."""

    LEAVE_OUT = "leave-out"
    """Images with a missing landmark are left out, by name."""
    ESTIMATE = "estimate"
    """Missing landmarks are estimated by the thin-plate spline from the mean shape of the complete images."""


class LengthUnit(StrEnum):
    """Unit of positions, hence of centroid sizes."""

    MILLIMETRES = "mm"
    PIXELS = "px"


@dataclass(frozen=True, eq=False)
class Configurations:
    """Positions of the same landmarks in many images.

    Parameters
    ----------
    images : tuple of str
    schema : LandmarkSchema
        The landmarks, in the order of the rows.
    positions : (n, k, d) array
        In array axis order; NaN where a landmark is missing.
    unit : LengthUnit
    estimated : mapping of str to tuple of str
        Names of the landmarks whose positions are estimates, by image.
    """

    images: tuple[str, ...]
    schema: LandmarkSchema
    positions: Array
    unit: LengthUnit
    estimated: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_landmarks(
        cls,
        sets: Mapping[str, LandmarkSet],
        *,
        geometries: Mapping[str, Geometry] | None = None,
        spacing: float | Sequence[float] | None = None,
        unit: LengthUnit | None = None,
        without: Collection[str] = (),
    ) -> Self:
        """Positions of landmarks in millimetres where the spacing of all images is known, in pixels where of none.

        Parameters
        ----------
        sets : mapping of str to LandmarkSet
            Landmarks by name of the image; images without any position are left aside.
        geometries : mapping of str to Geometry, optional
            Geometries by name of the image.
        spacing : float or sequence of float, optional
            Millimetres per pixel of all images (array axis order), instead of the geometries'.
        unit : LengthUnit, optional
            Force a unit. In pixels nothing is known of sizes, and pixels must be square.
        without : collection of str, optional
            Names of landmarks to leave aside.

        Raises
        ------
        InputError
            The spacing of some images only is known, pictures and volumes are mixed, pixels are not square where they
            are the unit, or there is nothing to compare.
        """
        used = {image: marks for image, marks in sets.items() if marks.ndim is not None}
        if not used:
            raise InputError("no landmark has a position: there is no shape")
        schema = common_schema(used.values())
        for name in without:
            schema.index(name)
        kept = [name for name in schema.names if name not in set(without)]
        if not kept:
            raise InputError("all landmarks are left out: keep three or more")
        schema = schema.part(kept)
        first = next(iter(used))
        ndim = used[first].ndim or 2
        for image, marks in used.items():
            if marks.ndim != ndim:
                raise InputError(
                    f"{image}: its landmarks have {marks.ndim} coordinates and those of {first} {ndim}: "
                    "analyse pictures and volumes apart"
                )
        known = _geometries(used, geometries or {}, spacing, ndim)
        unit = _unit(known, unit)
        positions = np.full((len(used), len(kept), ndim), np.nan)
        for row, (image, marks) in enumerate(used.items()):
            for column, name in enumerate(kept):
                mark = marks.get(name)
                if mark is not None and mark.position is not None:
                    positions[row, column] = mark.position
            geometry = known[image]
            if unit is LengthUnit.MILLIMETRES and geometry is not None:
                present = ~np.isnan(positions[row, :, 0])
                positions[row, present] = geometry.to_world(positions[row, present])
        return cls(tuple(used), schema, positions, unit)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the landmarks."""
        return self.schema.names

    @property
    def is_missing(self) -> NDArray[np.bool_]:
        """(n, k): where a landmark has no position."""
        return np.isnan(self.positions[..., 0])

    @property
    def missing(self) -> dict[str, tuple[str, ...]]:
        """Names of the missing landmarks by image, of the images that miss any."""
        return {
            image: tuple(name for name, lost in zip(self.names, row, strict=True) if lost)
            for image, row in zip(self.images, self.is_missing.tolist(), strict=True)
            if any(row)
        }

    def complete(self, missing: MissingLandmarks = MissingLandmarks.LEAVE_OUT) -> Self:
        """The same without missing landmarks.

        Raises
        ------
        InputError
            Too few images are complete, with the landmarks that are missing most.
        """
        whole: NDArray[np.bool_] = ~np.any(self.is_missing, axis=1)
        if whole.all():
            return self
        if whole.sum() < _FEWEST_COMPLETE:
            lost = self.is_missing.sum(axis=0)
            worst = ", ".join(
                f"{self.names[k]} ({lost[k]} of {len(self)})" for k in np.argsort(-lost)[:3] if lost[k]
            )
            raise InputError(
                f"{whole.sum()} of {len(self)} images have all landmarks, {_FEWEST_COMPLETE} are needed; missing most: "
                f"{worst}: leave these landmarks out, or place them"
            )
        if missing is MissingLandmarks.LEAVE_OUT:
            return self._part(whole)
        return self._estimated(whole)

    def _part(self, rows: NDArray[np.bool_]) -> Self:
        images = tuple(image for image, kept in zip(self.images, rows.tolist(), strict=True) if kept)
        return dataclasses.replace(self, images=images, positions=self.positions[rows])

    def _estimated(self, whole: NDArray[np.bool_]) -> Self:
        """Estimate missing landmarks (Gunz et al. 2009, J Hum Evol 57): the mean shape bent to those that are there."""
        mean = generalized_procrustes(self.positions[whole]).mean
        positions, estimated = self.positions.copy(), {}
        fewest = self.positions.shape[2] + 2
        for row in np.flatnonzero(~whole):
            there = ~self.is_missing[row]
            image = self.images[row]
            if there.sum() < fewest:
                raise InputError(
                    f"{image}: has {there.sum()} landmarks, too few to estimate the others from ({fewest}): leave the "
                    "image out"
                )
            try:
                spline = ThinPlateSpline.between(mean[there], positions[row][there])
            except InputError as error:
                raise error.prefixed(image) from None
            positions[row, ~there] = spline(mean[~there])
            estimated[image] = tuple(name for name, has in zip(self.names, there, strict=True) if not has)
        return dataclasses.replace(self, positions=positions, estimated=estimated)


def _geometries(
    sets: Mapping[str, LandmarkSet],
    geometries: Mapping[str, Geometry],
    spacing: float | Sequence[float] | None,
    ndim: int,
) -> dict[str, Geometry | None]:
    if spacing is not None:
        return dict.fromkeys(sets, Geometry((1,) * ndim).with_spacing(spacing))
    known: dict[str, Geometry | None] = {}
    for image in sets:
        geometry = known[image] = geometries.get(image)
        if geometry is not None and geometry.ndim != ndim:
            raise InputError(f"{image}: landmarks of {ndim} coordinates for an image of {geometry.ndim} axes")
    return known


def _unit(known: Mapping[str, Geometry | None], wanted: LengthUnit | None) -> LengthUnit:
    """The unit of all images; refuses a mixture, and shapes of pixels that are not square."""
    unknown = [image for image, geometry in known.items() if geometry is None or not geometry.has_spacing]
    if wanted is LengthUnit.PIXELS or (wanted is None and len(unknown) == len(known)):
        for image, geometry in known.items():
            spacing = None if geometry is None else geometry.spacing
            if spacing is not None and not math.isclose(min(spacing), max(spacing), rel_tol=1e-4):
                raise InputError(
                    f"{image}: its pixels are not square, shapes in pixels would be distorted: use millimetres"
                )
        return LengthUnit.PIXELS
    if unknown:
        others = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise InputError(
            f"the spacing of {len(unknown)} of {len(known)} images is not known "
            f"({', '.join(unknown[:3])}{others}), and pixels "
            "are not compared with millimetres; shapes without sizes can be compared in pixels",
            code=ErrorCode.NEEDS_SPACING,
        )
    return LengthUnit.MILLIMETRES
