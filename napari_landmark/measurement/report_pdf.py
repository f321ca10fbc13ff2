"""Report of measurements as PDF."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.measurement.evaluation import MeasuredValue
from napari_landmark.measurement.report import HOW_TO_READ, ImageReport, Report, images_by_deviation
from napari_landmark.measurement.report_figures import (
    draw_deviation,
    draw_histogram,
    draw_projection,
    draw_tracing,
)
from napari_landmark.measurement.value_text import (
    by_analysis,
    class_text,
    deviation_text,
    error_text,
    left_out_texts,
    norm_source_text,
    norm_text,
    number_text,
    stars,
    value_text,
)

_PAGE = (8.27, 11.69)  # A4 in inches
_LINES = 52  # of a page of text
_DPI = 150
_FEWEST = 5  # values of a histogram
_LIMIT = 4.0  # standard deviations at the ends of the chart
# Left ends of the columns, in parts of the width; the chart is between the fourth and the fifth.
_COLUMNS = (0.0, 0.29, 0.37, 0.45, 0.54, 0.69)
_CHART = (0.54, 0.68)


def pdf_report(path: Path, report: Report, done: Callable[[int], None]) -> None:
    """Write a report as PDF; `done` is called with the number of images that are drawn, and may raise.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    content = io.BytesIO()
    about = {"Title": report.title, "Creator": f"napari-landmark {report.version}"}
    with PdfPages(content, metadata=about) as pages:
        book = _Book(pages, report.footer)
        if len(report.measured.images) > 1:
            _cohort_pages(book, report)
        for number, image in enumerate(report.images):
            done(number)
            _image_pages(book, image)
        _explanations(book, report)
    done(len(report.images))
    atomic_write(path, content.getvalue())


class _Book:
    """Pages of a PDF with the same footer and running numbers."""

    def __init__(self, pages: PdfPages, footer: str) -> None:
        self._pages, self._footer, self._count = pages, footer, 0

    def page(self) -> Figure:
        """Begin a page."""
        figure = Figure(figsize=_PAGE, dpi=_DPI)
        FigureCanvasAgg(figure)
        return figure

    def add(self, figure: Figure) -> None:
        """End a page."""
        self._count += 1
        figure.text(0.07, 0.025, _shortened(self._footer, 110), fontsize=6.5, color="#666666")
        figure.text(0.93, 0.025, str(self._count), fontsize=6.5, color="#666666", ha="right")
        self._pages.savefig(figure)


def _image_pages(book: _Book, image: ImageReport) -> None:
    figure = book.page()
    figure.text(0.07, 0.955, _shortened(image.image, 70), fontsize=15, fontweight="bold", va="top")
    y = 0.925
    for title, text in image.fact_lines:
        lines = textwrap.wrap(text, 95) or [""]
        figure.text(0.07, y, title, fontsize=8, color="#666666", va="top")
        for line in lines[:4]:
            figure.text(0.20, y, line, fontsize=8, va="top")
            y -= 0.0155
    _draw_picture(figure, image, top=y - 0.01)
    book.add(figure)
    rows = _table_rows(image.values)
    for start in range(0, len(rows), _LINES):
        figure = book.page()
        figure.text(0.07, 0.955, _shortened(image.image, 70), fontsize=11, fontweight="bold", va="top")
        _draw_table(figure, rows[start : start + _LINES])
        book.add(figure)


def _draw_picture(figure: Figure, image: ImageReport, *, top: float) -> None:
    array = image.pixels()
    volume = image.landmarks.ndim == 3
    height = top - 0.17
    if volume:
        for axis in range(3):
            place = (0.07 + 0.44 * (axis % 2), 0.17 + (0.5 * height if axis < 2 else 0), 0.42, 0.48 * height)
            draw_projection(
                figure.add_axes(place),
                image.landmarks,
                image.geometry,
                array if array is not None and array.ndim == 3 else None,
                axis,
            )
    else:
        picture = array if array is not None and array.ndim == 2 else None
        axes = figure.add_axes((0.05, 0.17, 0.9, height))
        draw_tracing(axes, image.landmarks, image.geometry, picture, image.constructions)
    names = [f"{n} {name}" for n, name in enumerate(image.landmarks.schema.names, 1)]
    legend = "   ".join(names) if len(names) <= 60 else f"{len(names)} landmarks in the order of the schema"
    figure.text(
        0.07, 0.15, "\n".join(textwrap.wrap(legend, 135)[:8]), fontsize=6.5, va="top", color="#333333"
    )


def _table_rows(values: tuple[MeasuredValue, ...]) -> list[str | MeasuredValue]:
    """Values with the titles of their analyses; a text is a title, or a plain line where it begins with a blank."""
    rows: list[str | MeasuredValue] = []
    for analysis, group in by_analysis(values).items():
        rows += ["", analysis or "Other measurements", *group]
    if left := left_out_texts(values):
        rows += ["", "Not computed"]
        for text in left:
            rows += [f" {line}" for line in textwrap.wrap(text, 120)]
    notes = dict.fromkeys(one.note for one in values if one.note)
    rows += [f" Note: {note}" for note in notes]
    return rows


