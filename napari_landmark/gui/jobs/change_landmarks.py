"""Changing the landmarks of the open study; renaming, which writes all files, is long work."""

from __future__ import annotations

from collections.abc import Mapping

from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.session.landmark_store import LandmarkStore
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.schema_editor import SchemaEditor
from napari_landmark.gui.session.session import Session
from napari_landmark.progress import Cancelled, CancelToken, Progress


def change_landmarks(session: Session, schema: LandmarkSchema, renames: Mapping[str, str]) -> Job | None:
    """Change the schema of the open study, at once or, where landmarks are renamed, as a job that is started.

    Nothing can be annotated until that ends. A job that is cancelled or fails leaves the study as it was.

    Parameters
    ----------
    session : Session
    schema : LandmarkSchema
    renames : mapping of str to str
        Old names to new ones; see `SchemaEditor.set_schema`.

    Returns
    -------
    Job or None
        Succeeds with the renamed landmarks, None where it was cancelled; None where the change was made at once.

    Raises
    ------
    InputError
        Long work is running, another program annotates the study, or the change cannot be made.
    """
    editor = SchemaEditor(session)
    renames = {old: new for old, new in renames.items() if old != new}
    if not renames:
        editor.set_schema(schema)
        return None
    editor.check()
    store = session.require_store()

    def work(progress: Progress, cancel: CancelToken) -> LandmarkStore | None:
        try:
            return editor.write(schema, renames, progress=progress, cancel=cancel)
        except Cancelled:
            return None

    job = Job(JobKind.RENAME, work)

    def resume() -> None:
        store.paused = ""

    def done(written: LandmarkStore | None) -> None:
        if written is None:
            session.message.emit("info", "Renaming was cancelled: the landmarks are as before.")
        else:
            session.attempt(lambda: editor.show(written, renames))

    # Before the thread begins: what is annotated while it copies the files would be lost.
    store.paused = "Landmarks are being renamed: wait for its end, then repeat your last step"
    job.ended.connect(resume)
    job.succeeded.connect(done)
    job.failed.connect(lambda text: session.message.emit("error", text))
    session.run(job)
    return job
