"""Work on all images of a study in a worker process, whose end is told in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from napari_landmark.backend.job_record import JobRecord
from napari_landmark.backend.jobs.job import Job
from napari_landmark.gui.jobs.process_job import ProcessJob
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session

_NAMED = 3  # images in a sentence


def work_on_study(
    session: Session,
    kind: JobKind,
    make: Callable[[Path], Job],
    *,
    statement: Callable[[dict[str, Any]], str],
    record: JobRecord | None = None,
) -> ProcessJob:
    """Work that succeeds with a statement on its results, which the session tells, as it tells an error.

    Parameters
    ----------
    session : Session
        With an open study.
    kind : JobKind
    make : callable
        See `ProcessJob`.
    statement : callable
        Called with the result of the worker.
    record : JobRecord, optional
        Work that an earlier viewer started, to be followed instead.
    """
    about = {"study": str(session.require_study().folder.absolute())}
    job = ProcessJob(kind, make, finish=statement, about=about, record=record)
    # Connected here and not in a widget, which may be closed meanwhile.
    job.succeeded.connect(lambda text: session.message.emit("info", text))
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job


def problems_text(problems: Mapping[str, str], done: str) -> str:
    """A sentence that names images of which something could not be done; empty without any."""
    if not problems:
        return ""
    named = "; ".join(f"{name}: {reason}" for name, reason in list(problems.items())[:_NAMED])
    more = f" and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
    return f" Not {done}: {named}{more}."
