"""Measuring all images of the study, in a thread."""

from __future__ import annotations

from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.session.measurements import Measurements
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.measurement.evaluation import MeasuredCohort
from napari_landmark.progress import CancelToken, Progress


def measure_job(measurements: Measurements) -> Job:
    """Measure all images as they are now; succeeds with a `MeasuredCohort`.

    It takes seconds and changes nothing: it is started by itself, beside the work of the session.
    """
    measure = measurements.prepare()

    def work(progress: Progress, cancel: CancelToken) -> MeasuredCohort:
        return measure()

    return Job(JobKind.MEASURE, work)