def _draw_table(figure: Figure, rows: Sequence[str | MeasuredValue]) -> None:
    axes = figure.add_axes((0.07, 0.06, 0.86, 0.87))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(_LINES + 1, -1)
    titles = ("Measurement", "Value", "± (90%)", "Norm", "Deviation in SD", "Class or deviation")
    for column, title in zip(_COLUMNS, titles, strict=True):
        axes.text(column, -0.4, title, fontsize=7, color="#666666")
    chart: Axes = figure.add_axes(
        (0.07 + 0.86 * _CHART[0], 0.06, 0.86 * (_CHART[1] - _CHART[0]), 0.87), facecolor="none"
    )
    chart.set_xlim(-_LIMIT, _LIMIT)
    chart.set_ylim(_LINES + 1, -1)
    chart.set_axis_off()
    for y, row in enumerate(rows):
        if isinstance(row, str):
            if row.startswith(" "):
                axes.text(0, y + 0.6, row.strip(), fontsize=7)
            elif row:
                axes.text(0, y + 0.6, row, fontsize=9, fontweight="bold")
                axes.plot([0, 1], [y + 0.8, y + 0.8], color="#999999", linewidth=0.5)
            continue
        last = class_text(row)
        if row.norm is not None and row.deviation is None:
            last = f"{last}; {deviation_text(row)}" if last else deviation_text(row)
        if row.deviation is not None:
            last = f"{row.deviation:+.1f} {stars(row)}  {last}"
        cells = (
            _shortened(row.measurement.name, 38),
            value_text(row),
            error_text(row),
            norm_text(row.norm, row.measurement),
        )
        for column, text in zip(_COLUMNS, cells, strict=False):
            axes.text(column, y + 0.6, text, fontsize=7.5)
        axes.text(_COLUMNS[5], y + 0.6, _shortened(last, 58), fontsize=6.5)
        if row.deviation is not None:
            chart.plot([-_LIMIT, _LIMIT], [y + 0.45, y + 0.45], color="#dddddd", linewidth=0.6)
            for tick in (-2, -1, 0, 1, 2):
                size = 0.3 if tick == 0 else 0.15
                chart.plot([tick, tick], [y + 0.45 - size, y + 0.45 + size], color="#aaaaaa", linewidth=0.6)
            draw_deviation(chart, y + 0.45, row, limit=_LIMIT)


def _cohort_pages(book: _Book, report: Report) -> None:
    measured = report.measured
    count = len(measured.images)
    figure = book.page()
    figure.text(0.07, 0.955, _shortened(report.title, 60), fontsize=15, fontweight="bold", va="top")
    shown = "" if len(report.images) == count else f", {len(report.images)} of them with pages below"
    head = [f"{count} images{shown}.", "Pixel size: " + _counted(measured.spacing_sources) + "."]
    head += [report.model] if report.model else []
    head += ["Images that deviate most from the others: " + ", ".join(images_by_deviation(measured)[:8])]
    head += [f"Attention: {problem}" for problem in report.problems[:5]]
    lines = [line for text in head for line in textwrap.wrap(text, 115)]
    figure.text(0.07, 0.92, "\n".join(lines), fontsize=8, va="top")
    _summary_rows(book, figure, report, top=0.90 - 0.0155 * len(lines))


def _summary_rows(book: _Book, figure: Figure, report: Report, *, top: float) -> None:
    """Distribution of each measurement: number, mean, standard deviation, median error, histogram."""
    measured, height = report.measured, 0.034
    y = top
    for number, measurement in enumerate(measured.schema.measurements):
        if y < 0.08 or y == top:
            if y < 0.08:
                book.add(figure)
                figure, y = book.page(), 0.95
            titles = ("Measurement", "n", "mean ± SD", "median ±", "norm")
            for x, title in zip((0.07, 0.40, 0.45, 0.57, 0.65), titles, strict=True):
                figure.text(x, y, title, fontsize=7, color="#666666")
            y -= 0.022
        values = measured.values[:, number]
        finite = values[np.isfinite(values)]
        errors = measured.errors[:, number][np.isfinite(measured.errors[:, number])]
        figure.text(0.07, y, _shortened(measurement.name, 44), fontsize=7.5)
        figure.text(0.40, y, str(len(finite)), fontsize=7.5)
        if len(finite):
            spread = float(finite.std(ddof=1)) if len(finite) > 1 else 0.0
            mean = number_text(float(finite.mean()), measurement)
            figure.text(0.45, y, f"{mean} ± {spread:.{measurement.decimals}f}", fontsize=7.5)
            if len(errors):
                half = 1.645 * float(np.median(errors))
                figure.text(0.57, y, f"± {half:.{measurement.decimals}f}", fontsize=7.5)
        if len(finite) >= _FEWEST:
            draw_histogram(figure.add_axes((0.76, y - 0.006, 0.17, height * 0.62)), values)
        figure.text(0.65, y, norm_text(measurement.norm_for(), measurement), fontsize=7.5)
        y -= height
    book.add(figure)


def _explanations(book: _Book, report: Report) -> None:
    """How to read the report, and what each measurement is."""
    lines: list[tuple[str, bool]] = [("How to read this report", True)]
    for text in HOW_TO_READ:
        lines += [(line, False) for line in textwrap.wrap(text, 118)] + [("", False)]
    lines.append(("What is measured", True))
    for one in report.measured.schema.measurements:
        source = f" ({one.source})" if one.source else ""
        norms = [norm_source_text(norm) for norm in one.norms]
        norm = f" Norm: {' / '.join(dict.fromkeys(norms))}." if any(norms) else ""
        lines += [(line, False) for line in textwrap.wrap(f"{one.name}: {one.text}{source}{norm}", 118)]
    for start in range(0, len(lines), 66):
        figure = book.page()
        for number, (line, bold) in enumerate(lines[start : start + 66]):
            figure.text(
                0.07,
                0.95 - 0.0135 * number,
                line,
                fontsize=9 if bold else 7.5,
                fontweight="bold" if bold else "normal",
                va="top",
            )
        book.add(figure)


def _counted(texts: Sequence[str]) -> str:
    found = {text: sum(other == text for other in texts) for text in dict.fromkeys(texts)}
    return ", ".join(f"{text} ({count})" for text, count in found.items())


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
