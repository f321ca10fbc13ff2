"""Comparing the images of the study as templates, as long work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_landmark.backend.job_record import JobRecord
from napari_landmark.backend.jobs.suggest import SuggestJob
from napari_landmark.data.errors import InputError
from napari_landmark.detection.suggestion import Suggestion
from napari_landmark.detection.template_selection import DEFAULT_MINUTES
from napari_landmark.gui.jobs.process_job import ProcessJob
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.session.suggested_images import SuggestedImages

PARTIAL = " Stopped early: only a part of the images was compared."
_COUNT = 5
_MEMORY_ADVICE = (
    "Choose a smaller 'Working resolution' in Train > Advanced and close other programs, then try again."
)


def suggest_job(
    session: Session,
    *,
    minutes: float = DEFAULT_MINUTES,
    device: str = "auto",
    record: JobRecord | None = None,
) -> ProcessJob:
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
    record : JobRecord, optional
        Comparison that an earlier viewer started, to be followed instead of a new one.
    """
    study, cohort = session.require_study(), session.require_cohort()

    def make(_: Path) -> SuggestJob:
        return SuggestJob(
            images=study.require_images().absolute(),
            extra=tuple(path.absolute() for path in study.extra),
            extra_names=tuple(study.extra.values()),
            count=_COUNT,
            minutes=minutes,
            device=device,
            spacing=study.spacing,
            working_size=cohort.working_size,
        )

    job = ProcessJob(
        JobKind.SUGGEST,
        make,
        finish=_suggested,
        about={"study": str(study.folder.absolute())},
        record=record,
        memory_advice=_MEMORY_ADVICE,
    )

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


def _suggested(result: dict[str, Any]) -> SuggestedImages | None:
    if not result:
        return None
    try:
        best = tuple(Suggestion(str(item["image"]), float(item["score"])) for item in result["suggestions"])
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(f"the comparison of the images is damaged ({error}); compare them again") from error
    return SuggestedImages(best, result.get("cancelled") is not False)
