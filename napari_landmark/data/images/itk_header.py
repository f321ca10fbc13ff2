"""Check headers of NRRD and MetaImage before ITK reads them.

ITK follows a header to any file of the disk, takes the name of a data file for a pattern (which can end the
program), turns a spacing that is no number into 1 mm, and writes complaints straight to the terminal.
"""

from __future__ import annotations

import re
from pathlib import Path

from napari_landmark.data.errors import InputError

_LONGEST_HEADER = 65_536
_META_TYPES = {
    f"MET_{kind}{array}"
    for kind in ("UCHAR", "CHAR", "USHORT", "SHORT", "UINT", "INT", "ULONG", "LONG", "ULONG_LONG", "LONG_LONG",
                 "FLOAT", "DOUBLE")
    for array in ("", "_ARRAY")
}  # fmt: skip
_DOMAINS = ("domain", "space", "none", "???")
_COLOURS = ("rgb-color", "rgba-color", "3-color", "4-color")
_UNNAMED = ("vector", "3-vector", "4-vector")
_KINDS = (
    *_DOMAINS, *_COLOURS, *_UNNAMED, "2-vector", "time", "list", "point", "covariant-vector",
    "normal", "scalar", "complex",
)  # fmt: skip
_PATIENT_SPACES = {
    "right-anterior-superior", "ras", "left-anterior-superior", "las", "left-posterior-superior", "lps",
}  # fmt: skip
_NO_UNIT = {"", "none", "???", "?"}
_MILLIMETRES = {
    "mm": 1.0, "millimeter": 1.0, "millimeters": 1.0, "millimetre": 1.0, "millimetres": 1.0,
    "cm": 10.0, "centimeter": 10.0, "centimeters": 10.0, "m": 1000.0, "meter": 1000.0, "meters": 1000.0,
    "um": 1e-3, "\u00b5m": 1e-3, "\u03bcm": 1e-3, "micron": 1e-3, "microns": 1e-3, "micrometer": 1e-3,
    "micrometers": 1e-3, "nm": 1e-6, "nanometer": 1e-6, "nanometers": 1e-6,
}  # fmt: skip
_WRONG_KIND = "is not an image of the kind its name says: save it again or remove it"


