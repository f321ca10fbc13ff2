"""Landmark format of DeepLabCut: labels and predictions in a CSV with three header lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.image_names import ImageNames, common_schema
from napari_landmark.data.formats.landmark_format import LandmarkFormat
from napari_landmark.data.formats.text_file import (
    check_count,
    check_one_line,
    finite_number,
    pixels,
    read_text,
    write_text,
)
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.links import segments

_TITLES = ("scorer", "bodyparts", "coords")
_COORDS = ("x", "y", "likelihood")
_FOLDER = "labeled-data"
_LABELS = "collecteddata"


@dataclass(frozen=True)
class _Columns:
    """Column layout of a file: number of columns that name the image, and the columns of every landmark."""

    index: int
    landmarks: Mapping[str, Mapping[str, int]]
    total: int


def is_deeplabcut(path: str | Path) -> bool:
    """Recognize a CSV file of DeepLabCut by its first line."""
    if not Path(path).name.lower().endswith(".csv"):
        return False
    try:
        with Path(path).open("rb") as stream:
            first = stream.read(16)
    except OSError:
        return False
    return first.removeprefix(b"\xef\xbb\xbf").lstrip(b'\r\n"').startswith(b"scorer")


def named_deeplabcut(path: str | Path) -> bool:
    """Recognize the name of a file for DeepLabCut: it ends in .dlc.csv or is CollectedData_<scorer>.csv."""
    name = Path(path).name.lower()
    return name.endswith(".dlc.csv") or (name.startswith(_LABELS) and name.endswith(".csv"))


def read_deeplabcut(
    path: str | Path,
    *,
    schema: LandmarkSchema | None = None,
    geometries: Mapping[str, Geometry] | None = None,
) -> dict[str, LandmarkSet]:
    """Read the landmarks of many images.

    x and y are columns and rows with pixel centres at integers. A landmark with a likelihood was predicted
    with that confidence, one without was placed; one without coordinates is not placed. Images are called
    as in the file, without ``labeled-data/<video>/`` where all of them are in one such folder.

    Parameters
    ----------
    path : str or Path
        The file, with labels or predictions of one individual.
    schema : LandmarkSchema, optional
        Landmarks that may occur; the bodyparts of the file if not given.
    geometries : mapping of str to Geometry, optional
        Geometries of the known images: their names replace the paths of the file.

    Raises
    ------
    InputError
        With the file and the line.
    """
    path = Path(path)
    rows = _rows(path)
    titles: dict[str, list[str]] = {}
    while rows and rows[0][1][0].strip().lower() in (*_TITLES, "individuals"):
        line, row = rows.pop(0)
        titles[row[0].strip().lower()] = [cell.strip() for cell in row]
    columns = _columns(path, titles)
    try:
        schema = schema or LandmarkSchema(tuple(columns.landmarks))
        for name in columns.landmarks:
            schema.index(name)
    except InputError as error:
        raise error.prefixed(path) from None
    named: dict[int, list[str]] = {}
    for line, row in rows:
        if len(row) != columns.total:
            raise InputError(f"{path}, line {line}: has {len(row)} columns, the titles have {columns.total}")
        named[line] = "/".join(row[: columns.index]).replace("\\", "/").split("/")
    folders = {tuple(parts[:2]) for parts in named.values() if len(parts) > 2}
    if len(folders) == 1 and all(len(parts) > 2 for parts in named.values()):
        ((first, _),) = folders
        if first == _FOLDER:
            named = {line: parts[2:] for line, parts in named.items()}
    known = ImageNames(geometries)
    sets: dict[str, LandmarkSet] = {}
    for line, row in rows:
        try:
            image = known.find_or_keep("/".join(named[line]))
            if not image.strip():
                raise InputError("the image has no name")
            if image in sets:
                raise InputError(f"the image {image} is there twice: keep one line")
            marks = [_landmark(name, row, where) for name, where in columns.landmarks.items()]
            sets[image] = LandmarkSet(schema, marks)
        except InputError as error:
            raise error.prefixed(f"{path}, line {line}") from None
    if not sets:
        raise InputError(f"{path}: has titles and no landmarks: expected a line for each image")
    return sets


def write_deeplabcut(
    path: str | Path,
    sets: Mapping[str, LandmarkSet],
    *,
    geometries: Mapping[str, Geometry] | None = None,
) -> None:
    """Write the landmarks of many pictures, as labels of the video that the file's folder is called after.

    The scorer is taken from a name such as ``CollectedData_scorer.csv``. A column for the likelihood is
    written where a prediction has a confidence, and filled for predictions only. Links are the lines `skeleton:` of the
    project's ``config.yaml``, in a file ``NAME.skeleton.yaml`` beside it.

    Parameters
    ----------
    path : str or Path
        The file.
    sets : mapping of str to LandmarkSet
        Landmarks by name of the image.
    geometries : mapping of str to Geometry, optional
        Not needed.
    """
    path = Path(path)
    if not sets:
        raise InputError(f"{path}: there are no images to write")
    schema = common_schema(sets.values())
    names = schema.names
    likely = any(_likelihood(mark) is not None for marks in sets.values() for mark in marks.values())
    coords = _COORDS if likely else _COORDS[:2]
    scorer = path.stem[len(_LABELS) + 1 :] if path.name.lower().startswith(_LABELS) else ""
    heads = ([scorer or "napari-landmark"] * len(names), names, [""] * len(names))
    table = [
        [title, "", "", *(cell or coord for cell in cells for coord in coords)]
        for title, cells in zip(_TITLES, heads, strict=True)
    ]
    video = path.resolve().parent.name or "images"
    for image, landmarks in sets.items():
        check_one_line(image, path)
        if landmarks.ndim == 3:
            raise InputError(f"{image}: is a volume, and DeepLabCut is for pictures: write another format")
        row = [_FOLDER, video, image]
        for name in names:
            row += _cells(landmarks.get(name, Landmark(name)), likely)
        table.append(row)
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(table)
    write_text(path, stream.getvalue())
    if pairs := segments(schema.links):
        # Texts in the quotes of JSON are texts of YAML.
        lines = [f"  - {json.dumps(list(pair), ensure_ascii=False)}" for pair in pairs]
        skeleton = path.with_name(f"{path.name.removesuffix(path.suffix)}.skeleton.yaml")
        write_text(skeleton, "\n".join(["skeleton:", *lines, ""]))


DEEPLABCUT = LandmarkFormat(
    title="DeepLabCut",
    suffixes=(".dlc.csv",),
    read=read_deeplabcut,
    write=write_deeplabcut,
    recognizes_content=is_deeplabcut,
    recognizes_name=named_deeplabcut,
)


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Non-empty rows with their line numbers."""
    text = read_text(path)
    first = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)  # of a spreadsheet in some countries: semicolons
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InputError(
            f"{path}, line {reader.line_num}: is not a readable row ({error}): check the quotes"
        ) from None


