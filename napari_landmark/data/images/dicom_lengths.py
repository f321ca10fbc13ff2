"""Whether the lengths that a DICOM file states lie within the file.

A damaged length of 2 GB makes a reader ask for as much memory; GDCM, which ITK reads with, does not give it back where
the reading then fails. So a file is walked through before GDCM sees it.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

from napari_landmark.data.errors import InputError

_SLACK = 1024  # bytes; small reads beyond the end are how a reader finds it
_DEFERRED = 4096  # bytes; longer values are stepped over


class _DamagedError(Exception):
    pass


class WithinFile(io.BufferedReader):
    """A binary file that is never asked for much more than it holds."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1) -> bytes:
        """As of any file, but refused where far more is asked for than is left."""
        if size is not None and size > 0:
            self._check(self.tell() + size)
        return super().read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file, but refused where it leads far beyond the end."""
        if whence == os.SEEK_SET:
            self._check(offset)
        return super().seek(offset, whence)

    def _check(self, end: int) -> None:
        if end > self._size + _SLACK:
            raise _DamagedError(f"a value ends at byte {end} of {self._size}")


def check_dicom_lengths(path: Path) -> None:
    """Refuse (InputError) a file with a value that is said to reach far beyond its end, or is of no known kind."""
    import pydicom

    try:
        with WithinFile(path) as stream:
            _check_meta(stream)
            stream.seek(0)
            pydicom.dcmread(stream, defer_size=_DEFERRED)
    except _DamagedError as error:
        raise InputError(f"is damaged ({error}): save it again or remove it") from error
    except MemoryError:
        raise
    except Exception:  # pydicom raises nearly anything; what else is wrong with the file, GDCM says in a line
        return


def _check_meta(stream: WithinFile) -> None:
    """Walk through the file's first part (group 2), which is always explicit and little-endian (DICOM PS3.10, 7.1)."""
    from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

    kinds = {kind.value for kind in VR}
    stream.seek(128)
    if stream.read(4) != b"DICM":
        return
    while True:
        at = stream.tell()
        head = stream.read(8)
        if len(head) < 8 or head[:2] != b"\x02\x00":
            return
        kind = head[4:6].decode("latin-1")
        if kind in EXPLICIT_VR_LENGTH_32:
            length = int.from_bytes(stream.read(4), "little")
        elif kind in kinds:
            length = int.from_bytes(head[6:], "little")
        else:
            raise _DamagedError(f"a value of the unknown kind {kind!r} at byte {at}")
        stream.seek(stream.tell() + length)
