"""Landmark format of the terminal and of studies: a CSV table with a row for each landmark."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.files.composed_name import composed_name
from napari_landmark.data.files.csv_table import guarded_name, table_text, unguarded_name
from napari_landmark.data.formats.landmark_format import LandmarkFormat
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status

_LONGEST_LINE = 4 * 1024**2
_REQUIRED = ("image", "landmark", "x", "y")
_COVARIANCES = {
    2: ("error_cov_xx_px2", "error_cov_xy_px2", "error_cov_yy_px2"),
    3: (
        "error_cov_xx_px2",
        "error_cov_xy_px2",
        "error_cov_xz_px2",
        "error_cov_yy_px2",
        "error_cov_yz_px2",
        "error_cov_zz_px2",
    ),
}
_KNOWN = (
    *_REQUIRED,
    *("z", "status", "confidence", "expected_error_px", "image_state", "covered"),
    *_COVARIANCES[3],
)
_YES_OR_NO = {"": False, "no": False, "0": False, "false": False, "yes": True, "1": True, "true": True}
_DECIMALS = 6


@dataclass(frozen=True)
class _Table:
    """Rows of a CSV file as text, with the columns of its header and its decimal sign."""

    path: Path
    columns: Mapping[str, int]
    width: int
    decimal_comma: bool
    rows: Iterator[tuple[int, list[str]]]


def read_csv(
    path: str | Path,
    *,
    schema: LandmarkSchema | None = None,
    geometries: Mapping[str, Geometry] | None = None,
) -> dict[str, LandmarkSet]:
    """Read the landmarks of many images.

    Needed are the columns image, landmark, x and y, for volumes also z: index coordinates, x = column,
    y = row, z = slice. Read are also status, confidence, expected_error_px, the covariances of the error, image_state
    and covered; others are ignored. Without a status, a row with coordinates is placed and one without is missing.
    Columns may be separated by commas, semicolons (then a decimal comma is understood, too) or tabs. Image names are
    taken as they are, spaces included; accents are composed (Unicode NFC).

    Parameters
    ----------
    path : str or Path
        The file, in UTF-8.
    schema : LandmarkSchema, optional
        Landmarks that may occur; those of the file in order of appearance if not given.
    geometries : mapping of str to Geometry, optional
        Not needed.

    Returns
    -------
    dict of str to LandmarkSet
        Landmarks by name of the image, in the order of the file.

    Raises
    ------
    InputError
        With the file and the line.
    """
    images: dict[str, dict[str, Landmark]] = {}
    width: dict[str, int] = {}
    states: dict[str, ImageState] = {}
    with _opened_table(Path(path)) as table:
        for line, row in table.rows:
            where = f"{path}, line {line}"
            try:
                image, landmark, state = _read_row(row, table)
                if schema is not None:
                    schema.index(landmark.name)
            except InputError as error:
                raise error.prefixed(where) from None
            found = images.setdefault(image, {})
            if landmark.name in found:
                raise InputError(
                    f"{where}: landmark {landmark.name!r} of image {image!r} is there twice: keep one row"
                )
            if landmark.position is not None and width.setdefault(image, len(landmark.position)) != len(
                landmark.position
            ):
                raise InputError(
                    f"{where}: image {image!r} has rows with z and rows without: give all of them alike"
                )
            found[landmark.name] = landmark
            if state is not None and states.setdefault(image, state) is not state:
                raise InputError(
                    f"{where}: image {image!r} is {state!r} here and {states[image]!r} before: give one image_state"
                )
    if not images:
        raise InputError(f"{path}: has column titles and no landmarks: add a row for each landmark")
    if schema is None:
        try:
            schema = LandmarkSchema(tuple(dict.fromkeys(name for found in images.values() for name in found)))
        except InputError as error:
            raise error.prefixed(path) from None
    return {
        image: LandmarkSet(schema, found.values(), image_state=states.get(image))
        for image, found in images.items()
    }


def write_csv(
    path: str | Path,
    sets: Mapping[str, LandmarkSet],
    *,
    geometries: Mapping[str, Geometry] | None = None,
) -> None:
    """Write the landmarks of many images, whole or not at all.

    A landmark without a position has a row with empty coordinates. Columns in millimetres are empty where the spacing
    is not known; there is a column image_state where a set has one, a column covered where a landmark is, and columns
    of covariances where a landmark has one. A name that a spreadsheet would take for a formula gets an apostrophe in
    front, which reading removes.

    Parameters
    ----------
    path : str or Path
        The file.
    sets : mapping of str to LandmarkSet
        Landmarks by name of the image.
    geometries : mapping of str to Geometry, optional
        Geometries by name of the image, for the columns in millimetres.
    """
    atomic_write(path, csv_content(path, sets, geometries=geometries))


def csv_content(
    path: str | Path,
    sets: Mapping[str, LandmarkSet],
    *,
    geometries: Mapping[str, Geometry] | None = None,
) -> bytes:
    """Content of the file that `write_csv` writes; its path is for messages."""
    geometries = geometries or {}
    volumes = any(
        landmarks.ndim == 3 or (image in geometries and geometries[image].ndim == 3)
        for image, landmarks in sets.items()
    )
    axes = ("x", "y", "z") if volumes else ("x", "y")
    header = ["image", "landmark", *axes, *(f"{axis}_mm" for axis in axes)]
    rows = [[*header, "status", "confidence", "expected_error_mm", "expected_error_px", "spacing_source"]]
    judged = any(landmarks.image_state is not None for landmarks in sets.values())
    if judged:
        rows[0].append("image_state")
    covered = any(mark.covered for landmarks in sets.values() for mark in landmarks.values())
    if covered:
        rows[0].append("covered")
    spread = any(mark.covariance is not None for landmarks in sets.values() for mark in landmarks.values())
    if spread:
        rows[0] += _COVARIANCES[len(axes)]
    for image, landmarks in sets.items():
        for landmark in landmarks.values():
            try:
                row = _written_row(image, landmark, geometries.get(image), len(axes))
                row += [str(landmarks.image_state or "")] if judged else []
                row += ["yes" if landmark.covered else ""] if covered else []
                rows.append([*row, *_covariance_cells(landmark, len(axes))] if spread else row)
            except ValueError as error:
                raise InputError(
                    f"{image}: landmark {landmark.name!r} cannot be written ({error})"
                ) from error
    try:
        return table_text(rows).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{path}: an image has a name that is not valid text (UTF-8): rename it") from error


LANDMARK_CSV = LandmarkFormat(title="CSV table", suffixes=(".csv",), read=read_csv, write=write_csv)


@contextmanager
def _opened_table(path: Path) -> Iterator[_Table]:
    """Open a table; its rows are read as they are asked for, so that its size does not matter."""
    try:
        stream = path.open(encoding="utf-8-sig", newline="")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    with stream:
        first = next((line for line in _lines(path, stream) if line.strip("\r\n")), "")
        delimiter = max(",;\t", key=first.count)
        stream.seek(0)
        rows = _rows(path, _lines(path, stream), delimiter)
        line, header = next(rows, (0, []))
        if not header:
            raise InputError(f"{path}: is empty: expected a table with the columns {', '.join(_REQUIRED)}")
        columns: dict[str, int] = {}
        for number, title in enumerate(header):
            title = title.strip().lower()
            if title in columns and title in _KNOWN:
                raise InputError(f"{path}, line {line}: column '{title}' is there twice: rename one of them")
            columns.setdefault(title, number)
        missing = [title for title in _REQUIRED if title not in columns]
        if missing:
            raise InputError(
                f"{path}, line {line}: no column '{missing[0]}': the first line must name the columns "
                f"{', '.join(_REQUIRED)}"
            )
        yield _Table(path, columns, len(header), delimiter != ",", rows)


def _lines(path: Path, stream: TextIO) -> Iterator[str]:
    """Lines of a table with their ends."""
    try:
        while line := stream.readline(_LONGEST_LINE):
            if len(line) == _LONGEST_LINE:
                raise InputError(
                    f"{path}: has a line of {_LONGEST_LINE} signs: this is no table of landmarks"
                )
            yield line
    except UnicodeDecodeError:
        where = f"{path}, line {_undecodable_line(path)}"
        raise InputError(f"{where}: is not UTF-8 text: save the table as 'CSV UTF-8'") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _undecodable_line(path: Path) -> int:
    """Number of the first line that is not UTF-8; the error of a stream does not tell."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1


