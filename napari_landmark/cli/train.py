"""`napari-landmark train`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from napari_landmark.backend.client import JobStatus
from napari_landmark.backend.hosts import Host, find_host
from napari_landmark.backend.job_record import JobRecord
from napari_landmark.backend.jobs.train import TrainJob
from napari_landmark.cli.destination import check_writable
from napari_landmark.cli.follow import follow, require_result, study_of, tidy_up
from napari_landmark.cli.image_states import state_lines
from napari_landmark.cli.terminal_progress import cancel_on_interrupt, terminal_progress
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.images import dicom_series
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.sides import Mirroring
from napari_landmark.data.study.creation import create_study, extend_study, read_template_landmarks
from napari_landmark.data.study.provenance import describe_spacing
from napari_landmark.data.study.study import Study
from napari_landmark.detection.training.whole_progress import WholeProgress
from napari_landmark.learning.device import choose_device
from napari_landmark.learning.loop import OVERTIME

if TYPE_CHECKING:
    from napari_landmark.detection.training.train import TrainingReport

_REMEDY = "train again with more --minutes, on an idle machine, or with more annotated images"


def run_train(
    *,
    out: Path,
    images: Path | None,
    templates: Sequence[Path],
    landmarks: Path | None,
    spacing: float | None,
    minutes: float | None,
    device: str,
    seed: int,
    resume: bool,
    update: bool = False,
    full_hash: bool = False,
    mirrored: Mirroring | None = None,
    overtime: float = OVERTIME,
    on: str | None = None,
    confirmed: bool = False,
    reduced: bool = False,
) -> None:
    """Create the study if there is none, train, and write the report.

    All input is checked before the study is created. `overtime` is the part of the minutes that a training on a slow
    machine may take, see `TrainingOptions`. `on` is the name of a host that trains instead of this machine; what it
    gets is described in `backend.sending`. `update` goes on from the newest model.
    """
    from napari_landmark.detection.model.store import default_folder
    from napari_landmark.detection.training.options import default_options, describe_budget
    from napari_landmark.detection.training.report import write_report
    from napari_landmark.detection.training.train import train

    host = None if on is None else find_host(on)
    if host is not None and resume:
        raise InputError("--resume goes on with a training of this machine; leave out --on")
    if update and host is not None:
        raise InputError("--update goes on from a model of this machine; leave out --on")
    if update and resume:
        raise InputError("--resume goes on with an interrupted training or update; leave out --update")
    chosen = choose_device(device if host is None else "cpu")
    options = replace(default_options(chosen, seed=seed, minutes=minutes), overtime=overtime)
    if update:
        options = options.for_update()
    study = _existing(out, resume)
    if update and (study is None or default_folder(study) is None):
        raise InputError(f"{out}: has no trained model yet", code=ErrorCode.NO_MODEL)
    annotated = _read_templates(templates, landmarks, study)
    folder = _images_folder(out, study, images, annotated)
    cohort = _gather(study, folder, templates, spacing)
    for problem in cohort.skipped_files:
        typer.echo(f"left out: {problem.name}: {problem.reason}", err=True)
    if len(cohort) == 1:
        typer.echo("warning: the cohort is a single image: only distortions of it can be learned", err=True)
    if study is None:
        study = create_study(out, cohort, images=folder, annotations=annotated, spacing=spacing)
    else:
        extend_study(study, cohort, images=folder, annotations=annotated, spacing=spacing)
    if mirrored is not None:
        study.choose_mirroring(mirrored)
    typer.echo(describe_spacing(cohort.geometry(number) for number in range(len(cohort))))
    size = " x ".join(str(n) for n in reversed(cohort.canvas))
    where = f"device {chosen}" if host is None else f"on {host.name}"
    typer.echo(f"{len(cohort)} images at {size} pixels, {len(study.schema)} landmarks, {where}")
    if host is not None:
        job = TrainJob(
            study=study.folder,
            images=folder,
            device=device,
            seed=seed,
            minutes=minutes,
            overtime=overtime,
            full_hash=full_hash,
        )
        _train_on(host, study, cohort, job, confirmed=confirmed, reduced=reduced)
        return
    typer.echo(
        "going on with the interrupted training"
        if resume
        else f"training {describe_budget(options, cohort.canvas, annotated=len(study.annotations()))}"
    )
    with terminal_progress(whole=WholeProgress()) as progress, cancel_on_interrupt() as cancel:
        report = train(
            study,
            cohort,
            options=options,
            resume=resume,
            progress=progress,
            cancel=cancel,
            full_hash=full_hash,
        )
    page = write_report(study, cohort, report)
    go_on = f"; go on with: napari-landmark train --out {out} --resume"
    _tell(study, cohort, report, page, go_on)


def _train_on(
    host: Host, study: Study, cohort: Cohort, job: TrainJob, *, confirmed: bool, reduced: bool
) -> None:
    """Train on another machine."""
    from napari_landmark.backend.sending import prepare_training

    with terminal_progress() as progress, cancel_on_interrupt() as cancel:
        record = prepare_training(
            study,
            cohort,
            job,
            host,
            reduced=reduced,
            confirmed=confirmed,
            progress=progress,
            cancel=cancel,
        )
    _take_over(record, follow(record), study, cohort)


def take_over_training(record: JobRecord, status: JobStatus) -> None:
    """Take the results of a training on another machine over into its study, and report them."""
    study = Study.open(study_of(record))
    require_result(record, status)
    _take_over(record, status, study, _gather(study, study.require_images(), (), None))


def _take_over(record: JobRecord, status: JobStatus, study: Study, cohort: Cohort) -> None:
    from napari_landmark.backend.receiving import receive_training
    from napari_landmark.detection.training.report import write_report

    require_result(record, status)
    report = receive_training(record, study, cohort)
    tidy_up(record)
    if report is None:
        typer.echo("stopped before anything was learned: there is no model")
        raise typer.Exit(130)
    _tell(study, cohort, report, write_report(study, cohort, report), "")


def _tell(study: Study, cohort: Cohort, report: TrainingReport, page: Path, go_on: str) -> None:
    """Report a training, complete or stopped."""
    from napari_landmark.detection.training.shortcomings import find_shortcomings
    from napari_landmark.detection.training.summary import summarize

    for name, reason in report.not_found.items():
        typer.echo(f"not found: {name}: {reason}", err=True)
    if report.cancelled:
        summary = summarize(report, cohort)
        steps = summary.shortest_steps
        barely = f"learned next to nothing ({steps} step{'s' * (steps != 1)})"
        learned = barely if summary.learned_next_to_nothing else "can be used, with what was learned so far"
        typer.echo(f"stopped: the model {report.model_dir} {learned}{go_on}")
        raise typer.Exit(130)
    typer.echo(f"trained in {report.seconds / 60:.1f} minutes: {report.model_dir}")
    for line in report.offsets:
        typer.echo(f"learned: {line}")
    for name, reason in report.left_aside.items():
        typer.echo(f"not learned from: {name}: {reason}", err=True)
    if report.mirrored and not study.chose_sides:
        names = "their names kept" if study.sides.mirroring is Mirroring.SAME else "names of the other side"
        typer.echo(
            f"{report.mirrored} images are mirrored, {names}: choose with --mirrored same, swapped or never"
        )
    for line in state_lines(report.predictions):
        typer.echo(line, err=True)
    for lack in find_shortcomings(report, cohort):
        typer.echo(f"warning: the model learned too little: {lack.text}; {_REMEDY}", err=True)
    typer.echo(f"report: {page}, and as PDF beside it")


def _existing(out: Path, resume: bool) -> Study | None:
    from napari_landmark.detection.model.store import can_resume

    check_writable(out, folder=True)
    study = Study.open(out) if Study.exists(out) else None
    if resume and (study is None or not can_resume(study)):
        raise InputError(f"{out}: has no interrupted training to resume", code=ErrorCode.NOTHING_TO_RESUME)
    return study


def _read_templates(
    templates: Sequence[Path], landmarks: Path | None, study: Study | None
) -> dict[Path, LandmarkSet]:
    """Landmarks by template file, for the options --template and --landmarks."""
    if landmarks is None:
        if templates:
            raise InputError("--template needs --landmarks CSV with the positions in that image")
        return {}
    if not templates:
        raise InputError("--landmarks needs --template FILE, the image that the positions are in")
    for path in templates:
        if not path.is_file() and not dicom_series.accepts(path):
            raise InputError(
                f"{path}: there is no such file or DICOM series; --template names the annotated image"
            )
    return read_template_landmarks(templates, landmarks, schema=None if study is None else study.schema)


def _images_folder(
    out: Path, study: Study | None, images: Path | None, annotated: Mapping[Path, LandmarkSet]
) -> Path:
    if images is None and study is not None:
        return study.require_images()
    if images is None or (study is None and not annotated):
        raise InputError(f"{out}: is no study yet: give --images DIR, --template FILE and --landmarks CSV")
    if not images.is_dir():
        raise InputError(f"{images}: there is no such folder; --images names the folder of the cohort")
    return images


def _gather(study: Study | None, folder: Path, templates: Sequence[Path], spacing: float | None) -> Cohort:
    known = {} if study is None else study.extra
    with terminal_progress() as progress, cancel_on_interrupt() as cancel:
        return Cohort.from_folder(
            folder,
            spacing=spacing or (None if study is None else study.spacing),
            extra={**known, **{path: "" for path in templates if path not in known}},
            progress=progress,
            cancel=cancel,
        )