def checked_header(path: Path) -> bytes:
    """The header's text, and for a MetaImage possibly pixels behind it.

    Raises
    ------
    InputError
        Without the file's name, where ITK must not get to see the file.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(_LONGEST_HEADER)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})") from error
    if path.name.lower().endswith((".mha", ".mhd")):
        _check_metaimage(head, path)
        return head
    head = re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0]
    _check_nrrd(head, path)
    return head


def says_spacing(head: bytes) -> bool:
    """Whether a header itself holds a spacing; ITK says 1 mm where it does not."""
    nrrd = head.startswith(b"NRRD")
    line = rb"^(spacings|space directions):(.*)$" if nrrd else rb"^Element(Spacing|Size)\s*=(.*)$"
    found = re.search(line, head, re.MULTILINE)
    words = [] if found is None else [word for word in found[2].lower().split() if word != b"none"]
    while nrrd and words and words[0] == b"nan":  # of the axis of colours
        words.pop(0)
    return bool(words) and not any(b"nan" in word or b"inf" in word for word in words)


def millimetres(head: bytes) -> float:
    """Millimetres in the header's unit of length, which ITK leaves aside; 1 where it names none.

    Raises
    ------
    InputError
        Where the unit is not known, or is not the same along all axes of space.
    """
    if head.startswith(b"NRRD"):
        found = re.search(rb"^(?:space units|units):(.*)$", head, re.MULTILINE)
        text = "" if found is None else found[1].decode("utf-8", "replace")
        quoted = re.findall(r'"([^"]*)"', text)
        units = {unit.strip() for unit in (quoted or text.split()) if unit.strip() not in _NO_UNIT}
    else:
        found = re.search(rb"^DistanceUnits\s*=(.*)$", head, re.MULTILINE)
        units = {found[1].decode("utf-8", "replace").strip()} - _NO_UNIT if found is not None else set()
    known = {_MILLIMETRES.get(unit if unit in _MILLIMETRES else unit.lower()) for unit in units}
    if None in known or len(known) > 1:
        named = ", ".join(sorted(units))
        raise InputError(f"gives its distances in {named[:60]!r}: save it in millimetres")
    return known.pop() or 1.0 if known else 1.0


def says_anatomy(head: bytes) -> bool:
    """Whether a header states that its axes are those of a patient: NRRD by its space, MetaImage by its orientation."""
    if head.startswith(b"NRRD"):
        found = re.search(rb"^space:\s*(.*?)\s*$", head, re.MULTILINE)
        return found is not None and found[1].decode("utf-8", "replace").lower() in _PATIENT_SPACES
    found = re.search(rb"^AnatomicalOrientation\s*=\s*(.*?)\s*$", head, re.MULTILINE)
    return found is not None and re.fullmatch(rb"[RLAPIS]{3}", found[1]) is not None


def check_samples(head: bytes, *, count: int, is_byte: bool) -> None:
    """Refuse (InputError) pixels of several values that are no colours, and axes of time or of a list.

    Parameters
    ----------
    head : bytes
        Text of the header.
    count : int
        Values of every pixel, as ITK reads them.
    is_byte : bool
        Whether a value is an unsigned byte: those of an unnamed kind or called vectors are taken for colours, as
        SimpleITK writes them.
    """
    found = re.search(rb"^kinds:(.*)$", head, re.MULTILINE) if head.startswith(b"NRRD") else None
    kinds = [] if found is None else found[1].decode("utf-8", "replace").lower().split()
    sizes = re.search(rb"^sizes:(.*)$", head, re.MULTILINE)
    lengths = [] if sizes is None else [int(size) for size in sizes[1].split()]
    if any(kind == "time" and length > 1 for kind, length in zip(kinds, lengths, strict=False)):
        raise InputError("is a series of moments in time: save the one that is meant as a file of its own")
    if count == 1:
        return
    other = [kind for kind in kinds if kind not in _DOMAINS]
    unnamed = all(kind in _UNNAMED for kind in other)
    if not (all(kind in _COLOURS for kind in other) and other) and not (is_byte and unnamed):
        raise InputError(
            f"holds {count} values in every pixel that are no colours: save one of them as an image"
        )


def check_unit(head: bytes) -> None:
    """Refuse (InputError) a header whose distances are not in millimetres."""
    if millimetres(head) != 1:
        raise InputError("gives its distances in another unit: save it in millimetres")


def _check_metaimage(head: bytes, path: Path) -> None:
    def entry(key: str) -> str | None:
        found = re.search(rf"^{key}\s*=\s*(.*?)\s*$".encode(), head, re.MULTILINE)
        return None if found is None else found[1].decode("utf-8", "replace")

    sizes, kind, data = entry("DimSize"), entry("ElementType"), entry("ElementDataFile")
    if sizes is None or kind is None or data is None:
        raise InputError(_WRONG_KIND)
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
        raise InputError(_WRONG_KIND)
    if sizes := re.search(rb"^sizes:\s*(.*?)\s*$", head, re.MULTILINE):
        numbers = sizes[1].split()
        if not all(re.fullmatch(rb"\d{1,10}", n) and int(n) > 0 for n in numbers):
            raise InputError("has a size that cannot be, it seems damaged: save it again or remove it")
    if re.search(rb"^encoding:\s*bz(ip)?2\s*$", head, re.MULTILINE | re.IGNORECASE):
        raise InputError("is packed with bzip2, which is not read here: save it with gzip or unpacked")
    if kinds := re.search(rb"^kinds:(.*)$", head, re.MULTILINE):
        unknown = [kind for kind in kinds[1].decode("utf-8", "replace").split() if kind.lower() not in _KINDS]
        if unknown:  # of some, ITK's library writes to the terminal
            raise InputError(
                f"holds values that are no colours ({unknown[0][:40]}): save one of them as an image"
            )
    if data := re.search(rb"^data ?file:\s*(.*?)\s*$", head, re.MULTILINE | re.IGNORECASE):
        _check_data_file(data[1].decode("utf-8", "replace"), path)


def separate_pixels(path: Path) -> Path | None:
    """File with the pixels of a header without them (.mhd, .nhdr); None where there is none or it cannot be told."""
    if not path.name.lower().endswith((".mhd", ".nhdr")):
        return None
    try:
        head = checked_header(path)
    except InputError:
        return None
    found = re.search(
        rb"^(?:ElementDataFile\s*=|data ?file:)\s*(.*?)\s*$", head, re.MULTILINE | re.IGNORECASE
    )
    if found is None or found[1].upper() == b"LOCAL":
        return None
    return path.parent / found[1].decode("utf-8", "replace")


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
