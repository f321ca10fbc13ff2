"""Wide table of landmarks: a row for each image and a column for each coordinate, as statistics programs take them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.composed_name import composed_name
from napari_landmark.data.files.csv_table import guarded_name, table_text, unguarded_name
from napari_landmark.data.formats.image_names import ImageNames, common_schema
from napari_landmark.data.formats.landmark_format import LandmarkFormat
from napari_landmark.data.formats.text_file import check_count, finite_number, pixels, read_text, write_text
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status

_AXES = ("x", "y", "z")
_SPACING = "spacing_{}_mm"


def read_wide_csv(
    path: str | Path,
    *,
    schema: LandmarkSchema | None = None,
    geometries: Mapping[str, Geometry] | None = None,
) -> dict[str, LandmarkSet]:
    """Read the landmarks of many images.

    Needed are a column 'image' and the columns 'NAME x' and 'NAME y', of volumes also 'NAME z', of each landmark: index
    coordinates. A landmark is missing where all its cells are empty or NA. Other columns are ignored.

    Parameters
    ----------
    path : str or Path
        The file, in UTF-8, its cells separated by commas, semicolons or tabs.
    schema : LandmarkSchema, optional
        Landmarks that may occur.
    geometries : mapping of str to Geometry, optional
        Not needed.

    Raises
    ------
    InputError
        With the file and the line.
    """
    path = Path(path)
    text = read_text(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(",;\t", key=first.count)
    try:
        rows = list(csv.reader(text.splitlines(keepends=True), delimiter=separator, strict=True))
    except csv.Error as error:
        raise InputError(f"{path}: is not a readable table ({error}): check the quotes") from error
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        raise InputError(
            f"{path}: is empty: expected a table with the column 'image' and two for each landmark"
        )
    header = [title.strip() for title in rows[0]]
    if "image" not in header:
        raise InputError(f"{path}, line 1: no column 'image': add one with the names of the images")
    try:
        column, columns = header.index("image"), _columns(header)
    except InputError as error:
        raise error.prefixed(f"{path}, line 1") from None
    check_count(len(columns), path)
    try:
        schema = schema or LandmarkSchema(tuple(columns))
        for name in columns:
            schema.index(name)
    except InputError as error:
        raise error.prefixed(path) from None
    sets: dict[str, LandmarkSet] = {}
    for line, row in enumerate(rows[1:], 2):
        where = f"{path}, row {line}"
        if len(row) > len(header):
            raise InputError(
                f"{where}: has {len(row)} cells and the titles are {len(header)}: is a decimal comma in it? Save the "
                "table "
                "with decimal points, or with semicolons between the cells"
            )
        cells = [*row, *[""] * (len(header) - len(row))]
        image = composed_name(unguarded_name(cells[column]))
        if not image.strip():
            raise InputError(f"{where}: the column 'image' is empty: name it")
        if image in sets:
            raise InputError(f"{where}: the image {image} is there twice: keep one of them")
        try:
            marks = [
                _landmark(name, [cells[at] for at in places], separator != ",")
                for name, places in columns.items()
            ]
            sets[image] = LandmarkSet(schema, marks)
        except InputError as error:
            raise error.prefixed(where) from None
    if not sets:
        raise InputError(f"{path}: has column titles and no images: add a row for each")
    return sets


def write_wide_csv(
    path: str | Path,
    sets: Mapping[str, LandmarkSet],
    *,
    geometries: Mapping[str, Geometry] | None = None,
) -> None:
    """Write the landmarks of many images; cells of landmarks without a position are empty.

    Coordinates are index coordinates. Where a spacing is known, it is in columns of its own.

    Parameters
    ----------
    path : str or Path
        The file.
    sets : mapping of str to LandmarkSet
        Landmarks by name of the image.
    geometries : mapping of str to Geometry, optional
        For the columns of the spacing.
    """
    schema = common_schema(sets.values()) if sets else None
    names = () if schema is None else schema.names
    known = ImageNames(geometries)
    spacings: dict[str, tuple[float, ...]] = {}
    for image in sets:
        name = known.find(image)
        geometry = None if name is None or geometries is None else geometries[name]
        if geometry is not None and geometry.spacing is not None:
            spacings[image] = geometry.spacing
    counts = [*(marks.ndim or 2 for marks in sets.values()), *map(len, spacings.values())]
    axes = _AXES[: max(counts, default=2)]
    titles = [_SPACING.format(axis) for axis in axes] if spacings else []
    rows = [["image", *titles, *(f"{guarded_name(name)} {axis}" for name in names for axis in axes)]]
    for image, marks in sets.items():
        cells = [guarded_name(image)]
        if titles:
            spacing = spacings.get(image, ())[::-1]
            cells += [repr(value) for value in spacing] + [""] * (len(axes) - len(spacing))
        for name in names:
            mark = marks.get(name)
            values = () if mark is None or mark.position is None else mark.position[::-1]
            cells += [repr(pixels(value)) for value in values] + [""] * (len(axes) - len(values))
        rows.append(cells)
    write_text(path, table_text(rows))


WIDE_CSV = LandmarkFormat(
    title="Wide CSV table",
    suffixes=(".wide.csv",),
    program="one row an image",
    read=read_wide_csv,
    write=write_wide_csv,
)


def _columns(header: list[str]) -> dict[str, list[int]]:
    """Columns of x, y(, z) by name of the landmark; InputError where one is missing or there twice."""
    found: dict[str, dict[str, int]] = {}
    for number, title in enumerate(header):
        name, _, axis = title.rpartition(" ")
        if axis in _AXES and name.strip():
            places = found.setdefault(composed_name(unguarded_name(name.strip())), {})
            if axis in places:
                raise InputError(f"column {title!r} is there twice: rename one of them")
            places[axis] = number
    if not found:
        raise InputError("no columns of landmarks: expected two for each, such as 'sella x' and 'sella y'")
    for name, places in found.items():
        for axis in ("x", "y"):
            if axis not in places:
                raise InputError(f"landmark {name!r} has no column '{name} {axis}': add it")
    return {name: [places[axis] for axis in _AXES if axis in places] for name, places in found.items()}


def _landmark(name: str, cells: list[str], decimal_comma: bool) -> Landmark:
    texts = [cell.strip() for cell in cells]
    texts = ["" if text.lower() in ("na", "nan") else text for text in texts]
    if len(texts) == 3 and not texts[2] and texts[0]:
        texts = texts[:2]  # a picture in a table of volumes
    if not any(texts):
        return Landmark(name, None, Status.MISSING)
    values = [
        finite_number(text.replace(",", ".") if decimal_comma else text, f"{name} {axis}")
        for axis, text in zip(_AXES, texts, strict=False)
    ]
    return Landmark(name, tuple(values[::-1]), Status.PLACED)
