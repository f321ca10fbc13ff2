"""Reading and writing of whole landmark files as text, with errors that name the file and the line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NoReturn

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.images.memory_limit import total_memory

_LARGEST = 2 * 1024**3
_ALWAYS = 200 * 1024**2  # bytes that are read on any machine
_SHARE = 0.6  # of the memory
_MEMORY = 20  # bytes of memory for a byte of JSON of numbers; tables take less
_MOST_LANDMARKS = 10_000
_DECIMALS = 6


def read_text(path: Path) -> str:
    """The content of a UTF-8 file, without a byte order mark.

    At most 2 GB are read, and not more than this machine's memory holds as numbers; 200 MB are read everywhere.

    Raises
    ------
    InputError
        The file is missing, too large or not UTF-8.
    """
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            raise InputError(
                f"{path}: is larger than {_LARGEST / 1024**3:.0f} GB: this is no file of landmarks"
            )
        if size > max(_ALWAYS, _SHARE * total_memory() / _MEMORY):
            raise InputError(
                f"{path}: is {size / 1e6:.0f} MB large, which may need more memory than this machine has: split it by "
                "images, or save it as a CSV with the columns image,landmark,x,y, which is read row by row"
            )
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"{path}, line {line}: is not UTF-8 text: save the file as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; InputError where the file holds anything else."""
    text = read_text(path)
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}, line {error.lineno}: is not valid JSON ({error.msg}): export the file again"
        ) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets without end
        raise InputError(f"{path}: is not usable JSON ({error}): export the file again") from None
    if not isinstance(data, dict):
        raise InputError(
            f"{path}: holds {shown(data)}, and landmarks are in an object, of COCO keypoints or Slicer markups: "
            "export the file in one of these formats"
        )
    return data


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file, whole or not at all."""
    try:
        atomic_write(path, text)
    except UnicodeEncodeError as error:
        raise InputError(f"{path}: a name in it is not valid text (UTF-8): rename it") from error


def write_json(path: str | Path, data: dict[str, Any]) -> None:
    """Write an indented JSON file, whole or not at all."""
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def finite_number(value: object, what: str) -> float:
    """Finite float from a number or a text; InputError with `what` for anything else."""
    if isinstance(value, int | float | str) and not isinstance(value, bool) and "_" not in str(value)[:99]:
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise InputError(f"{what} is {shown(value)}: expected a number")


def shown(value: object) -> str:
    """Short text for a value of a file in a message."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**40 else "a huge number"
    return text if len(text) <= 40 else f"{text[:40]}..."


def pixels(value: float) -> float:
    """A coordinate in pixels, rounded to a millionth for writing."""
    return round(float(value), _DECIMALS) + 0.0


def check_count(count: int, path: str | Path) -> None:
    """Refuse (InputError) a file with an implausible number of landmarks in an image."""
    if count > _MOST_LANDMARKS:
        raise InputError(f"{path}: has {count} landmarks in an image: at most {_MOST_LANDMARKS} are read")


def check_one_line(image: str, path: str | Path) -> None:
    """Refuse (InputError) the name of an image that would break the lines of a file."""
    if image.splitlines() != [image] or not image.strip():
        raise InputError(f"{path}: the name of image {image!r} does not fit in one line: rename the image")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
