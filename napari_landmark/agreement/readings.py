"""Readings: landmarks that several readers placed in the same images, in one unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSet


@dataclass(frozen=True, eq=False)
class Readings:
    """Positions of the same landmarks by several readers.

    Parameters
    ----------
    readers : tuple of str
        Persons or models, two or more.
    images : tuple of str
        Images that two readers or more have.
    names : tuple of str
        Landmarks that two readers or more have.
    positions : (r, n, k, d) array
        In array axis order; NaN where a reader has no position.
    unit : str
        'mm' where the spacing of all images is known, else 'px'.
    single : mapping of str to tuple of str
        Images that one reader alone has, by reader.
    """

    readers: tuple[str, ...]
    images: tuple[str, ...]
    names: tuple[str, ...]
    positions: NDArray[np.float64]
    unit: str
    single: Mapping[str, tuple[str, ...]]

    @classmethod
    def from_landmarks(
        cls,
        readers: Mapping[str, Mapping[str, LandmarkSet]],
        *,
        geometries: Mapping[str, Geometry] | None = None,
        spacing: float | Sequence[float] | None = None,
    ) -> Self:
        """Readings of the images that two readers or more have.

        Parameters
        ----------
        readers : mapping of str to mapping of str to LandmarkSet
            Landmarks by image, by reader.
        geometries : mapping of str to Geometry, optional
        spacing : float or sequence of float, optional
            Millimetres per pixel of all images (array axis order), instead of the geometries'.

        Raises
        ------
        InputError
            There are fewer than two readers, they have no image or landmark in common, or the spacing of some images
            only is known.
        """
        if len(readers) < 2:
            raise InputError(f"{len(readers)} reader: agreement is of two or more")
        read = {
            reader: {image: marks for image, marks in sets.items() if marks.ndim is not None}
            for reader, sets in readers.items()
        }
        for reader, sets in read.items():
            if not sets:
                raise InputError(f"{reader}: has no landmark with a position")
        counts: dict[str, list[str]] = {}
        for reader, sets in read.items():
            for image in sets:
                counts.setdefault(image, []).append(reader)
        images = tuple(image for image, who in counts.items() if len(who) > 1)
        single = {
            reader: names
            for reader in readers
            if (names := tuple(image for image, who in counts.items() if who == [reader]))
        }
        first, second = list(read)[:2]
        if not images:
            raise InputError(
                f"no image was read by two: the names must be the same ({first} has {next(iter(read[first]))!r}, "
                f"{second} {next(iter(read[second]))!r})"
            )
        names = _common_names(read, images)
        if not names:
            one, other = (next(iter(next(iter(read[reader].values())))) for reader in (first, second))
            raise InputError(
                f"no landmark was placed by two readers: the names must be the same ({first} has {one!r}, {second} "
                f"{other!r})"
            )
        ndim = _ndim(read, images)
        lengths = {image: _geometry(image, ndim, geometries or {}, spacing) for image in images}
        unknown = [image for image, geometry in lengths.items() if geometry is None]
        if unknown and len(unknown) < len(images):
            raise InputError(
                f"the spacing of {len(unknown)} of {len(images)} images is not known ({', '.join(unknown[:3])}), and "
                "pixels are not compared with millimetres",
                code=ErrorCode.NEEDS_SPACING,
            )
        positions = np.full((len(read), len(images), len(names), ndim), np.nan)
        for r, sets in enumerate(read.values()):
            for n, image in enumerate(images):
                if image in sets:
                    positions[r, n] = _positions(sets[image], names, ndim, lengths[image])
        return cls(tuple(read), images, names, positions, "px" if unknown else "mm", single)

    def only_one_has(self, first: int, second: int) -> int:
        """Number of positions that one of two readers has and the other has not, in images that both read."""
        there = ~np.isnan(self.positions[[first, second], :, :, 0])
        both = there.any(axis=2).all(axis=0)
        return int((there[0, both] != there[1, both]).sum())


def _common_names(read: Mapping[str, Mapping[str, LandmarkSet]], images: Sequence[str]) -> tuple[str, ...]:
    """Names of the landmarks that two readers or more placed in these images, in order of first appearance."""
    placed: dict[str, set[str]] = {}
    for reader, sets in read.items():
        for image in images:
            for name, mark in sets[image].items() if image in sets else ():
                if mark.position is not None:
                    placed.setdefault(name, set()).add(reader)
    order = dict.fromkeys(
        name for sets in read.values() for marks in sets.values() for name in marks.schema.names
    )
    return tuple(name for name in order if len(placed.get(name, ())) > 1)


def _ndim(read: Mapping[str, Mapping[str, LandmarkSet]], images: Sequence[str]) -> int:
    found: dict[int, str] = {}
    for sets in read.values():
        for image in images:
            if image in sets and (ndim := sets[image].ndim) is not None:
                found.setdefault(ndim, image)
    if len(found) > 1:
        raise InputError(
            f"{found[2]} has landmarks of two coordinates and {found[3]} of three: compare pictures and volumes apart"
        )
    return next(iter(found))


def _geometry(
    image: str, ndim: int, geometries: Mapping[str, Geometry], spacing: float | Sequence[float] | None
) -> Geometry | None:
    if spacing is not None:
        return Geometry((1,) * ndim).with_spacing(spacing)
    geometry = geometries.get(image)
    if geometry is None or not geometry.has_spacing:
        return None
    if geometry.ndim != ndim:
        raise InputError(f"{image}: landmarks of {ndim} coordinates for an image of {geometry.ndim} axes")
    return geometry


def _positions(
    marks: LandmarkSet, names: Sequence[str], ndim: int, geometry: Geometry | None
) -> NDArray[np.float64]:
    rows = np.full((len(names), ndim), np.nan)
    for row, name in enumerate(names):
        mark = marks.get(name)
        if mark is not None and mark.position is not None:
            rows[row] = mark.position
    there = ~np.isnan(rows[:, 0])
    if geometry is not None and there.any():
        rows[there] = geometry.to_world(rows[there])
    return rows
