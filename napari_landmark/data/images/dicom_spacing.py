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
_SECTIONS = ("CT", "MR", "PT")
_PROJECTIONS = ("CR", "DX", "MG", "RG", "RF", "XA", "PX", "IO", "XC", "OT")


class PlaneSpacing(NamedTuple):
    """Millimetres between rows and between columns, and the plane they are measured in."""

    row: float
    column: float
    plane: str


def with_dicom_spacing(geometry: Geometry, header: Dataset) -> Geometry:
    """Replace the spacing that ITK gave a picture [y, x] by that of DICOM's own attributes."""
    try:
        found = plane_spacing(header)
    except Exception as error:  # values are understood only now
        raise InputError(
            f"has a spacing that cannot be understood ({error}): save it again or remove it"
        ) from error
    if found is None:
        return dataclasses.replace(geometry, spacing=None)
    return dataclasses.replace(geometry, spacing=(found.row, found.column), spacing_plane=found.plane)


def plane_spacing(header: Dataset) -> PlaneSpacing | None:
    """Spacing in the plane of the image, None where it is not known."""
    measures = _measures(header)
    own, imager = _pair(measures.get("PixelSpacing")), _pair(header.get("ImagerPixelSpacing"))
    modality = str(header.get("Modality", ""))
    if own is not None and modality in _SECTIONS:  # a copy of the same value has no meaning there
        imager = None
    projection = imager is not None or modality in _PROJECTIONS
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
    """Two positive numbers; None for anything else."""
    if not values:
        return None
    row, column = (float(value) for value in values)
    return (row, column) if all(math.isfinite(v) and v > 0 for v in (row, column)) else None
