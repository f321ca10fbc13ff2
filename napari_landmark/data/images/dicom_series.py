"""Reader of a folder that holds the slices of one DICOM series, as one volume.

Slices are put in order by their position in the patient, never by name or number. Slices that are no regular grid
(one is missing, two series, a tilted gantry) are refused rather than resampled.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images import dicom
from napari_landmark.data.images.dicom_frames import frame_count
from napari_landmark.data.images.dicom_grid import Plane, grid_geometry, read_plane
from napari_landmark.data.images.dicom_header import dicom_header, is_dicom
from napari_landmark.data.images.dicom_spacing import PlaneSpacing, plane_spacing
from napari_landmark.data.images.memory_limit import check_fits

if TYPE_CHECKING:
    from pydicom import Dataset

SUFFIXES: tuple[str, ...] = ()
_T = TypeVar("_T")
# Files of these names are not opened in search of a DICOM file: a folder may hold thousands of pictures.
_NEVER_DICOM = (
    ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".nii", ".gz", ".nrrd", ".mha", ".csv", ".txt", ".log"
)  # fmt: skip
_NEEDED = ("SeriesInstanceUID", "ImagePositionPatient", "ImageOrientationPatient", "Rows", "Columns")


# Order of the files and geometry of the series that were parsed: their headers are read first, their pixels later.
_ORDERS: dict[bytes, tuple[NDArray[np.int32], Geometry]] = {}
_KEPT_SERIES = 10_000
_LOCK = threading.Lock()


class _Slice(NamedTuple):
    path: Path
    series: str
    plane: Plane
    shape: tuple[int, int]
    spacing: PlaneSpacing | None


def accepts(path: Path) -> bool:
    """Whether the path is a folder with a visible DICOM file in it, whatever else it holds."""
    return path.is_dir() and any(
        is_dicom(file) for file in _visible_files(path) if file.suffix.lower() not in _NEVER_DICOM
    )


def holds_slices(path: Path) -> bool:
    """Whether the path is a folder of slices, of one volume or not, and no folder of films.

    A slice has a position in the patient; a film has none.
    """
    if not path.is_dir():
        return False
    files = (file for file in _visible_files(path) if file.suffix.lower() not in _NEVER_DICOM)
    first = next(filter(is_dicom, files), None)
    try:
        return first is not None and "ImagePositionPatient" in dicom_header(first)
    except InputError:
        return False


def series_files(path: Path) -> list[Path]:
    """The files of an image: itself, or the slices in its folder, sorted by name."""
    return _visible_files(path) if path.is_dir() else [path]


def read_header(path: Path) -> Geometry:
    """Geometry of the volume, from the headers of all slices; of a single file as that of the file."""
    files = series_files(path)
    if len(files) == 1:
        return _of_single(files[0], dicom.read_header)
    return _read_slices(files)[1]


def read_pixels(path: Path) -> tuple[NDArray, Geometry]:
    """Luminance [z, y, x] and geometry; of a single file as that of the file."""
    return _read(path, colours=True)


def read_labels(path: Path) -> tuple[NDArray, Geometry]:
    """Values of a label map [z, y, x] and its geometry; InputError for colours."""
    return _read(path, colours=False)


def _read(path: Path, *, colours: bool) -> tuple[NDArray, Geometry]:
    files = series_files(path)
    if len(files) == 1:
        return _of_single(files[0], dicom.read_pixels if colours else dicom.read_labels)
    ordered, geometry = _read_slices(files)
    pictures = []
    for file in ordered:
        try:
            array = dicom.read_frame(file, colours=colours)
        except InputError as error:
            raise InputError(f"its slice {file.name} {error}") from error
        if array.shape != geometry.shape[-2:]:
            raise InputError(f"its slice {file.name} holds several frames: take it out of the folder")
        pictures.append(array)
    return np.stack(pictures), geometry


def _read_slices(files: Sequence[Path]) -> tuple[list[Path], Geometry]:
    """The files from first to last along the volume, and its geometry; parsed once while they do not change."""
    key = _digest(files)
    known = _ORDERS.get(key)
    if known is None:
        slices, geometry = _ordered([_read_slice(file) for file in files])
        numbers = {file: number for number, file in enumerate(files)}
        known = np.array([numbers[one.path] for one in slices], np.int32), geometry
        with _LOCK:
            if len(_ORDERS) >= _KEPT_SERIES:
                del _ORDERS[next(iter(_ORDERS))]
            _ORDERS[key] = known
    order, geometry = known
    return [files[number] for number in order], geometry


def _digest(files: Sequence[Path]) -> bytes:
    """Hash of names, sizes and times of files."""
    digest = hashlib.blake2b()
    for file in files:
        try:
            stat = file.stat()
        except OSError as error:
            raise InputError(f"its file {file.name} cannot be read ({error.strerror or error})") from error
        digest.update(repr((str(file), stat.st_size, stat.st_mtime_ns)).encode("utf-8", "surrogatepass"))
    return digest.digest()


def _of_single(file: Path, read: Callable[[Path], _T]) -> _T:
    try:
        return read(file)
    except InputError as error:
        raise InputError(f"its file {file.name} {error}") from error


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
    ordered = sorted(slices, key=lambda one: float(one.plane.position @ first.plane.normal))
    geometry = grid_geometry([one.plane for one in ordered], first.shape, first.spacing, noun="slices")
    check_fits(geometry.shape, 8)
    return ordered, geometry


def _read_slice(path: Path) -> _Slice:
    try:
        header = dicom_header(path)
    except InputError as error:
        raise InputError(f"its file {path.name} {error}") from error
    try:
        frames = frame_count(header)
        missing = [name for name in _NEEDED if not header.get(name)]
    except InputError as error:
        raise InputError(f"its file {path.name} {error}") from error
    except Exception as error:
        raise InputError(f"its file {path.name} is damaged ({error}): save it again or remove it") from error
    if frames > 1:
        raise InputError(
            f"its file {path.name} holds {frames} frames: give every file of several frames a folder of its own"
        )
    if missing:
        raise InputError(
            f"its file {path.name} has no {missing[0]}, so the position of that slice is not known"
        )
    try:
        return _understood(path, header)
    except Exception as error:  # values are understood only now
        raise InputError(
            f"its file {path.name} has a position that cannot be understood ({error}): save it again or remove it"
        ) from error


def _understood(path: Path, header: Dataset) -> _Slice:
    return _Slice(
        path=path,
        series=str(header.SeriesInstanceUID),
        plane=read_plane(path.name, header.ImagePositionPatient, header.ImageOrientationPatient),
        shape=(int(header.Rows), int(header.Columns)),
        spacing=plane_spacing(header),
    )
