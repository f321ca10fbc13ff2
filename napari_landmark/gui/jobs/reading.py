"""Blind readings: beginning, interrupting and finishing one, as long work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_landmark.agreement.agreement import LandmarkAgreement
from napari_landmark.agreement.readings import Readings
from napari_landmark.data.errors import InputError
from napari_landmark.data.study.readers import ReaderStudy, is_read, readers, start_reading
from napari_landmark.data.study.study import Study
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.session.prepared_study import PreparedStudy
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

FIRST_READER = "first reading"
"""Name of the study's own annotations in tables of agreement."""


@dataclass(frozen=True, eq=False)
class FinishedReading:
    """Agreement of a reading with the annotations of the study and with its other readings.

    Parameters
    ----------
    reader : str
    prepared : PreparedStudy
        The study with all of its images.
    readings : Readings or None
        None where nothing can be compared.
    agreement : dict of str to LandmarkAgreement
    folder : Path
        Folder of the tables and figures.
    problem : str
        Reason why nothing can be compared; else empty.
    """

    reader: str
    prepared: PreparedStudy
    readings: Readings | None
    agreement: dict[str, LandmarkAgreement]
    folder: Path
    problem: str = ""


def begin_reading_job(session: Session, reader: str, *, count: int | None = None, seed: int = 0) -> Job:
    """Begin a blind reading of the open study, or go on with one, and show its first image that is not read yet.

    Parameters
    ----------
    session : Session
        With an open study.
    reader : str
    count : int, optional
        Number of images, drawn from those that are annotated; all by default.
    seed : int, optional
        Seed of the order.
    """
    study, cohort, earlier = session.require_study(), session.require_cohort(), session.landmark_store

    def work(progress: Progress, cancel: CancelToken) -> PreparedStudy:
        progress(ProgressEvent("reading landmarks", 0.0))
        placed = study.annotations()
        images = [name for name in cohort.names if name in placed and placed[name].ndim is not None]
        reading = start_reading(study, reader, images=images, count=count, seed=seed)
        plan = reading.plan
        order = [name for name in (() if plan is None else plan.images) if name in cohort]
        if not order:
            raise InputError(f"{study.folder}: none of the images of the reading of {reader} is here")
        done = {name for name, marks in reading.annotations().items() if is_read(marks)}
        first = next((name for name in order if name not in done), order[0])
        return PreparedStudy.read(
            reading, cohort.selection(order), image=first, earlier=earlier, whole=cohort
        )

    job = Job(JobKind.READ_IMAGES, work)
    job.succeeded.connect(lambda prepared: _show(session, study, prepared))
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job


def end_reading_job(session: Session, *, finish: bool) -> Job:
    """Show the study again; a finished reading is closed and compared. Succeeds with a `FinishedReading`.

    Parameters
    ----------
    session : Session
        In a reading.
    finish : bool
        False interrupts the reading, which can go on later.

    Raises
    ------
    InputError
        No reading goes on.
    """
    reading, cohort, earlier = session.require_study(), session.whole_cohort, session.landmark_store
    if not isinstance(reading, ReaderStudy) or cohort is None:
        raise InputError("No blind reading goes on.")
    image = session.current_image

    def work(progress: Progress, cancel: CancelToken) -> FinishedReading:
        progress(ProgressEvent("reading landmarks", 0.0))
        if finish:
            reading.finish()
        study = Study.open(reading.folder)
        prepared = PreparedStudy.read(study, cohort, image=image, earlier=earlier)
        folder = study.folder / "agreement" / reading.annotations_folder
        if not finish:
            return FinishedReading(reading.reader, prepared, None, {}, folder)
        progress(ProgressEvent("comparing readers", 0.3))
        from napari_landmark.agreement.agreement import measurement_agreement
        from napari_landmark.agreement.report import write_agreement
        from napari_landmark.measurement.reader_values import reader_values

        found = {FIRST_READER: study.annotations()}
        found |= {name: reader.annotations() for name, reader in readers(study).items()}
        # This reader beside the first one, before those of other times.
        order = [FIRST_READER, reading.reader, *(n for n in found if n not in (FIRST_READER, reading.reader))]
        given = {name: found[name] for name in order if any(m.ndim is not None for m in found[name].values())}
        geometries = {name: cohort.geometry(number) for number, name in enumerate(cohort.names)}
        try:
            readings = Readings.from_landmarks(given, geometries=geometries)
            values = reader_values(study.measurements, given, geometries) if study.measurements else {}
            agreement, _ = write_agreement(folder, readings, measurements=measurement_agreement(values))
        except InputError as error:
            return FinishedReading(reading.reader, prepared, None, {}, folder, str(error))
        return FinishedReading(reading.reader, prepared, readings, agreement, folder)

    job = Job(JobKind.AGREEMENT, work)
    job.succeeded.connect(lambda finished: _show(session, reading, finished.prepared))
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job


def _show(session: Session, study: Study, prepared: PreparedStudy) -> None:
    """Show a study, if the one of the job is still the open one."""
    if session.study is study:
        session.attempt(lambda: session.show_study(prepared))
        session.set_placing(bool(prepared.study.reader) or not session.require_store().any_prediction)
