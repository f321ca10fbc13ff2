"""Comparing the shapes of all images, as long work."""

from __future__ import annotations

from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.session.odd_shapes import OddShapes
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session
from napari_landmark.progress import CancelToken, Progress, ProgressEvent
from napari_landmark.shape.analysis import side_rows


def odd_shapes_job(session: Session) -> Job:
    """Find odd shapes among the images of the open study; succeeds with `OddShapes`, which the session keeps."""
    study, cohort, store = session.require_study(), session.require_cohort(), session.require_store()
    images, schema = session.names, study.schema
    positions = store.positions(images, cohort.ndim)  # as they are now
    pairs = side_rows(schema.names, study.sides)

    def work(progress: Progress, cancel: CancelToken) -> OddShapes:
        progress(ProgressEvent("comparing shapes", 0.0))
        geometries = [cohort.geometry(number) for number in range(len(cohort))]
        return OddShapes.find(images, schema.names, positions, geometries, side_pairs=pairs)

    job = Job(JobKind.SHAPES, work)

    def done(found: OddShapes) -> None:
        if session.study is study and not job.cancelled:
            session.set_odd_shapes(found)

    job.succeeded.connect(done)
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job
