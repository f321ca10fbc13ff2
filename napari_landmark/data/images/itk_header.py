"""Headers of NIfTI, NRRD and MetaImage, looked at before ITK does.

ITK follows a header to any file of the disk, takes the name of a data file for a pattern (which can end the
program), turns a spacing that is no number into 1 mm, and writes complaints straight to the terminal.
"""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from pathlib import Path

from napari_landmark.data.errors import InputError

_LONGEST_HEADER = 65_536
_NIFTI_SIZES = {348: 1, 540: 2}
_NIFTI_TYPES = {2, 4, 8, 16, 64, 128, 256, 512, 768, 1024, 1280, 2304}
_NIFTI_COMPLEX = {32, 1536, 1792, 2048}
_META_TYPES = {
    f"MET_{kind}{array}"
    for kind in ("UCHAR", "CHAR", "USHORT", "SHORT", "UINT", "INT", "ULONG", "LONG", "ULONG_LONG", "LONG_LONG",
                 "FLOAT", "DOUBLE")
    for array in ("", "_ARRAY")
}  # fmt: skip
_GZIP_MARK = b"\x1f\x8b"


def check_header(path: Path) -> None:
    """Refuse a header that ITK must not get to see; InputError without the file's name."""
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        _check_nifti(*_nifti(path))
    elif name.endswith((".mha", ".mhd")):
        _check_metaimage(_head(path), path)
    elif name.endswith((".nrrd", ".nhdr")):
        _check_nrrd(_head(path), path)


def says_spacing(path: Path) -> bool:
    """Whether the header itself holds a spacing; ITK says 1 mm where it does not."""
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        dims, _, steps, _, unit, _ = _nifti(path)
        steps = [step for step, size in zip(steps, dims[1:4], strict=False) if size > 1]
        if not all(math.isfinite(step) and step != 0 for step in steps):
            return False
        # Without a unit of length and with steps of one: an array that somebody saved as it was.
        return unit & 7 != 0 or any(step != 1 for step in steps)
    nrrd = name.endswith((".nrrd", ".nhdr"))
    line = rb"^(spacings|space directions):(.*)$" if nrrd else rb"^Element(Spacing|Size)\s*=(.*)$"
    found = re.search(line, _head(path), re.MULTILINE)
    words = [] if found is None else [word for word in found[2].lower().split() if word != b"none"]
    while nrrd and words and words[0] == b"nan":  # of the axis of colours
        words.pop(0)
    return bool(words) and not any(b"nan" in word or b"inf" in word for word in words)


def is_packed(path: Path) -> bool:
    """Whether a file is gzip, whatever its name says."""
    with path.open("rb") as stream:
        return stream.read(2) == _GZIP_MARK


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        head = stream.read(_LONGEST_HEADER)
    return re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0] if head.startswith(b"NRRD") else head


def _nifti(path: Path) -> tuple[list[int], int, list[float], float, int, int]:
    """Dimensions, data type, steps, start of the pixels, units of length and time, bits of a pixel."""
    try:
        with gzip.open(path) if is_packed(path) else path.open("rb") as stream:
            head = stream.read(540)
    except (EOFError, OSError, zlib.error) as error:
        raise InputError("ends too early, it seems damaged: save it again or remove it") from error
    for order in "<>":
        size = struct.unpack_from(f"{order}i", head)[0] if len(head) >= 348 else 0
        if _NIFTI_SIZES.get(size) == 1:
            dims = list(struct.unpack_from(f"{order}8h", head, 40))
            kind, bits = struct.unpack_from(f"{order}2h", head, 70)
            steps = list(struct.unpack_from(f"{order}8f", head, 76))
            (start,) = struct.unpack_from(f"{order}f", head, 108)
            return dims, kind, steps[1:], start, head[123], bits
        if _NIFTI_SIZES.get(size) == 2 and len(head) == 540:
            kind, bits = struct.unpack_from(f"{order}2h", head, 12)
            dims = list(struct.unpack_from(f"{order}8q", head, 16))
            steps = list(struct.unpack_from(f"{order}8d", head, 104))
            (start,) = struct.unpack_from(f"{order}q", head, 168)
            (unit,) = struct.unpack_from(f"{order}i", head, 500)
            return dims, kind, steps[1:], float(start), unit & 0xFF, bits
    raise InputError("is not an image of the kind its name says: save it again or remove it")


def _check_nifti(dims: list[int], kind: int, steps: list[float], start: float, unit: int, bits: int) -> None:
    count = dims[0]
    if not 1 <= count <= 7 or any(size < 1 for size in dims[1 : count + 1]):
        raise InputError("has a size that cannot be, it seems damaged: save it again or remove it")
    if kind in _NIFTI_COMPLEX:
        raise InputError("holds complex values in every pixel: save one channel as an image")
    if kind not in _NIFTI_TYPES:
        raise InputError(f"has pixels of a kind that is not known ({kind}): save it as another kind")
    if not 0 <= start < 2**40:
        raise InputError("says wrongly where its pixels begin, it seems damaged: save it again or remove it")


def _check_metaimage(head: bytes, path: Path) -> None:
    def entry(key: str) -> str | None:
        found = re.search(rf"^{key}\s*=\s*(.*?)\s*$".encode(), head, re.MULTILINE)
        return None if found is None else found[1].decode("utf-8", "replace")

    sizes, kind, data = entry("DimSize"), entry("ElementType"), entry("ElementDataFile")
    if sizes is None or kind is None or data is None:
        raise InputError("is not an image of the kind its name says: save it again or remove it")
    numbers = sizes.split()
    if not (2 <= len(numbers) <= 4 and all(re.fullmatch(r"\d{1,10}", n) and int(n) > 0 for n in numbers)):
        raise InputError(f"has a size of {sizes[:40]!r}: save it again or remove it")
    if entry("NDims") != str(len(numbers)):
        raise InputError("has a size that does not fit its number of axes: save it again or remove it")
    if kind.upper() not in _META_TYPES:
        raise InputError(f"has pixels of a kind that is not known ({kind[:40]}): save it as another kind")
    if data.upper() != "LOCAL":
        _check_data_file(data, path)


def _check_nrrd(head: bytes, path: Path) -> None:
    if not head.startswith(b"NRRD"):
        raise InputError("is not an image of the kind its name says: save it again or remove it")
    if sizes := re.search(rb"^sizes:\s*(.*?)\s*$", head, re.MULTILINE):
        numbers = sizes[1].split()
        if not all(re.fullmatch(rb"\d{1,10}", n) and int(n) > 0 for n in numbers):
            raise InputError("has a size that cannot be, it seems damaged: save it again or remove it")
    if data := re.search(rb"^data ?file:\s*(.*?)\s*$", head, re.MULTILINE | re.IGNORECASE):
        _check_data_file(data[1].decode("utf-8", "replace"), path)


def _check_data_file(name: str, path: Path) -> None:
    """Only one file, and only from the header's own folder: an image must not show other files of the disk."""
    if name.upper().startswith("LIST") or "%" in name:
        raise InputError("has its pixels in several files: save the volume as one file")
    folder = path.parent.resolve()
    try:
        there = (folder / name).resolve()
    except (RuntimeError, OSError, ValueError) as error:
        raise InputError(f"has its pixels in {name!r}, which cannot be read ({error})") from error
    if not there.is_relative_to(folder):
        raise InputError(f"has its pixels in {name!r}, outside of its own folder: put both into one folder")
    if not there.is_file():
        raise InputError(f"has its pixels in {name!r}, which is not there: put that file beside it")
