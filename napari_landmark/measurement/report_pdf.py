"""Report of measurements as PDF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Self

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.documents.pdf_book import (
    BOTTOM,
    LEFT,
    TOP,
    WIDTH,
    PdfBook,
    TextPages,
    pdf_bytes,
    points,
    write_lines,
)
from napari_landmark.documents.text_wrapping import wrap_text
from napari_landmark.measurement.evaluation import MeasuredValue
from napari_landmark.measurement.report import FEWEST_OF_HISTOGRAM, ImageReport, Report
from napari_landmark.measurement.report_figures import (
    CHART_LIMIT,
    draw_deviation,
    draw_histogram,
    draw_projection,
    draw_tracing,
    projection_planes,
)
from napari_landmark.measurement.value_text import (
    by_analysis,
    class_text,
    deviation_text,
    error_text,
    left_out_texts,
    norm_text,
    spacing_source_text,
    stars,
    value_text,
)

# Left ends of the columns of a table of values, in parts of its width; the chart is before the last one.
_COLUMNS = (0.0, 0.285, 0.37, 0.455, 0.70)
_CHART = (0.57, 0.685)
_ROW, _LINE = 0.0162, 0.0115  # heights of a row and of each further line of its texts, in parts of the page
_SUMMARY_ROW = 0.036
_LEGEND_LINES = 10
_NO_BREAK = "\u00a0"


def pdf_report(path: Path, report: Report, done: Callable[[int], None]) -> None:
    """Write a report as PDF; `done` is called with the number of images that are drawn, and may raise.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    creator = f"napari-landmark {report.version}"
    atomic_write(path, pdf_bytes(report.title, creator, lambda save: draw_pages(report, save, done)))


def draw_pages(
    report: Report, save: Callable[[Figure], object], done: Callable[[int], None] = lambda number: None
) -> None:
    """Draw the pages of a report one after another, of the size A4.

    Parameters
    ----------
    report : Report
    save : callable
        Called with each page, which is not kept.
    done : callable, optional
        Called with the number of images that are drawn; may raise.
    """
    book = PdfBook(save, report.footer)
    if len(report.measured.images) > 1:
        _cohort_pages(book, report)
    for number, image in enumerate(report.images):
        done(number)
        _image_pages(book, image)
    _explanations(book, report)
    done(len(report.images))


def _image_pages(book: PdfBook, image: ImageReport) -> None:
    figure = book.page()
    title = wrap_text(image.image, points(WIDTH), size=15, bold=True)[:2]
    write_lines(figure, LEFT, TOP, title, size=15, bold=True)
    y = TOP - 0.012 - 0.022 * len(title)
    for name, text in image.fact_lines:
        names = wrap_text(name, points(0.14), size=8)[:2]
        lines = wrap_text(text, points(LEFT + WIDTH - 0.22), size=8)[:6]
        write_lines(figure, LEFT, y, names, size=8, color="#666666")
        write_lines(figure, 0.22, y, lines, size=8)
        y -= 0.0125 * max(len(lines), len(names)) + 0.003
    _draw_picture(figure, image, top=y - 0.01)
    book.add(figure)
    rows = [_Row.of(row) for row in _table_rows(image.values)]
    while rows:
        figure = book.page()
        write_lines(figure, LEFT, TOP, title[:1], size=11, bold=True)
        y = TOP - 0.026
        _draw_titles(figure, y, image.values)
        y -= 0.018
        if rows[0].row == "":
            del rows[0]
        while rows and y - sum(row.height for row in rows[: 1 + rows[0].keeps_next]) > BOTTOM:
            row = rows.pop(0)
            row.draw(figure, y)
            y -= row.height
        book.add(figure)


def _draw_picture(figure: Figure, image: ImageReport, *, top: float) -> None:
    array = image.pixels()
    volume = image.landmarks.ndim == 3
    height = top - 0.17
    if volume:
        for number, plane in enumerate(projection_planes(image.geometry)):
            lower = 0.17 + (0.5 * height if number < 2 else 0)
            draw_projection(
                figure.add_axes((0.07 + 0.44 * (number % 2), lower, 0.42, 0.46 * height)),
                image.landmarks,
                image.geometry,
                array if array is not None and array.ndim == 3 else None,
                plane,
            )
    else:
        picture = array if array is not None and array.ndim == 2 else None
        axes = figure.add_axes((0.05, 0.17, 0.9, height))
        draw_tracing(axes, image.landmarks, image.geometry, picture, image.constructions)
    names = [f"{number} {name}" for number, name in enumerate(image.landmarks.schema.names, 1)]
    legend = " ".join(name.replace(" ", _NO_BREAK) + 3 * _NO_BREAK for name in names)
    lines = wrap_text(legend, points(WIDTH), size=6.5)
    if len(lines) > _LEGEND_LINES:
        lines = [*lines[: _LEGEND_LINES - 1], f"and more: {len(names)} landmarks in the order of the schema"]
    write_lines(figure, LEFT, 0.155, lines, size=6.5, color="#333333")


