"""Spacing of the pixels of a DICOM file, and its plane: of the patient, of the detector or of a film.

1. ``PixelSpacing`` where a user or the machine calibrated it (it differs from ``ImagerPixelSpacing``, or
   ``PixelSpacingCalibrationType`` says so): the plane of the patient.
2. In projections, else, the detector's own spacing. What is seen there is larger than the patient; where
   ``EstimatedRadiographicMagnificationFactor`` says by how much, it is divided out.
3. ``NominalScannedPixelSpacing``: of a scanned film, not corrected for anything.
4. Else unknown. 1 mm is never assumed.

ITK takes ``ImagerPixelSpacing`` first, knows no magnification, and says 1 mm where there is nothing.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry

if TYPE_CHECKING:
    from pydicom import Dataset

_LARGEST_MAGNIFICATION = 20.0
_FILM = ("FrameTime", "FrameTimeVector", "CineRate")
_PROJECTIONS = ("CR", "DX", "MG", "RG", "RF", "XA", "PX", "IO", "XC", "OT")


class PlaneSpacing(NamedTuple):
    """Millimetres between rows and between columns, and the plane they are measured in."""

    row: float
    column: float
    plane: str


def with_dicom_spacing(geometry: Geometry, header: Dataset) -> Geometry:
    """The geometry that ITK gave, with the spacing of DICOM's own attributes; InputError for a film."""
    try:
        film = geometry.ndim == 3 and any(header.get(name) for name in _FILM)
        across = plane_spacing(header)
        between = _between_slices(header) if geometry.ndim == 3 else None
    except Exception as error:  # values are understood only now
        raise InputError(f"has a spacing that cannot be understood ({error}): export it again") from error
    if film:
        raise InputError(f"is a film of {geometry.shape[0]} pictures: save the one that is meant")
    if across is None or (geometry.ndim == 3 and between is None):
        return dataclasses.replace(geometry, spacing=None)
    values = (across.row, across.column) if between is None else (between, across.row, across.column)
    return dataclasses.replace(geometry, spacing=values, spacing_plane=across.plane)


def plane_spacing(header: Dataset) -> PlaneSpacing | None:
    """Spacing in the plane of the image, None where it is not known."""
    measures = _measures(header)
    own, imager = _pair(measures.get("PixelSpacing")), _pair(header.get("ImagerPixelSpacing"))
    projection = imager is not None or str(header.get("Modality", "")) in _PROJECTIONS
    calibrated = bool(header.get("PixelSpacingCalibrationType"))
    if own is not None and imager is not None and not calibrated:
        calibrated = not all(math.isclose(a, b, rel_tol=1e-3) for a, b in zip(own, imager, strict=True))
    if own is not None and (calibrated or imager is None):
        if not projection:
            return PlaneSpacing(*own, "")
        return PlaneSpacing(*own, "calibrated" if calibrated else "projection, its plane is not said")
    if imager is not None:
        factor = _magnification(header)
        if factor is None:
            return PlaneSpacing(*imager, "detector plane")
        return PlaneSpacing(
            imager[0] / factor, imager[1] / factor, f"detector plane / magnification {factor:g}"
        )
    film = _pair(header.get("NominalScannedPixelSpacing"))
    return None if film is None else PlaneSpacing(*film, "film plane")


def _magnification(header: Dataset) -> float | None:
    factor = float(header.get("EstimatedRadiographicMagnificationFactor") or 0)
    return factor if 1 <= factor <= _LARGEST_MAGNIFICATION else None  # a shadow is never smaller


def _measures(header: Dataset) -> Dataset:
    """The data set that holds the pixel measures: the header, or a functional group in multi-frame files."""
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in header.get(groups) or ():
            if group.get("PixelMeasuresSequence"):
                return group.PixelMeasuresSequence[0]
    return header


def _pair(values: Any) -> tuple[float, float] | None:
    """Two positive numbers; None for anything else that may stand there."""
    if not values:
        return None
    row, column = (float(value) for value in values)
    return (row, column) if all(math.isfinite(v) and v > 0 for v in (row, column)) else None


def _between_slices(header: Dataset) -> float | None:
    """Distance of the frames of a multi-frame file: from their positions where those are given."""
    measures = _measures(header)
    value = float(measures.get("SpacingBetweenSlices") or measures.get("SliceThickness") or 0)
    return abs(value) if math.isfinite(value) and value else None
