"""Reader of NIfTI-1 and NIfTI-2 volumes in one file (.nii, .nii.gz), by nibabel.

Axes are turned from NIfTI's [x, y, z] and RAS to [z, y, x] and LPS. Of the two transforms of a header the one is
taken that ITK, and so 3D Slicer, takes, with the spacing of ``pixdim``.
"""

from __future__ import annotations

import gzip
import importlib
import math
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry, nearest_rotation
from napari_landmark.data.images.header_geometry import header_geometry
from napari_landmark.data.images.image_reader import HAS_COLOURS, is_file_named
from napari_landmark.data.images.luminance import luminance
from napari_landmark.data.images.memory_limit import check_fits

SUFFIXES: tuple[str, ...] = (".nii", ".nii.gz")
_MARKS = {
    348: b"n+1\0",
    540: b"n+2\0",
}  # bytes of a header, and the mark of one that has its pixels in the same file
_REAL = (2, 4, 8, 16, 64, 256, 512, 768, 1024, 1280)
_COLOURS = (128, 2304)  # red, green, blue (and alpha), a byte each
_COMPLEX = (32, 1536, 1792, 2048)
_VECTORS = (1004, 1005, 1006, 1007)  # intents by which the fifth axis is values of one voxel
_VECTOR = 1007
_UNIT_OF_LENGTH = 7  # bits of the code of units
_MILLIMETRES = {1: 1000.0, 3: 0.001}  # of the unit codes of metres and micrometres
_IMPORTING = threading.Lock()
_GZIP_MARK = b"\x1f\x8b"
_BLOCK = 1 << 20
_RIGHT_ANGLES = 1e-4  # largest scalar product of two axes
_SCANNER = 1  # code of the scanner's own coordinates
_SAME = 1e-4  # largest difference of two transforms of the same position
_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])
_WRONG_KIND = "is not an image of the kind its name says: save it again or remove it"
_NO_ORIENTATION = "has an orientation that is not finite, it seems damaged: save it again or remove it"
_ENDS_EARLY = "ends too early, it seems damaged: save it again or remove it"


_Stream = BufferedReader | gzip.GzipFile


@dataclass(frozen=True)
class _Header:
    geometry: Geometry
    shape: tuple[int, ...]  # of the pixels in the file, axes reversed, samples of a pixel first or last
    dtype: np.dtype[Any]  # as stored
    samples_axis: int | None  # of `shape`
    slope: float
    intercept: float
    start: int  # byte of the first pixel


def accepts(path: Path) -> bool:
    """Whether the file has the name of a NIfTI volume."""
    return is_file_named(path, SUFFIXES)


def read_header(path: Path) -> Geometry:
    """Geometry without reading the pixels; the spacing is unknown where the header holds none."""
    with _opened(path) as stream:
        return _read_header(stream).geometry


def read_pixels(path: Path) -> tuple[NDArray, Geometry]:
    """Luminance and geometry; whole numbers with a scaling become float32."""
    return _read(path, colours=True)


def read_labels(path: Path) -> tuple[NDArray, Geometry]:
    """Values of a label map and its geometry; InputError for colours."""
    return _read(path, colours=False)


def _read(path: Path, *, colours: bool) -> tuple[NDArray, Geometry]:
    with _opened(path) as stream:
        header = _read_header(stream)
        if header.samples_axis is not None and not colours:
            raise InputError(HAS_COLOURS)
        array = _read_array(stream, header)
    if header.slope != 1 or header.intercept != 0:
        array = _scaled(array, header.slope, header.intercept)
    if header.samples_axis is not None:
        array = luminance(np.moveaxis(array, header.samples_axis, -1))
    return np.ascontiguousarray(array.reshape(header.geometry.shape)), header.geometry


def check_nifti_header(path: Path) -> None:
    """Refuse (InputError, without the file's name) a file whose header another reader must not get to see."""
    with _opened(path) as stream:
        _read_fields(stream)


