"""Saving the annotations of many images, as long work that is undone as one change."""

from __future__ import annotations

from collections.abc import Mapping

from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.session.undo import Change
from napari_landmark.progress import CancelToken, Progress, ProgressEvent


def annotate_images_job(
    session: Session, annotations: Mapping[str, LandmarkSet], *, label: str, stage: str, reason: str
) -> Job:
    """Save annotations; the first image of a study without a template becomes its template.

    What was written when it is cancelled or fails stays, and is undone as one change as well.

    Parameters
    ----------
    session : Session
    annotations : mapping of str to LandmarkSet
        New annotations by name of the image; those that are equal to the present ones are left out.
    label : str
        Of the change, for undo.
    stage : str
        Of the progress.
    reason : str
        Why nothing else can be annotated meanwhile, in words: 'Landmarks are being imported'.

    Raises
    ------
    InputError
        Another program annotates the study.
    """
    study, store = session.require_study(), session.require_store()
    store.check_right()
    changes: list[Change] = []
    plans = [(image, session.annotation(image), after) for image, after in annotations.items()]
    plans = [(image, before, after) for image, before, after in plans if after != before]

    def work(progress: Progress, cancel: CancelToken) -> int:
        for number, (image, before, after) in enumerate(plans):
            if cancel.cancelled:
                break
            study.save_annotations(image, after, session.geometry(image))
            changes.append(Change(image, before, after, label))
            progress(ProgressEvent(stage, (number + 1) / len(plans)))
        return len(changes)

    job = Job(JobKind.WRITE, work)
    store.paused = f"{reason}: wait for its end, then repeat your last step"

    def ended() -> None:
        store.paused = ""
        if not changes:
            return
        for change in changes:
            store.take_saved(change.image, change.after)
        first, *more = changes
        session.undo_stack.push(Change(first.image, first.before, first.after, label, tuple(more)))
        if not study.template and not study.reader:
            study.update(template=first.image)
        session.predictions_changed.emit()
        session.landmarks_changed.emit(session.current_image)

    job.ended.connect(ended)
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job
