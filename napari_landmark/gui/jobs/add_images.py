"""Adding images to the open study, and taking them out, as long work."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from napari_landmark.data.study.added_images import AddedImages, RemovedImages, add_images, remove_images
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
        outside = set(prepared.study.extra.values())
        session.added_images = tuple(name for name in found.added if name in outside)
        next_step = ""
        if found.added and session.models.names:
            next_step = " To find their landmarks: Detect in new images, in the step Review."
        kind = "warning" if found.skipped_files else "info"
        session.message.emit(kind, found.text + next_step)

    job.succeeded.connect(tell)
    return job


def remove_images_job(session: Session, names: Collection[str]) -> Job:
    """Take added images out of the open study and show it without them; tells which stay, and why.

    Parameters
    ----------
    session : Session
        With an open study.
    names : collection of str
        See `remove_images`.
    """
    study, current = session.require_study(), session.current_image
    done: list[RemovedImages] = []

    def change(opened: Study, progress: Progress, cancel: CancelToken) -> None:
        done.append(remove_images(opened, names))

    image = next((name for name in session.image_order.after(current) if name not in names), study.template)
    job = open_job(
        session,
        study.folder,
        image=image if current in names else current,
        adding=session.adding,
        change=change,
    )

    def tell(prepared: PreparedStudy | None) -> None:
        if prepared is not None and done:
            session.added_images = tuple(name for name in session.added_images if name in prepared.cohort)
            session.message.emit("warning" if done[0].kept else "info", done[0].text)

    job.succeeded.connect(tell)
    return job