def _table_rows(values: tuple[MeasuredValue, ...]) -> list[str | MeasuredValue]:
    """Values with the titles of their analyses; a text is a title, or a plain line where it begins with a blank."""
    rows: list[str | MeasuredValue] = []
    for analysis, group in by_analysis(values).items():
        rows += ["", analysis, *group]
    if left := left_out_texts(values):
        rows += ["", "Not computed", *(f" {text}" for text in left)]
    notes = dict.fromkeys(one.note for one in values if one.note)
    rows += [f" Note: {note}" for note in notes]
    return rows


def _draw_titles(figure: Figure, y: float, values: Sequence[MeasuredValue]) -> None:
    """Titles of the columns of a table of values, of those that have any."""
    norms = any(one.norm for one in values)
    deviations = any(one.deviation is not None for one in values)
    used = (True, True, True, norms, norms or any(one.class_name for one in values), deviations)
    titles = (
        "Measurement",
        "Value",
        "± (90%)",
        "Norm",
        "Class, or deviation from a range",
        "Deviation in SD",
    )
    for column, title in compress(zip((*_COLUMNS, _CHART[0]), titles, strict=True), used):
        write_lines(figure, LEFT + WIDTH * column, y, [title], size=7, color="#666666")


@dataclass(frozen=True)
class _Row:
    """A row of a table of values, with its texts as lines."""

    row: str | MeasuredValue
    cells: tuple[list[str], ...]

    @classmethod
    def of(cls, row: str | MeasuredValue) -> Self:
        """The row with its texts broken to the widths of the columns."""
        if isinstance(row, str):
            return cls(row, (wrap_text(row, points(WIDTH), size=7),) if row.startswith(" ") else ())
        last = class_text(row)
        if row.norm is not None and row.deviation is None:
            last = f"{last}; {deviation_text(row)}" if last else deviation_text(row)
        if row.deviation is not None:
            last = f"{deviation_text(row)} {stars(row)}{2 * _NO_BREAK} {last}".rstrip()
        texts = (row.measurement.name, value_text(row), error_text(row), norm_text(row.norm, row.measurement))
        ends = (*_COLUMNS[1:4], _CHART[0])
        cells = [
            wrap_text(text, points(WIDTH * (end - start) - 0.004), size=7.5)
            for text, start, end in zip(texts, _COLUMNS, ends, strict=False)
        ]
        return cls(row, (*cells, wrap_text(last, points(WIDTH * (1 - _COLUMNS[-1])), size=6.5)))

    @property
    def keeps_next(self) -> int:
        """Number of rows that follow on the same page: of a gap the title and its first row, of a title the row."""
        if self.row == "":
            return 2
        return int(isinstance(self.row, str) and not self.cells)

    @property
    def height(self) -> float:
        """Part of the page's height."""
        if self.row == "":
            return 0.6 * _ROW
        more = max((len(lines) for lines in self.cells), default=1) - 1
        return (1.2 if isinstance(self.row, str) and not self.cells else 1.0) * _ROW + more * _LINE

    def draw(self, figure: Figure, y: float) -> None:
        """Draw it below `y`, a part of the page's height."""
        row = self.row
        if isinstance(row, str):
            if self.cells:
                write_lines(figure, LEFT, y, self.cells[0], size=7)
            elif row:
                write_lines(figure, LEFT, y, [row], size=9, bold=True)
                line = Line2D([LEFT, LEFT + WIDTH], [y - _ROW] * 2, color="#999999", linewidth=0.5)
                figure.add_artist(line)
            return
        for column, lines in zip(_COLUMNS, self.cells, strict=True):
            small = column == _COLUMNS[-1]
            write_lines(
                figure,
                LEFT + WIDTH * column,
                y - (0.001 if small else 0),
                lines,
                size=6.5 if small else 7.5,
            )
        if row.deviation is not None:
            place = (LEFT + WIDTH * _CHART[0], y - 0.0135, WIDTH * (_CHART[1] - _CHART[0]), 0.0135)
            chart: Axes = figure.add_axes(place, facecolor="none")
            chart.set_xlim(-CHART_LIMIT, CHART_LIMIT)
            chart.set_ylim(-0.6, 0.6)
            chart.set_axis_off()
            chart.plot([-CHART_LIMIT, CHART_LIMIT], [0, 0], color="#dddddd", linewidth=0.6)
            for tick in (-2, -1, 0, 1, 2):
                size = 0.45 if tick == 0 else 0.22
                chart.plot([tick, tick], [-size, size], color="#aaaaaa", linewidth=0.6)
            draw_deviation(chart, 0, row)