@contextmanager
def _opened(path: Path) -> Iterator[_Stream]:
    """The file, unpacked where its content is packed, whatever its name says; errors of it as InputError."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP_MARK
            file.seek(0)
            if packed:
                with gzip.open(file) as stream:
                    yield stream
            else:
                yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(_ENDS_EARLY) from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})") from error


def _import_nibabel() -> None:
    """Import nibabel whole, by one thread alone.

    Its modules import each other in circles. A thread that came in by another of them meanwhile would find them half
    made, and end in an ImportError.
    """
    with _IMPORTING:
        importlib.import_module("nibabel")


def _read_header(stream: _Stream) -> _Header:
    """Parse and check a header; InputError where it is damaged, or the image too large or of a kind not used."""
    _import_nibabel()
    from nibabel.spatialimages import HeaderDataError

    fields = _read_fields(stream)
    try:
        return _understood(fields)
    except HeaderDataError as error:
        raise InputError(f"has a damaged header ({error}): save it again or remove it") from error


def _read_fields(stream: _Stream) -> Any:
    """The header as nibabel parses it; InputError where it is no NIfTI, or sizes or kind of the pixels cannot be."""
    _import_nibabel()
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    block = stream.read(348)
    size = next((n for n in _MARKS if n.to_bytes(4, "little") in (block[:4], block[3::-1])), 0)
    block += stream.read(max(0, size - 348))
    if not size or len(block) < size:
        raise InputError(_WRONG_KIND)
    order = "<" if block[:4] == size.to_bytes(4, "little") else ">"
    # Not checked by nibabel, which mends or refuses more than has to be and writes it to the terminal.
    fields = (Nifti1Header if size == 348 else Nifti2Header)(block, endianness=order, check=False)
    if fields["magic"].tobytes()[:4] != _MARKS[size]:
        raise InputError(_WRONG_KIND)
    dims = [int(n) for n in fields["dim"]]
    if not 1 <= dims[0] <= 7 or any(n < 1 for n in dims[1 : dims[0] + 1]):
        raise InputError("has a size that cannot be, it seems damaged: save it again or remove it")
    code = int(fields["datatype"])
    if code in _COMPLEX:
        raise InputError("holds complex values in every pixel: save one channel as an image")
    if code not in _REAL + _COLOURS:
        raise InputError(f"has pixels of a kind that is not known ({code}): save it as another kind")
    if not 0 <= float(fields["vox_offset"]) < 2**40:
        raise InputError("says wrongly where its pixels begin, it seems damaged: save it again or remove it")
    return fields


def _understood(fields: Any) -> _Header:
    shape = [int(n) for n in fields["dim"][1 : int(fields["dim"][0]) + 1]]
    dtype = fields.get_data_dtype()
    samples, samples_axis = 1, None
    intent = 0
    if int(fields["datatype"]) in _COLOURS:
        samples, samples_axis, dtype = len(dtype.names), -1, np.dtype(np.uint8)
    elif int(fields["intent_code"]) in _VECTORS and len(shape) == 5:
        samples, samples_axis, intent = shape.pop(), 0, int(fields["intent_code"])
    # SimpleITK writes colours as vectors of bytes; all other vectors are displacements, tensors or channels.
    if samples > 1 and not (samples in (3, 4) and dtype == np.uint8 and intent in (0, _VECTOR)):
        raise InputError(
            f"holds {samples} values in every pixel that are no colours: save one of them as an image"
        )
    slope, intercept = fields.get_slope_inter()
    slope, intercept = (1.0, 0.0) if slope is None else (float(slope), float(intercept or 0))
    scaled = dtype.kind in "iu" and (slope, intercept) != (1, 0)
    # As it is stored, as it is scaled, and of colours the numbers that they are mixed in.
    pixel = samples * (2 * dtype.itemsize + 4 * scaled) + (4 * samples + 8) * (samples > 1)
    geometry = _geometry(fields, shape)
    check_fits(geometry.shape, pixel)
    stored = tuple(reversed(shape))
    if samples_axis is not None:
        stored = (samples, *stored) if samples_axis == 0 else (*stored, samples)
    start = max(int(fields["vox_offset"]), int(fields["sizeof_hdr"]))
    return _Header(geometry, stored, dtype, samples_axis, slope, intercept, start)


def _geometry(fields: Any, shape: list[int]) -> Geometry:
    """Geometry in array axis order, axes of one voxel dropped."""
    direction, position = _orientation(fields)
    origin = (position * _millimetres(fields)).tolist()
    states = int(fields["qform_code"]) > 0 or int(fields["sform_code"]) > 0
    return header_geometry(shape, _spacing(fields), origin, direction, is_anatomical=states)


def _spacing(fields: Any) -> tuple[float, ...] | None:
    """Spacing in mm along x, y and z; None where the header holds none."""
    steps = [float(step) for step in fields["pixdim"][1:4]]
    used = [step for step, length in zip(steps, fields["dim"][1:4], strict=True) if length > 1]
    if not all(math.isfinite(step) and step != 0 for step in used):
        return None
    # Without a unit of length and with steps of one: an array that was saved without a geometry.
    if int(fields["xyzt_units"]) & _UNIT_OF_LENGTH == 0 and all(step == 1 for step in used):
        return None
    return tuple(step * _millimetres(fields) for step in steps)


def _millimetres(fields: Any) -> float:
    """Millimetres in the header's unit of length, 1 where it names none."""
    return _MILLIMETRES.get(int(fields["xyzt_units"]) & _UNIT_OF_LENGTH, 1.0)


