"""Registering all images of the study to the current one, as long work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_landmark.backend.job_record import JobRecord
from napari_landmark.backend.jobs.register_study import RegisterStudyJob
from napari_landmark.data.errors import InputError
from napari_landmark.gui.jobs.process_job import ProcessJob
from napari_landmark.gui.jobs.work_on_study import problems_text, work_on_study
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session


def register_study_job(
    session: Session,
    out: Path,
    *,
    model: Path | None = None,
    weights: Mapping[int, float] | None = None,
    guide: bool = True,
    device: str = "auto",
    record: JobRecord | None = None,
) -> ProcessJob:
    """Register every image of the open study to the current one; succeeds with a statement on the results.

    Parameters
    ----------
    session : Session
        With an open study.
    out : Path
        Folder of the results.
    model : Path, optional
        Folder of a registration model.
    weights : mapping of int to float, optional
        Weights of single labels.
    guide : bool, optional
        Whether the landmarks of the study guide the registrations.
    device : str, optional
    record : JobRecord, optional
        Work that an earlier viewer started, to be followed instead.
    """
    study, fixed = session.require_study(), session.current_image

    def make(_: Path) -> RegisterStudyJob:
        return RegisterStudyJob(
            study=study.folder.absolute(),
            fixed=fixed,
            out=out.absolute(),
            model=None if model is None else model.absolute(),
            guide=guide,
            device=device,
            region_weights={str(label): weight for label, weight in (weights or {}).items()},
        )

    return work_on_study(session, JobKind.REGISTER_STUDY, make, statement=_statement, record=record)


def _statement(result: dict[str, Any]) -> str:
    try:
        count, problems = int(result["images"]), dict(result["problems"])
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(f"what was registered cannot be read ({error}); look into the folder") from error
    early = "Stopped early; the same again goes on with the others. " if result.get("cancelled") else ""
    images = "1 image" if count == 1 else f"{count} images"
    text = f"{early}{images} registered: registrations.csv in the chosen folder has a row for each."
    return text + problems_text(problems, "registered")
