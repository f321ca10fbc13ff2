"""Reader of a folder that holds the slices of one DICOM series, as one volume.

Slices are put in order by their position in the patient, never by name or number. Slices that are no regular grid
(one is missing, two series, a tilted gantry) are refused rather than resampled.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry, SpacingSource
from napari_landmark.data.images.dicom import read_frame
from napari_landmark.data.images.dicom_header import dicom_header, is_dicom
from napari_landmark.data.images.dicom_spacing import plane_spacing
from napari_landmark.data.images.memory_limit import check_fits

if TYPE_CHECKING:
    from pydicom import Dataset

SUFFIXES: tuple[str, ...] = ()
_UNEVEN = 0.02  # of the distance between slices
_TURNED = 1e-3
# Files of these names are not opened in search of a DICOM file: a folder may hold thousands of pictures.
_NEVER_DICOM = (
    ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".nii", ".gz", ".nrrd", ".mha", ".csv", ".txt", ".log"
)  # fmt: skip
_NEEDED = ("SeriesInstanceUID", "ImagePositionPatient", "ImageOrientationPatient", "Rows", "Columns")


class _Slice(NamedTuple):
    path: Path
    series: str
    position: NDArray[np.float64]  # x, y, z in mm of the first pixel
    axes: NDArray[np.float64]  # (2, 3): directions in which columns and rows count up, x, y, z
    shape: tuple[int, int]
    spacing: tuple[float, float] | None


def accepts(path: Path) -> bool:
    """Whether the path is a folder with a visible DICOM file in it, whatever else it holds."""
    return path.is_dir() and any(
        is_dicom(file) for file in _visible_files(path) if file.suffix.lower() not in _NEVER_DICOM
    )


def series_files(path: Path) -> list[Path]:
    """The files of an image: itself, or the slices in its folder, sorted by name."""
    return _visible_files(path) if path.is_dir() else [path]


def read_header(path: Path) -> Geometry:
    """Geometry of the volume, from the headers of all slices."""
    return _ordered([_read_slice(file) for file in series_files(path)])[1]


def read_pixels(path: Path) -> tuple[NDArray, Geometry]:
    """Luminance [z, y, x] and geometry; [y, x] of a single slice."""
    slices, geometry = _ordered([_read_slice(file, pixels=True) for file in series_files(path)])
    pictures = []
    for one in slices:
        try:
            array = read_frame(one.path)
        except InputError as error:
            raise InputError(f"its slice {one.path.name} {error}") from error
        if array.shape != geometry.shape[-2:]:
            raise InputError(f"its slice {one.path.name} holds several frames: take it out of the folder")
        pictures.append(array)
    return np.stack(pictures) if len(pictures) > 1 else pictures[0], geometry


def _visible_files(folder: Path) -> list[Path]:
    try:
        files = [path for path in folder.iterdir() if path.is_file()]
    except OSError:
        return []
    return sorted(f for f in files if not f.name.startswith(".") and f.name.upper() != "DICOMDIR")


def _ordered(slices: list[_Slice]) -> tuple[list[_Slice], Geometry]:
    """The slices from first to last along the volume, and its geometry; InputError where they are no grid."""
    if not slices:
        raise InputError("holds no slices")
    first = slices[0]
    for one in slices[1:]:
        if one.series != first.series:
            raise InputError(
                f"holds several series ({first.path.name} and {one.path.name}): give each a folder of its own"
            )
        if one.shape != first.shape or one.spacing != first.spacing:
            raise InputError(f"its slices {first.path.name} and {one.path.name} have different pixels")
        if np.abs(one.axes - first.axes).max() > _TURNED:
            raise InputError(
                f"its slices {first.path.name} and {one.path.name} are turned against each other"
            )
    normal = np.cross(*first.axes)
    ordered = sorted(slices, key=lambda one: float(one.position @ normal))
    # The spacing of one slice says nothing about the depth of a volume: it is a picture.
    if len(ordered) == 1:
        geometry = Geometry(first.shape, spacing=first.spacing, spacing_source=SpacingSource.FILE)
    else:
        between = _between(ordered, normal)
        direction = np.column_stack([*first.axes, normal])  # columns: x index, y index, z index
        geometry = Geometry(
            (len(ordered), *first.shape),
            spacing=None if first.spacing is None else (between, *first.spacing),
            origin=tuple(ordered[0].position[::-1]),
            direction=tuple(map(tuple, direction[::-1, ::-1].tolist())),
            spacing_source=SpacingSource.FILE,
        )
    check_fits(geometry.shape, 8)
    return ordered, geometry


def _between(slices: list[_Slice], normal: NDArray[np.float64]) -> float:
    """Distance between slices in mm; InputError where they are not on a grid."""
    positions = np.array([one.position for one in slices])
    steps = np.diff(positions @ normal)
    step = float(np.median(steps))
    if step <= 0 or (steps < _UNEVEN * step).any():
        number = int(np.argmin(steps))
        raise InputError(
            f"its slices {slices[number].path.name} and {slices[number + 1].path.name} have the same position: "
            "keep one of them"
        )
    if np.abs(steps - step).max() > _UNEVEN * step:
        number = int(np.argmax(np.abs(steps - step)))
        raise InputError(
            f"its slices are not evenly apart ({step:g} mm, but {steps[number]:g} mm between "
            f"{slices[number].path.name} and {slices[number + 1].path.name}): is one missing?"
        )
    shift = positions - positions[0] - np.outer((positions - positions[0]) @ normal, normal)
    if np.linalg.norm(shift, axis=1).max() > 0.1 + _UNEVEN * step:
        raise InputError("its slices are shifted against each other (a tilted gantry): resample it first")
    return float(steps.mean())


def _read_slice(path: Path, *, pixels: bool = False) -> _Slice:
    """Parse the header of a slice; with `pixels`, check it for reading them."""
    try:
        header = dicom_header(path, pixels=pixels)
    except InputError as error:
        raise InputError(f"its file {path.name} {error}") from error
    try:
        missing = [name for name in _NEEDED if not header.get(name)]
        frames = int(header.get("NumberOfFrames") or 1)
    except Exception as error:
        raise InputError(f"its file {path.name} is damaged ({error}): export it again") from error
    if missing:
        raise InputError(
            f"its file {path.name} has no {missing[0]}, so the position of that slice is not known"
        )
    if frames > 1:
        raise InputError(f"its slice {path.name} holds several frames: take it out of the folder")
    try:
        return _understood(path, header)
    except InputError:
        raise
    except Exception as error:  # values are understood only now
        raise InputError(
            f"its file {path.name} has a position that cannot be understood ({error}): export it again"
        ) from error


def _understood(path: Path, header: Dataset) -> _Slice:
    found = plane_spacing(header)
    axes = _vector(header.ImageOrientationPatient, 6).reshape(2, 3)
    if np.abs(axes @ axes.T - np.eye(2)).max() > 0.01:
        raise InputError(f"its file {path.name} has axes that are not at right angles")
    return _Slice(
        path=path,
        series=str(header.SeriesInstanceUID),
        position=_vector(header.ImagePositionPatient, 3),
        axes=axes / np.linalg.norm(axes, axis=1, keepdims=True),
        shape=(int(header.Rows), int(header.Columns)),
        spacing=None if found is None else (found.row, found.column),
    )


def _vector(values: Iterable[float], length: int) -> NDArray[np.float64]:
    numbers = np.array([float(value) for value in values])
    if numbers.shape != (length,) or not np.isfinite(numbers).all():
        raise ValueError(f"{length} numbers were expected")
    return numbers
