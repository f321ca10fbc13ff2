"""Adding images to the open study as long work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_landmark.data.study.added_images import AddedImages, add_images
from napari_landmark.data.study.study import Study
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.jobs.open_study import open_job
from napari_landmark.gui.session.prepared_study import PreparedStudy
from napari_landmark.gui.session.session import Session
from napari_landmark.progress import CancelToken, Progress


def add_images_job(session: Session, paths: Sequence[Path]) -> Job:
    """Add images to the open study and show it with them; tells which were added, known and of no use.

    The current image and all landmarks stay.

    Parameters
    ----------
    session : Session
        With an open study.
    paths : sequence of Path
        Images and folders, see `add_images`; that of the study's own images finds what is new there.
    """
    study, cohort = session.require_study(), session.require_cohort()
    done: list[AddedImages] = []

    def change(opened: Study, progress: Progress, cancel: CancelToken) -> None:
        done.append(add_images(opened, paths, cohort, progress=progress, cancel=cancel))

    job = open_job(session, study.folder, image=session.current_image, adding=session.adding, change=change)

    def tell(prepared: PreparedStudy | None) -> None:
        if prepared is None or not done:
            return
        found = done[0]
        next_step = ""
        if found.added and session.models.names:
            next_step = " To find their landmarks: Detect in new images, in the step Review."
        kind = "warning" if found.skipped_files else "info"
        session.message.emit(kind, found.text + next_step)

    job.succeeded.connect(tell)
    return job