def _rows(path: Path, lines: Iterator[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Non-empty rows with the number of their first line."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}, line {line}: is not a readable row ({error}): check the quotes") from error


def _read_row(row: list[str], table: _Table) -> tuple[str, Landmark, ImageState | None]:
    def cell(column: str) -> str:
        number = table.columns.get(column)
        return row[number] if number is not None and number < len(row) else ""

    def number(column: str) -> float | None:
        text = cell(column).strip()
        if not text:
            return None
        try:
            value = float(text.replace(",", ".") if table.decimal_comma else text)
        except ValueError:
            raise InputError(f"{column} is {text!r}: expected a number") from None
        if not math.isfinite(value):
            raise InputError(f"{column} is {text!r}: expected a number, or nothing for a missing landmark")
        return value

    if any(extra.strip() for extra in row[table.width :]):
        raise InputError(
            f"has {len(row)} cells and the titles are {table.width}: is a decimal comma in it? "
            "Save the table with decimal points, or with semicolons between the cells"
        )
    image = composed_name(unguarded_name(cell("image")))
    name = unguarded_name(cell("landmark").strip())
    if not image.strip() or not name:
        raise InputError(f"the column '{'landmark' if image.strip() else 'image'}' is empty: name it")
    x, y, z = number("x"), number("y"), number("z")
    given = [axis for axis, value in (("x", x), ("y", y), ("z", z)) if value is not None]
    if given and (x is None or y is None):
        absent = "x" if x is None else "y"
        raise InputError(f"landmark {name!r} has {given[0]} and no {absent}: give all coordinates or none")
    position = None if x is None or y is None else (y, x) if z is None else (z, y, x)
    status = cell("status").strip().lower()
    if not status:
        status = Status.MISSING if position is None else Status.PLACED
    elif status not in tuple(Status):
        allowed = ", ".join(Status)
        raise InputError(
            f"landmark {name!r} has the status {status!r}: expected one of {allowed}, or nothing"
        )
    state = cell("image_state").strip().lower()
    if state and state not in tuple(ImageState):
        raise InputError(
            f"image_state is {state!r}: expected one of {', '.join(ImageState)}, or nothing for an unknown one"
        )
    covered = cell("covered").strip().lower()
    if covered not in _YES_OR_NO:
        raise InputError(f"covered is {covered!r}: expected yes or no, or nothing")
    landmark = Landmark(
        name,
        position,
        Status(status),
        number("confidence"),
        number("expected_error_px"),
        _YES_OR_NO[covered],
        _covariance(len(position or ()), number),
    )
    return image, landmark, ImageState(state) if state else None


def _covariance(ndim: int, number: Callable[[str], float | None]) -> tuple[tuple[float, ...], ...] | None:
    """Covariance of the error in array axis order of a row; None where it has none or no position."""
    titles = _COVARIANCES.get(ndim, ())
    values = [number(title) for title in titles]
    given = [value for value in values if value is not None]
    if not given:
        return None
    if len(given) < len(titles):
        missing = titles[values.index(None)]
        raise InputError(f"{missing} is empty and others are not: give all covariances of a row, or none")
    upper = np.zeros((ndim, ndim))
    upper[np.triu_indices(ndim)] = given
    full = upper + np.triu(upper, 1).T
    return tuple(map(tuple, full[::-1, ::-1].tolist()))  # from x, y, z to the order of the axes


def _covariance_cells(landmark: Landmark, ndim: int) -> list[str]:
    """Cells of the covariance of the error."""
    if landmark.covariance is None:
        return [""] * len(_COVARIANCES[ndim])
    matrix = np.array(landmark.covariance)[::-1, ::-1]
    own = len(matrix)
    entries = dict(zip(_COVARIANCES[own], matrix[np.triu_indices(own)].tolist(), strict=True))
    return [_number(entries[title]) if title in entries else "" for title in _COVARIANCES[ndim]]


def _written_row(image: str, landmark: Landmark, geometry: Geometry | None, width: int) -> list[str]:
    pixels, world, error = [""] * width, [""] * width, ""
    source = "" if geometry is None else geometry.spacing_statement
    if landmark.position is not None:
        pixels = _cells(landmark.position[::-1], width)
        if geometry is not None and geometry.has_spacing:
            world = _cells(geometry.to_world([landmark.position])[0][::-1], width)
    if geometry is not None and geometry.mean_spacing is not None and landmark.expected_error is not None:
        error = _number(landmark.expected_error * geometry.mean_spacing)
    confidence, error_px = (
        "" if value is None else _number(value) for value in (landmark.confidence, landmark.expected_error)
    )
    names = guarded_name(image), guarded_name(landmark.name)
    return [*names, *pixels, *world, str(landmark.status), confidence, error, error_px, source]


def _cells(values: tuple[float, ...], width: int) -> list[str]:
    cells = [_number(value) for value in values]
    return cells + [""] * (width - len(cells))


def _number(value: float) -> str:
    # A millionth of a pixel is precise enough, and easier to read than sixteen digits.
    return repr(round(float(value), _DECIMALS) + 0.0)
