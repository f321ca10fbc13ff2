"""Report of measurements as one HTML file."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.measurement_language.definition import Norm
from napari_landmark.measurement.report import FEWEST_OF_HISTOGRAM, ImageReport, Report
from napari_landmark.measurement.report_figures import (
    deviation_mark,
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
    norm_source_text,
    norm_text,
    stars,
    value_text,
)

_TEMPLATE = "report.html"
_MOST_WITH_HISTOGRAMS = 20  # images of a page


def html_report(path: Path, report: Report, done: Callable[[int], None]) -> None:
    """Write a report as HTML; `done` is called with the number of images that are drawn, and may raise.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("napari_landmark.measurement", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    images = []
    for number, image in enumerate(report.images):
        done(number)
        images.append(_image(report, image))
    done(len(report.images))
    page = environment.get_template(_TEMPLATE).render(
        report=report,
        images=images,
        summary=_summary(report) if len(report.measured.images) > 1 else [],
        histograms=_has_histograms(report),
    )
    atomic_write(path, page)


def _has_histograms(report: Report) -> bool:
    """Whether values are shown among those of all images: a page of many images would be too large."""
    return len(report.measured.images) >= FEWEST_OF_HISTOGRAM and len(report.images) <= _MOST_WITH_HISTOGRAMS


def _summary(report: Report) -> list[dict[str, object]]:
    """Distribution of each measurement in the cohort for the template."""
    return [
        {
            "name": one.measurement.name,
            "count": one.count,
            "mean": one.mean_text,
            "error": one.error_text,
            "norm": norm_text(one.measurement.norm_for(), one.measurement),
            "histogram": _histogram(report, one.measurement.name, None, one.measurement.norm_for())
            if one.count >= FEWEST_OF_HISTOGRAM
            else "",
        }
        for one in report.summary
    ]


def _image(report: Report, image: ImageReport) -> dict[str, object]:
    """Values of one image for the template."""
    tables = []
    for analysis, group in by_analysis(image.values).items():
        rows = [
            {
                "name": one.measurement.name,
                "text": one.measurement.text,
                "value": value_text(one),
                "error": error_text(one),
                "norm": norm_text(one.norm, one.measurement),
                "norm_source": norm_source_text(one.norm),
                "deviation": deviation_text(one),
                "stars": stars(one),
                "class": class_text(one),
                "mark": deviation_mark(one),
                "histogram": _histogram(report, one.measurement.name, one.value, one.norm)
                if _has_histograms(report)
                else "",
            }
            for one in group
        ]
        tables.append({"title": analysis, "rows": rows})
    return {
        "name": image.image,
        "facts": image.fact_lines,
        "picture": _picture(image),
        "landmarks": list(zip(image.landmarks.schema.names, image.landmarks.schema.colors, strict=True)),
        "tables": tables,
        "left_out": left_out_texts(image.values),
        "notes": list(dict.fromkeys(one.note for one in image.values if one.note)),
    }


def _picture(image: ImageReport) -> str:
    array = image.pixels()
    if array is not None and array.ndim != (image.landmarks.ndim or 2):
        array = None
    if image.landmarks.ndim == 3:
        figure = Figure(figsize=(10, 3.6), layout="constrained")
        for plane, axes in zip(projection_planes(image.geometry), figure.subplots(1, 3), strict=True):
            draw_projection(axes, image.landmarks, image.geometry, array, plane)
    else:
        figure = Figure(figsize=(7.5, 8), layout="constrained")
        draw_tracing(figure.subplots(), image.landmarks, image.geometry, array, image.constructions)
    return _uri(figure, dpi=110)


def _histogram(report: Report, name: str, value: float | None, norm: Norm | None) -> str:
    figure = Figure(figsize=(2.0, 0.5), layout="constrained")
    draw_histogram(figure.subplots(), report.measured.column(name), value, norm)
    return _uri(figure, dpi=150)


def _uri(figure: Figure, *, dpi: int) -> str:
    FigureCanvasAgg(figure)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=dpi, bbox_inches="tight")
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
