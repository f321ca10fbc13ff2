"""File of a report of measurements, by the end of its name."""

from __future__ import annotations

from pathlib import Path

from napari_landmark.data.errors import InputError
from napari_landmark.measurement.report import Report
from napari_landmark.measurement.report_html import html_report
from napari_landmark.measurement.report_pdf import pdf_report
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

SUFFIXES = (".pdf", ".html")


def write_report(
    path: Path,
    report: Report,
    *,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> None:
    """Write a report as PDF or as one HTML file that needs no other, by the end of the name; whole or not at all.

    Raises
    ------
    Cancelled
        `cancel` was set; nothing is written.
    InputError
        The name ends in nothing known, or the file cannot be written.
    """
    check_name(path)

    def done(count: int) -> None:
        if cancel is not None:
            cancel.raise_if_cancelled()
        if progress is not None:
            progress(ProgressEvent("writing the report", count / max(1, len(report.images)), step=count))

    writers = {".pdf": pdf_report, ".html": html_report}
    writers[path.suffix.lower()](path, report, done)


def check_name(path: Path) -> None:
    """Refuse the name of a report that ends neither in .pdf nor in .html."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: a report is a .pdf or a .html file: give a name with one of these ends")
