"""Report of a training as PDF: losses, expected errors by landmark and image, doubtful points, predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from napari_landmark import __version__
from napari_landmark.detection.training.plane_figures import LandmarkPlanes
from napari_landmark.detection.training.report_contents import PredictionPicture, ReportContents
from napari_landmark.documents.pdf_book import (
    BOTTOM,
    LEFT,
    PAGE_SIZE,
    TOP,
    WIDTH,
    PdfBook,
    pdf_bytes,
    points,
    write_lines,
)
from napari_landmark.documents.text_wrapping import wrap_text
from napari_landmark.learning.loop import History

_ROW = 0.0155  # height of a row of a table, in parts of the page
_GREY = "#666666"
_PLANES = "Each landmark in three planes through it."
_WARNING = "#b34700"
_T = TypeVar("_T")


@dataclass(frozen=True)
class PdfTable:
    """A table.

    Parameters
    ----------
    title : str
    columns : tuple of (str, float)
        Title and left end of each column, in parts of the width of a page.
    rows : list of tuples of str
        A text a column; of a longer one the begin is written.
    colors : list of str
        A colour a row, drawn before it; empty for none.
    """

    title: str
    columns: tuple[tuple[str, float], ...]
    rows: list[tuple[str, ...]]
    colors: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class PdfPicture:
    """A picture with lines below it.

    Parameters
    ----------
    array : (height, width) or (height, width, 3) array of uint8
    lines : tuple of str
    """

    array: NDArray[np.uint8]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class PdfPictures:
    """Pictures side by side.

    Parameters
    ----------
    title, about : str
    pictures : list of PdfPicture
    columns : int
    """

    title: str
    about: str
    pictures: list[PdfPicture]
    columns: int


def training_pdf(contents: ReportContents) -> bytes:
    """The report of a training as PDF."""
    title, creator = f"Training {contents.summary['model']}", f"napari-landmark {__version__}"
    return pdf_bytes(title, creator, lambda save: draw_pages(contents, save))


def draw_pages(contents: ReportContents, save: Callable[[Figure], object]) -> None:
    """Draw the pages of the report one after another; `save` is called with each, which is not kept."""
    title = f"Training {contents.summary['model']}"
    book = PdfBook(save, f"{title} · napari-landmark {__version__} · no medical device")
    _first_page(book, title, contents)
    for section in _sections(contents):
        if isinstance(section, PdfTable):
            _table_pages(book, section)
        else:
            _picture_pages(book, section)


def _sections(contents: ReportContents) -> list[PdfTable | PdfPictures]:
    """What comes after the first page; nothing that would be empty."""
    tables, unit = contents.tables, contents.tables.unit
    by_landmark, by_image = tables.landmarks, tables.images
    sections: list[PdfTable | PdfPictures] = []
    if by_landmark:
        sections.append(
            PdfTable(
                f"Expected errors by landmark, in {unit}",
                (
                    ("Landmark", 0.0),
                    ("Found in", 0.4),
                    ("Median", 0.5),
                    ("Largest", 0.6),
                    ("in the image", 0.7),
                ),
                [
                    (row.name, str(row.count), _number(row.median), _number(row.largest), row.worst_image)
                    for row in by_landmark
                ],
                [row.color for row in by_landmark],
            )
        )
    if contents.template_picture is not None:
        names = ", ".join(f"{number} {name}" for number, (name, _) in enumerate(contents.schema, 1))
        sections.append(
            PdfPictures(
                "Template", names, [PdfPicture(contents.template_picture, (contents.template,))], columns=1
            )
        )
    if contents.template_planes:
        sections.append(PdfPictures("Template", _PLANES, _planes(contents.template_planes), columns=3))
    if contents.points:
        pictures = [
            PdfPicture(crop, (point.landmark, point.image, f"about {point.error:.1f} {unit}"))
            for point, crop in contents.points
        ]
        about = "The largest expected errors of all, each with a ring of that radius."
        sections.append(PdfPictures("Most doubtful points", about, pictures, columns=4))
    if by_image:
        sections.append(
            PdfTable(
                f"Expected errors by image, in {unit}",
                (
                    ("Image", 0.0),
                    ("State", 0.36),
                    ("Landmarks", 0.52),
                    ("Mean", 0.62),
                    ("Largest", 0.7),
                    ("of the landmark", 0.78),
                ),
                [
                    (
                        row.name,
                        row.state,
                        str(row.count),
                        _number(row.mean),
                        _number(row.largest),
                        row.worst_landmark,
                    )
                    for row in by_image
                ],
            )
        )
    shown, total = len(contents.predictions), len(by_image)
    part = (
        f" {shown} of {total}: the most doubtful and an even choice of the others." if shown < total else ""
    )
    about = f"The largest mean expected error first.{part}"
    drawn = [
        PdfPicture(one.picture, (one.name, _about(one)))
        for one in contents.predictions
        if one.picture is not None
    ]
    if drawn:
        sections.append(PdfPictures("Predictions", about, drawn, columns=4))
    planes = [
        picture
        for one in contents.predictions
        for picture in _planes(one.planes, f"{one.name}{f' ({one.state})' if one.state else ''}")
    ]
    if planes:
        sections.append(PdfPictures("Predictions", f"{about} {_PLANES}", planes, columns=3))
    return sections


def _about(one: PredictionPicture) -> str:
    error = "no expected error" if one.error is None else f"about {one.error:.1f} px on average"
    return f"{error}; {one.state}" if one.state else error


def _planes(rows: Sequence[LandmarkPlanes], image: str = "") -> list[PdfPicture]:
    """Landmarks in three planes each, a picture of the three side by side."""
    pictures = []
    for row in rows:
        error = "" if row.expected_error is None else f"about {row.expected_error:.1f} voxels"
        lines = tuple(filter(None, (row.name, image, error)))
        pictures.append(PdfPicture(np.concatenate(list(row.pictures.values()), axis=1), lines))
    return pictures


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _first_page(book: PdfBook, title: str, contents: ReportContents) -> None:
    figure, summary = book.page(), contents.summary
    heading = wrap_text(title, points(WIDTH), size=15, bold=True)[:2]
    write_lines(figure, LEFT, TOP, heading, size=15, bold=True)
    y = TOP - 0.012 - 0.022 * len(heading)
    facts = (
        ("Template", contents.template or "none"),
        ("Landmarks", str(len(contents.schema))),
        ("Images", str(summary["images"])),
        ("Working grid", f"{contents.grid} pixels"),
        ("Time", f"{summary['seconds'] / 60:.1f} minutes{' (cancelled)' if summary['cancelled'] else ''}"),
        *(("Learned", offset) for offset in summary["offsets"]),
    )
    for name, text in facts:
        lines = wrap_text(text, points(WIDTH - 0.2), size=8.5)[:3]
        write_lines(figure, LEFT, y, [name], size=8.5, color=_GREY)
        write_lines(figure, LEFT + 0.2, y, lines, size=8.5)
        y -= 0.0132 * max(1, len(lines)) + 0.003
    for lack in summary["shortcomings"]:
        warning = (
            f"This model learned too little: {lack}. Train again with more time, or annotate more images."
        )
        lines = wrap_text(warning, points(WIDTH), size=8.5)
        y -= 0.006
        write_lines(figure, LEFT, y, lines, size=8.5, color=_WARNING, bold=True)
        y -= 0.0132 * len(lines)
    y -= 0.02
    write_lines(figure, LEFT, y, ["Loss of the stages"], size=11, bold=True)
    y -= 0.03
    if not contents.histories:
        write_lines(figure, LEFT, y, ["No stage was begun."], size=8.5)
    width, height = WIDTH / 3, 0.145
    for number, history in enumerate(contents.histories):
        row, column = divmod(number, 3)
        bottom = y - (row + 1) * height
        if bottom < BOTTOM:
            break  # stages are few
        _draw_loss(figure, history, LEFT + column * width, bottom, width, height)
    book.add(figure)


def _draw_loss(
    figure: Figure, history: History, left: float, bottom: float, width: float, height: float
) -> None:
    name = wrap_text(history.stage, points(width - 0.02), size=7.5, bold=True)[:1]
    write_lines(figure, left, bottom + height, name, size=7.5, bold=True)
    about = f"{history.steps} steps, {history.seconds / 60:.1f} minutes"
    write_lines(figure, left, bottom + height - 0.011, [about], size=6.5, color=_GREY)
    axes = figure.add_axes((left + 0.035, bottom + 0.028, width - 0.06, height - 0.058))
    if history.losses:
        _, seconds, losses = np.array(history.losses, float).T
        axes.plot(seconds / 60, losses, color="#1f6fb2", linewidth=1.0)
    axes.tick_params(labelsize=5.5, length=2, pad=1.5)
    axes.locator_params(nbins=4)
    axes.grid(alpha=0.3, linewidth=0.4)
    axes.set_xlabel("minutes", fontsize=5.5, labelpad=1)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _table_pages(book: PdfBook, table: PdfTable) -> None:
    colors = table.colors or [""] * len(table.rows)
    rows = list(zip(table.rows, colors, strict=True))
    per_page = int((TOP - 0.05 - BOTTOM) / _ROW)
    for number, page in enumerate(_groups(rows, per_page)):
        figure = book.page()
        more = " (continued)" if number else ""
        write_lines(figure, LEFT, TOP, [f"{table.title}{more}"], size=11, bold=True)
        y = TOP - 0.028
        for title, place in table.columns:
            write_lines(figure, LEFT + WIDTH * place, y, [title], size=7, color=_GREY)
        ends = [*(place for _, place in table.columns[1:]), 1.0]
        for row, color in page:
            y -= _ROW
            if color:
                figure.add_artist(
                    Rectangle((LEFT - 0.016, y - 0.0095), 0.009, 0.008, facecolor=color, edgecolor="#444444",
                              linewidth=0.4)
                )  # fmt: skip
            for text, (_, place), end in zip(row, table.columns, ends, strict=True):
                lines = wrap_text(text, points(WIDTH * (end - place) - 0.006), size=7.5)
                text = f"{lines[0]}…" if len(lines) > 1 else "".join(lines)
                write_lines(figure, LEFT + WIDTH * place, y, [text], size=7.5)
        book.add(figure)


def _picture_pages(book: PdfBook, section: PdfPictures) -> None:
    about = wrap_text(section.about, points(WIDTH), size=7.5)
    width = WIDTH / section.columns
    pending = list(section.pictures)
    begins = True
    while pending:
        figure = book.page()
        more = "" if begins else " (continued)"
        write_lines(figure, LEFT, TOP, [f"{section.title}{more}"], size=11, bold=True)
        y = TOP - 0.026
        if begins:
            write_lines(figure, LEFT, y, about, size=7.5, color=_GREY)
            y -= 0.0115 * len(about) + 0.006
        begins, drawn = False, 0
        for row in _groups(pending, section.columns):
            heights = [_height(picture, width - 0.012) for picture in row]
            below = 0.011 * max(len(picture.lines) for picture in row) + 0.012
            height = max(heights) if drawn else min(max(heights), y - BOTTOM - below)
            if y - height - below < BOTTOM - 1e-9:
                break
            for column, picture in enumerate(row):
                left = LEFT + column * width
                axes = figure.add_axes((left, y - height, width - 0.012, height))
                axes.imshow(picture.array, cmap="gray", vmin=0, vmax=255, interpolation="bilinear")
                axes.set_anchor("NW")
                axes.set_axis_off()
                room = points(width - 0.014)
                lines = [_begin(line, room) for line in picture.lines]
                write_lines(figure, left, y - height - 0.003, lines, size=6.5)
            y -= height + below
            drawn += len(row)
        del pending[:drawn]
        book.add(figure)


def _groups(items: Sequence[_T], size: int) -> list[Sequence[_T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _height(picture: PdfPicture, width: float) -> float:
    """Height of a picture of that width, both in parts of the page."""
    rows, columns = picture.array.shape[:2]
    return width * PAGE_SIZE[0] * rows / columns / PAGE_SIZE[1]


def _begin(text: str, width: float) -> str:
    lines = wrap_text(text, width, size=6.5)
    return f"{lines[0]}…" if len(lines) > 1 else text
