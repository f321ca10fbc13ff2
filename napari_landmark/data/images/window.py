"""Window and level: presets for CT in Hounsfield units, and when they apply."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.images import dicom, dicom_series
from napari_landmark.data.images.dicom_header import dicom_header
from napari_landmark.data.images.display import sample_intensities

_AIR = (-1100.0, -900.0)  # HU
_WATER = (-200.0, 200.0)  # HU: fat to muscle
_DENSEST = 20_000.0  # HU: metal at 16 bits is far above bone, counts of a detector are above this
_LEAST_SHARE = 0.005


@dataclass(frozen=True)
class Window:
    """Intensities that are shown from black to white.

    Parameters
    ----------
    level : float
        Intensity in the middle.
    width : float
        Difference of white and black.
    """

    level: float
    width: float

    @property
    def limits(self) -> tuple[float, float]:
        """Intensities shown as black and as white."""
        return self.level - self.width / 2, self.level + self.width / 2


CT_WINDOWS: dict[str, Window] = {
    "Bone": Window(500, 2000),
    "Lung": Window(-600, 1500),
    "Soft tissue": Window(40, 400),
    "Brain": Window(40, 80),
}
"""Usual windows of CT by name, in Hounsfield units."""


def stated_window(path: Path) -> Window | None:
    """First window that a DICOM picture states for its values (Window Center, Window Width); None without one.

    Sigmoid windows are taken for linear ones, whose middle and slope there are the same.
    """
    if not dicom.accepts(path):
        return None
    try:
        header = dicom_header(path)
        level, width = (
            float(np.ravel(np.asarray(header.get(name), dtype=float))[0])
            for name in ("WindowCenter", "WindowWidth")
        )
    except (InputError, OSError, ValueError, TypeError, IndexError):
        return None
    return Window(level, width) if np.isfinite(level) and 1 <= width < np.inf else None


def modality(path: Path) -> str:
    """Modality that a DICOM file, or the first slice in a folder of them, states, such as 'CT'; empty for others."""
    try:
        if dicom_series.accepts(path):
            path = next(iter(dicom_series.series_files(path)), path)
        return str(dicom_header(path).get("Modality") or "") if dicom.accepts(path) else ""
    except (InputError, OSError):
        return ""


def looks_like_hounsfield(array: NDArray) -> bool:
    """Whether intensities may be Hounsfield units: some are those of air, some those of water, none is beyond metal.

    A share of 0.5% each is asked for. Values outside of the scanned circle, often below -1100, do not matter.
    """
    if array.dtype.kind == "u":
        return False
    values = sample_intensities(array)
    if not values.size or float(values.max()) > _DENSEST:
        return False
    shares = [float(np.mean((values >= low) & (values <= high))) for low, high in (_AIR, _WATER)]
    return min(shares) >= _LEAST_SHARE