def _columns(path: Path, titles: Mapping[str, Sequence[str]]) -> _Columns:
    missing = [title for title in _TITLES if title not in titles]
    if missing:
        raise InputError(f"{path}: has no line '{missing[0]}': expected the titles {', '.join(_TITLES)}")
    total = len(titles["coords"])
    if any(len(row) != total for row in titles.values()):
        raise InputError(f"{path}: its lines of titles have different numbers of columns")
    index = 1
    while index < total and not any(row[index] for row in titles.values()):
        index += 1
    individuals = set(titles.get("individuals", ())[index:])
    if len(individuals) > 1:
        raise InputError(f"{path}: holds {len(individuals)} individuals: export one of them")
    landmarks: dict[str, dict[str, int]] = {}
    for number in range(index, total):
        name, coord = titles["bodyparts"][number], titles["coords"][number].lower()
        if coord not in _COORDS:
            raise InputError(f"{path}: has a column {coord!r}: expected {', '.join(_COORDS)}")
        if coord in landmarks.setdefault(name, {}):
            raise InputError(f"{path}: has {coord} of {name!r} twice: keep one scorer")
        landmarks[name][coord] = number
    for name, found in landmarks.items():
        if "x" not in found or "y" not in found:
            raise InputError(f"{path}: {name!r} has no column {'y' if 'x' in found else 'x'}")
    check_count(len(landmarks), path)
    return _Columns(index, landmarks, total)


def _landmark(name: str, row: Sequence[str], columns: Mapping[str, int]) -> Landmark:
    cells = {coord: row[number].strip() for coord, number in columns.items()}
    x, y, likelihood = (
        None
        if cells.get(coord, "").lower() in ("", "nan")
        else finite_number(cells[coord], f"{coord} of {name!r}")
        for coord in _COORDS
    )
    if (x is None) != (y is None):
        raise InputError(f"{name!r} has {'y' if x is None else 'x'} only: give both or none")
    if x is None or y is None:
        return Landmark(name)
    return Landmark(name, (y, x), Status.PLACED if likelihood is None else Status.PREDICTED, likelihood)


def _likelihood(mark: Landmark) -> float | None:
    return mark.confidence if mark.status is Status.PREDICTED else None


def _cells(mark: Landmark, likely: bool) -> list[str]:
    values: tuple[float | None, ...] = (None, None) if mark.position is None else mark.position[::-1]
    values += (_likelihood(mark),) if likely else ()
    return ["" if value is None else repr(pixels(value)) for value in values]
