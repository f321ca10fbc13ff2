"""Parse the header of a DICOM file, and check that the lengths it states are within the file.

A damaged length of 2 GB makes a reader ask for as much memory; GDCM, which ITK reads with, does not give it back where
the reading then fails. So pydicom parses a file before GDCM reads it.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from napari_landmark.data.errors import InputError

if TYPE_CHECKING:
    from pydicom import Dataset

_MARK = b"DICM"
_MARK_AT = 128
_EXPLICIT = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")  # little and big endian
_SLACK = 1024  # bytes; small reads beyond the end are how a reader finds it
_DEFERRED = 4096  # bytes; longer values are stepped over


class _DamagedError(Exception):
    pass


class _WithinFile(io.BufferedReader):
    """A binary file that refuses reads far beyond its end."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1) -> bytes:
        """Read as of any file, but refuse far more bytes than are left."""
        if size is not None and size > 0:
            self._check(self.tell() + size)
        return super().read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Seek as in any file, but refuse where that is far beyond the end."""
        if whence == os.SEEK_SET:
            self._check(offset)
        return super().seek(offset, whence)

    def _check(self, end: int) -> None:
        if end > self._size + _SLACK:
            raise _DamagedError(f"a value ends at byte {end} of {self._size}")


def is_dicom(path: Path) -> bool:
    """Whether a path is a file with the mark of DICOM; never raises."""
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            return False
        with path.open("rb") as stream:
            return stream.read(_MARK_AT + len(_MARK))[_MARK_AT:] == _MARK
    except OSError:
        return False


def dicom_header(path: Path) -> Dataset:
    """Parse the header of a DICOM file, and what is behind it: GDCM may read the pixels then.

    Raises
    ------
    InputError
        Without the file's name, where the file is no DICOM, a value reaches far beyond its end, or it holds no pixels
        that GDCM reads.
    """
    import pydicom

    try:
        with _WithinFile(path) as stream:
            _check_meta(stream)
            stream.seek(0)
            try:
                header = pydicom.dcmread(stream, defer_size=_DEFERRED)
            except (_DamagedError, MemoryError):
                raise
            except Exception:  # what is wrong with the pixels, GDCM says in a line
                stream.seek(0)
                return pydicom.dcmread(stream, stop_before_pixels=True)
            _check_pixels(header)
            return header
    except _DamagedError as error:
        raise InputError(f"cannot be read, it is damaged ({error}): save it again or remove it") from error
    except pydicom.errors.InvalidDicomError as error:
        raise InputError(
            "cannot be read, it is no DICOM file or lacks the preamble of one: save it again or remove it"
        ) from error
    except (InputError, MemoryError):
        raise
    except Exception as error:  # of a damaged file pydicom raises nearly anything
        detail = " ".join(str(error).split())
        raise InputError(
            f"cannot be read as DICOM, it seems damaged ({detail}): save it again or remove it"
        ) from error


def _check_pixels(header: Dataset) -> None:
    """Refuse (InputError) a file without pixels, and pixels that GDCM reads wrongly without an error.

    Compared with pydicom for all transfer syntaxes that are not compressed, and for RLE.
    """
    from pydicom.uid import ExplicitVRBigEndian, RLELossless

    if not any(name in header for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        if header.get("Rows"):
            raise InputError("ends before its pixels, it seems damaged: save it again or remove it")
        kind = getattr(header.get("SOPClassUID"), "name", "") or "of an unknown kind"
        raise InputError(f"holds no pixels ({kind}): move it out of the folder")
    syntax = header.file_meta.get("TransferSyntaxUID")
    bits, colours = int(header.get("BitsAllocated") or 0), int(header.get("SamplesPerPixel") or 1) > 1
    planes = colours and int(header.get("PlanarConfiguration") or 0) == 1
    for wrong, kind in (
        (syntax == RLELossless and colours and bits > 8, f"colours of {bits} bits packed by run lengths"),
        (syntax == ExplicitVRBigEndian and bits > 16, f"pixels of {bits} bits with the largest byte first"),
        (planes and bits > 16, f"colours of {bits} bits in planes"),
    ):
        if wrong:
            raise InputError(f"holds {kind}, which is not read here: save it uncompressed as grey values")


def _check_meta(stream: _WithinFile) -> None:
    """Check the file meta information (group 2), which is always explicit and little-endian (DICOM PS3.10, 7.1).

    Raises InputError where the data set has no value representations though the transfer syntax is explicit: GDCM then
    takes a value for a length, and a gigabyte of memory.
    """
    from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

    kinds = {kind.value for kind in VR}
    syntax = ""
    stream.seek(_MARK_AT)
    if stream.read(len(_MARK)) != _MARK:
        return
    while True:
        at = stream.tell()
        head = stream.read(8)
        if len(head) < 8:
            return
        if head[:2] != b"\x02\x00":
            if syntax in _EXPLICIT and head[4:6].decode("latin-1") not in kinds:
                raise InputError("is not stored as its transfer syntax says, it seems damaged: save it again")
            return
        kind = head[4:6].decode("latin-1")
        if kind in EXPLICIT_VR_LENGTH_32:
            length = int.from_bytes(stream.read(4), "little")
        elif kind in kinds:
            length = int.from_bytes(head[6:], "little")
        else:
            raise _DamagedError(f"a value of the unknown kind {kind!r} at byte {at}")
        end = stream.tell() + length
        if head[2:4] == b"\x10\x00":  # (0002,0010)
            syntax = stream.read(length).rstrip(b"\0 ").decode("latin-1")
        stream.seek(end)
