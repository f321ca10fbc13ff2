"""Comparing the images of the study as templates, as long work."""

from __future__ import annotations

from napari_landmark.data.errors import InputError
from napari_landmark.detection.template_selection import DEFAULT_MINUTES
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.session.suggested_images import SuggestedImages
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

PARTIAL = " Stopped early: only a part of the images was compared."
_COUNT = 5
_MEMORY_ADVICE = (
    "Choose a smaller 'Working resolution' in Train > Advanced and close other programs, then try again."
)


def suggest_job(session: Session, *, minutes: float = DEFAULT_MINUTES, device: str = "auto") -> Job:
    """Rank the images of the open study as templates.

    Succeeds with `SuggestedImages`, which the session keeps; None where it was cancelled before an image was
    compared.

    Parameters
    ----------
    session : Session
        With an open study.
    minutes : float, optional
        Time of the training before the comparison.
    device : str, optional
    """
    study, cohort = session.require_study(), session.require_cohort()

    def work(progress: Progress, cancel: CancelToken) -> SuggestedImages | None:
        progress(ProgressEvent("Preparing", 0.0))
        from napari_landmark.detection.template_selection import suggest

        try:
            best = suggest(
                cohort, count=_COUNT, minutes=minutes, device=device, progress=progress, cancel=cancel
            )
        except InputError:
            if cancel.cancelled:  # without a comparison there is no ranking, which is no failure then
                return None
            raise
        return SuggestedImages(tuple(best), cancel.cancelled)

    job = Job(JobKind.SUGGEST, work, memory_advice=_MEMORY_ADVICE)

    def done(suggested: SuggestedImages | None) -> None:
        if suggested is None:
            session.message.emit("info", "Stopped before any image was compared: nothing is suggested.")
        elif session.study is not None and session.study.folder == study.folder:
            session.set_suggestions(suggested)
            names = ", ".join(suggestion.image for suggestion in suggested.best)
            session.message.emit("info", f"Best to annotate: {names}.{PARTIAL if suggested.partial else ''}")

    # Connected here and not in a widget, which may be closed meanwhile.
    job.succeeded.connect(done)
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job