def _orientation(fields: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions of the axes as columns of a (3, 3) matrix, and position of the first voxel, both x, y, z in LPS.

    The sform is taken where its axes are at right angles and it is that of the scanner, the only one, or the same
    as the qform; else the qform. Identity and zero where the header has neither.
    """
    has_qform, has_sform = int(fields["qform_code"]) > 0, int(fields["sform_code"]) > 0
    if not (has_qform or has_sform):
        return np.eye(3), np.zeros(3)
    rows = np.stack([fields[f"srow_{axis}"] for axis in "xyz"]).astype(np.float64)
    lengths = np.linalg.norm(rows[:, :3], axis=0)
    usable = has_sform and bool(np.isfinite(rows).all() and (lengths > 0).all())
    if usable:
        sform = rows[:, :3] / lengths
        usable = bool(np.abs(sform @ sform.T - np.eye(3)).max() <= _RIGHT_ANGLES)
    if usable and has_qform and int(fields["sform_code"]) != _SCANNER:
        qform, offset = _qform(fields)
        steps = np.asarray(fields["pixdim"][1:4], np.float64)
        usable = np.allclose(rows, np.column_stack([qform * steps, offset]), rtol=0, atol=_SAME)
    if usable:
        return _RAS_TO_LPS[:, None] * sform, _RAS_TO_LPS * rows[:, 3]
    if not has_qform:
        if not np.isfinite(rows).all() or not (lengths > 0).all():
            raise InputError(_NO_ORIENTATION)
        return _RAS_TO_LPS[:, None] * nearest_rotation(rows[:, :3] / lengths), _RAS_TO_LPS * rows[:, 3]
    qform, offset = _qform(fields)
    return _RAS_TO_LPS[:, None] * qform, _RAS_TO_LPS * offset


def _qform(fields: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions as columns and position of the first voxel, x, y, z in RAS, of the header's quaternion."""
    from nibabel.quaternions import quat2mat

    vector = np.array([fields[f"quatern_{part}"] for part in "bcd"], np.float64)
    real = float(1 - vector @ vector)
    if real < 1e-7:  # rounded: half a turn
        real, vector = 0.0, vector / np.linalg.norm(vector)
    matrix = quat2mat(np.array([math.sqrt(real), *vector]))
    if float(fields["pixdim"][0]) < 0:
        matrix[:, 2] *= -1
    offset = np.array([fields[f"qoffset_{axis}"] for axis in "xyz"], np.float64)
    if not (np.isfinite(matrix).all() and np.isfinite(offset).all()):
        raise InputError(_NO_ORIENTATION)
    return matrix, offset


def _read_array(stream: _Stream, header: _Header) -> NDArray:
    """The pixels as stored, in native byte order; InputError where the file ends before they do."""
    length = math.prod(header.shape) * header.dtype.itemsize
    stream.seek(header.start)
    # Memory is taken as it is filled, so that a header cannot ask for more than there is in the file.
    content = np.empty(length, np.uint8).data
    filled = 0
    while filled < length:
        count = stream.readinto(content[filled : filled + _BLOCK])
        if not count:
            raise InputError(_ENDS_EARLY)
        filled += count
    if isinstance(stream, gzip.GzipFile):
        while stream.read(_BLOCK):  # to its end, where the sum is checked
            pass
    array = np.frombuffer(content, header.dtype).reshape(header.shape)
    return array.astype(header.dtype.newbyteorder("="), copy=False)


def _scaled(array: NDArray, slope: float, intercept: float) -> NDArray:
    """``array * slope + intercept``: whole numbers as float32, computed in double precision."""
    dtype = array.dtype if array.dtype.kind == "f" else np.dtype(np.float32)
    scaled = np.empty(array.shape, dtype)
    for target, values in zip(scaled, array, strict=True):  # slice by slice, for less memory
        target[...] = values.astype(dtype).astype(np.float64) * slope + intercept
    return scaled