def _cohort_pages(book: PdfBook, report: Report) -> None:
    measured = report.measured
    count = len(measured.images)
    figure = book.page()
    title = wrap_text(report.title, points(WIDTH), size=15, bold=True)[:2]
    write_lines(figure, LEFT, TOP, title, size=15, bold=True)
    shown = "" if len(report.images) == count else f", {len(report.images)} of them with pages below"
    head = [f"{count} images{shown}; {report.day.isoformat()}"]
    sources = [spacing_source_text(statement) for statement in measured.spacing_sources]
    head.append("Pixel size: " + _counted(sources))
    head += [report.model[:1].upper() + report.model[1:]] if report.model else []
    if report.outlier_texts:
        head.append("Images that deviate most from the median of all: " + ", ".join(report.outlier_texts))
    head += [f"Attention: {problem}" for problem in report.problems[:5]]
    y = TOP - 0.012 - 0.022 * len(title)
    for text in head:
        lines = wrap_text(text, points(WIDTH), size=8)
        write_lines(figure, LEFT, y, lines, size=8)
        y -= 0.0125 * len(lines) + 0.003
    _summary_rows(book, figure, report, top=y - 0.012)


def _summary_rows(book: PdfBook, figure: Figure, report: Report, *, top: float) -> None:
    """Distribution of each measurement: number, mean, standard deviation, median error, norm, histogram."""
    columns = (LEFT, 0.40, 0.45, 0.575, 0.65, 0.76)
    drawn = any(one.count >= FEWEST_OF_HISTOGRAM for one in report.summary)
    titles = (
        "Measurement",
        "n",
        "Mean ± SD",
        "± (90%)",
        "Norm",
        "All images; norm in green" if drawn else "",
    )
    y, begins = top, True
    for one in report.summary:
        name = wrap_text(one.measurement.name, points(columns[1] - LEFT - 0.01), size=7.5)[:3]
        if not begins and y - _SUMMARY_ROW < BOTTOM:
            book.add(figure)
            figure, y, begins = book.page(), TOP, True
        if begins:
            for x, title in zip(columns, titles, strict=True):
                write_lines(figure, x, y, [title], size=7, color="#666666")
            y, begins = y - 0.018, False
        norm = one.measurement.norm_for()
        cells = (
            name,
            [str(one.count)],
            [one.mean_text],
            [one.error_text],
            [norm_text(norm, one.measurement)],
        )
        for x, lines in zip(columns, cells, strict=False):
            write_lines(figure, x, y, lines, size=7.5)
        if one.count >= FEWEST_OF_HISTOGRAM:
            place = (columns[-1], y - 0.021, LEFT + WIDTH - columns[-1], 0.021)
            draw_histogram(figure.add_axes(place), report.measured.column(one.measurement.name), norm=norm)
        y -= _SUMMARY_ROW
    book.add(figure)


def _explanations(book: PdfBook, report: Report) -> None:
    """How to read the report, its landmarks and lines, and what each measurement is."""
    page = TextPages(book)
    page.heading("How to read this report")
    for text in report.how_to_read:
        page.paragraph(text)
    for title, definitions in (
        ("Measurements", report.measurement_definitions),
        ("Landmarks", report.landmark_definitions),
        ("Constructed lines and points", report.construction_definitions),
    ):
        if definitions:
            page.heading(title)
        for one in definitions:
            page.paragraph(f"{one.name}: {one.text}" if one.text else one.name, one.details)
    page.end()


def _counted(texts: Sequence[str]) -> str:
    found = {text: sum(other == text for other in texts) for text in dict.fromkeys(texts)}
    return ", ".join(f"{text} ({count})" for text, count in found.items())
