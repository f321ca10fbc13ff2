"""Writing the measurements of the open study as a table or a report, as long work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.study.study import Study
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session
from napari_landmark.measurement.measured_input import MeasuredInput
from napari_landmark.measurement.measurement_table import long_table, wide_table
from napari_landmark.measurement.report import make_report
from napari_landmark.measurement.report_file import SUFFIXES, write_report
from napari_landmark.progress import Cancelled, CancelToken, Progress


def write_measurements_job(
    session: Session, path: Path, *, images: Sequence[str] = (), wide: bool = False
) -> Job:
    """Write the measurements of all images; succeeds with the path, None where it was cancelled.

    Parameters
    ----------
    session : Session
    path : Path
        Ends in .csv for a table, in .pdf or .html for a report.
    images : sequence of str, optional
        Images that have pages in a report.
    wide : bool, optional
        Whether a table has one row for each image.

    Raises
    ------
    InputError
        The name ends in none of these.
    """
    suffix = path.suffix.lower()
    if suffix != ".csv" and suffix not in SUFFIXES:
        raise InputError(f"{path}: give a name that ends in .csv for a table, in .pdf or .html for a report")
    folder = session.require_study().folder
    model = session.models.default

    def work(progress: Progress, cancel: CancelToken) -> Path | None:
        read = MeasuredInput.of_study(Study.open(folder))
        if not read.landmarks:
            raise InputError("No landmark has a position yet: there is nothing to measure.")
        measured = read.measure()
        if suffix == ".csv":
            atomic_write(path, (wide_table if wide else long_table)(measured, read.facts))
            return path
        title = f"Measurements: {folder.resolve().name}"
        words = f"predictions of model {model} of the study" if model else ""
        report = make_report(read, measured, title=title, model=words, images=images)
        try:
            write_report(path, report, progress=progress, cancel=cancel)
        except Cancelled:
            return None
        return path

    job = Job(JobKind.WRITE, work)

    def done(written: Path | None) -> None:
        if written is not None:
            session.message.emit("info", f"Measurements written to {written}")

    job.succeeded.connect(done)
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job
