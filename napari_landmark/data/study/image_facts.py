"""Facts of images that persons keep in a study: whether to use an image, a remark, the reader, age, sex, any column.

They are the table ``images.csv`` of a study, which may as well be written with a spreadsheet: needed is the column
'image'. No program writes into it unless a person asks for it, and never over what a person wrote.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.files.composed_name import composed_name
from napari_landmark.data.files.csv_table import guarded_name, table_text, unguarded_name
from napari_landmark.data.files.json_file import read_json_object
from napari_landmark.data.files.small_file import read_small_text

FACTS_TABLE = "images.csv"
_OWN = ("image", "state", "remark", "reader")
_EARLIER_DECISIONS = "decisions.json"
_POSES = ("image", "mirrored", "rotation_degrees", "scale", "inverted")  # of an earlier table of that name
_SEXES = {"m": "m", "male": "m", "man": "m", "f": "f", "female": "f", "woman": "f", "w": "f"}


class ImageDecision(StrEnum):
    """Decision of a user on an image; the value is the state in the table."""

    CONFIRMED = "use"
    """It shows the anatomy, whatever a model says."""
    LEFT_OUT = "leave out"
    """It is not to be used: no model learns from its predictions, and tables of all images lack it."""
    DONE = "done"
    """Its landmarks were all looked at."""


_EARLIER = {"confirmed": ImageDecision.CONFIRMED, "left_out": ImageDecision.LEFT_OUT}


@dataclass(frozen=True)
class ImageFacts:
    """What a person says of one image.

    Parameters
    ----------
    decision : ImageDecision, optional
        None where nothing was decided.
    remark : str
        Free text of one line.
    reader : str
        Who annotated it.
    more : mapping of str to str
        Cells of all other columns, such as age, sex, group and date, by title.
    """

    decision: ImageDecision | None = None
    remark: str = ""
    reader: str = ""
    more: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for title, text in {"remark": self.remark, "reader": self.reader, **self.more}.items():
            if "\x00" in text:
                raise InputError(f"{title}: the text has a sign of code 0, which no table can hold")
        for title in self.more:
            if not title.strip() or not title.isprintable() or title.strip().lower() in _OWN:
                raise InputError(f"a column {title!r}: expected another title than {', '.join(_OWN)}")

    def __bool__(self) -> bool:
        return bool(self.decision or self.remark or self.reader or any(self.more.values()))

    @property
    def sex(self) -> str:
        """Sex by a column 'sex': 'm', 'f', or empty where it is not known."""
        return _SEXES.get(self.value("sex").lower(), "")

    def value(self, title: str) -> str:
        """Cell of a column, whatever the capitals of its title; empty without one."""
        return next(
            (text.strip() for key, text in self.more.items() if key.strip().lower() == title.lower()), ""
        )

    def with_cell(self, title: str, text: str) -> ImageFacts:
        """The same with another cell of a column, whatever the capitals of its title."""
        known = next((key for key in self.more if key.strip().lower() == title.lower()), title)
        return dataclasses.replace(self, more={**self.more, known: text})

    def replaced(self, decision: ImageDecision | None) -> ImageFacts:
        """The same with another decision."""
        return dataclasses.replace(self, decision=decision)


def read_facts(folder: Path) -> dict[str, ImageFacts]:
    """Read the facts in the folder of a study, by name of the image.

    Raises
    ------
    InputError
        The table cannot be read: with its line and the remedy.
    """
    path = folder / FACTS_TABLE
    try:
        text = read_small_text(path)
    except FileNotFoundError:
        return _earlier_decisions(folder)
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text: save the table as 'CSV UTF-8'") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    first = next((line for line in text.splitlines() if line.strip()), "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InputError(
            f"{path}, line {reader.line_num}: is not a readable row ({error}): check the quotes"
        ) from None
    if not rows:
        return _earlier_decisions(folder)
    titles = [unguarded_name(title.strip()) for title in rows[0][1]]
    if tuple(titles) == _POSES:
        return _earlier_decisions(folder)
    lower = [title.lower() for title in titles]
    if "image" not in lower:
        raise InputError(f"{path}: has no column 'image': name the column with the names of the images so")
    if twice := next((title for title in lower if title and lower.count(title) > 1), None):
        raise InputError(f"{path}: column {twice!r} is there twice: rename one of them")
    facts: dict[str, ImageFacts] = {}
    for line, row in rows[1:]:
        try:
            image, made = _facts_of_row(titles, row)
            if image in facts:
                raise InputError(f"image {image!r} is there twice: keep one row")
        except InputError as error:
            raise error.prefixed(f"{path}, line {line}") from None
        facts[image] = made
    return facts


def fact_columns(facts: Mapping[str, ImageFacts], images: Sequence[str]) -> dict[str, list[str]]:
    """Cells of the columns state, remark, reader and all others, for tables of images.

    Parameters
    ----------
    facts : mapping of str to ImageFacts
    images : sequence of str
        In the order of the cells.

    Returns
    -------
    dict of str to list of str
        By title, without columns that are empty in these images.
    """
    rows = [facts.get(image, ImageFacts()) for image in images]
    columns = {
        "state": [str(one.decision or "") for one in rows],
        "remark": [one.remark for one in rows],
        "reader": [one.reader for one in rows],
    }
    for title in dict.fromkeys(title for one in rows for title in one.more):
        columns[title] = [one.more.get(title, "") for one in rows]
    return {title: cells for title, cells in columns.items() if any(cells)}


def write_facts(folder: Path, facts: Mapping[str, ImageFacts]) -> None:
    """Write the facts of a study, whole or not at all.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    columns = list(dict.fromkeys(title for one in facts.values() for title in one.more))
    rows = [[*_OWN, *map(guarded_name, columns)]]
    for image in sorted(facts):
        one = facts[image]
        cells = [image, str(one.decision or ""), one.remark, one.reader]
        rows.append([guarded_name(cell) for cell in (*cells, *(one.more.get(c, "") for c in columns))])
    atomic_write(folder / FACTS_TABLE, table_text(rows))
    # Its decisions are in the table now; two files would contradict each other one day.
    (folder / _EARLIER_DECISIONS).unlink(missing_ok=True)


def _facts_of_row(titles: list[str], row: list[str]) -> tuple[str, ImageFacts]:
    if any(cell.strip() for cell in row[len(titles) :]):
        raise InputError(f"has {len(row)} cells and the titles are {len(titles)}: check the commas")
    cells = dict(zip(titles, (unguarded_name(cell) for cell in row), strict=False))
    own = {title.lower(): cells.pop(title, "").strip() for title in titles if title.lower() in _OWN}
    image = composed_name(own.get("image", ""))
    if not image:
        raise InputError("the column 'image' is empty: name it")
    state = own.get("state", "").lower()
    if state and state not in tuple(ImageDecision):
        raise InputError(f"{image}: the state is {state!r}: expected {', '.join(ImageDecision)}, or nothing")
    more = {title: text for title, text in cells.items() if title}
    decision = ImageDecision(state) if state else None
    return image, ImageFacts(decision, own.get("remark", ""), own.get("reader", ""), more)


def _earlier_decisions(folder: Path) -> dict[str, ImageFacts]:
    """Decisions of a study that has no table of facts yet, in the file of earlier versions."""
    path = folder / _EARLIER_DECISIONS
    try:
        images = read_json_object(path).get("images")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not isinstance(images, dict) or not set(map(str, images.values())) <= set(_EARLIER):
        raise InputError(f"{path}: is damaged or of a newer version: take it from a backup")
    return {composed_name(name): ImageFacts(_EARLIER[str(value)]) for name, value in images.items()}
