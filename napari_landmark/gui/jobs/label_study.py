"""Labelling all images of the study by the label maps of a few, as long work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_landmark.backend.job_record import JobRecord
from napari_landmark.backend.jobs.label_study import LabelStudyJob
from napari_landmark.data.errors import InputError
from napari_landmark.gui.jobs.process_job import ProcessJob
from napari_landmark.gui.jobs.work_on_study import problems_text, work_on_study
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session


def label_study_job(
    session: Session,
    labels: Path,
    out: Path,
    *,
    model: Path | None = None,
    device: str = "auto",
    record: JobRecord | None = None,
) -> ProcessJob:
    """Carry label maps of a few images to all others of the open study; succeeds with a statement on the results.

    Parameters
    ----------
    session : Session
        With an open study.
    labels : Path
        Folder of the label maps that there are.
    out : Path
        Folder of the new ones.
    model : Path, optional
        Folder of a registration model.
    device : str, optional
    record : JobRecord, optional
        Work that an earlier viewer started, to be followed instead.
    """
    study = session.require_study()

    def make(_: Path) -> LabelStudyJob:
        return LabelStudyJob(
            study=study.folder.absolute(),
            labels=labels.absolute(),
            out=out.absolute(),
            model=None if model is None else model.absolute(),
            device=device,
        )

    return work_on_study(session, JobKind.LABEL_STUDY, make, statement=_statement, record=record)


def _statement(result: dict[str, Any]) -> str:
    try:
        count, given, problems = int(result["images"]), int(result["given"]), dict(result["problems"])
        expected = result.get("expected_dice")
        overlap = (
            "" if expected is None else f" Dice {float(expected):.2f} is to be expected, measured on these."
        )
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(f"what was labelled cannot be read ({error}); look into the folder") from error
    early = "Stopped early; the same again goes on with the others. " if result.get("cancelled") else ""
    images = "1 image" if count == 1 else f"{count} images"
    maps = "the label map of 1 image" if given == 1 else f"the label maps of {given} images"
    text = f"{early}{images} labelled by {maps}.{overlap} labels.csv in the chosen folder has a row for each."
    return text + problems_text(problems, "labelled")
