"""`napari-landmark train`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path

import numpy as np
import typer

from napari_landmark.cli.destination import check_writable
from napari_landmark.cli.terminal_progress import cancel_on_interrupt, terminal_progress
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.folder import resolved
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.landmarks import Landmark, LandmarkSet, Status
from napari_landmark.data.study.provenance import describe_spacing
from napari_landmark.data.study.study import Study
from napari_landmark.learning.device import choose_device
from napari_landmark.progress import ProgressEvent


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
) -> None:
    """Create the study if there is none, train, and write the report.

    Everything that was given is checked before the study is created.
    """
    from napari_landmark.detection.training.options import default_options
    from napari_landmark.detection.training.report import write_report
    from napari_landmark.detection.training.train import train

    chosen = choose_device(device)
    options = default_options(chosen, seed=seed, minutes=minutes)
    study = _existing(out, resume)
    annotated = _read_templates(templates, landmarks, study)
    folder = _images_folder(out, study, images, annotated)
    cohort = _gather(study, folder, templates, spacing)
    for problem in cohort.skipped_files:
        typer.echo(f"left out: {problem.name}: {problem.reason}", err=True)
    if len(cohort) == 1:
        typer.echo("warning: the cohort is a single image: only distortions of it can be learned", err=True)
    _check_templates(study, cohort, annotated)
    study = _settled(study, out, folder, cohort, annotated, spacing)
    typer.echo(describe_spacing(cohort.geometry(number) for number in range(len(cohort))))
    size = " x ".join(str(n) for n in reversed(cohort.canvas))
    typer.echo(f"{len(cohort)} images at {size} pixels, {len(study.schema)} landmarks, device {chosen}")
    typer.echo(
        "going on with the interrupted training"
        if resume
        else f"training {options.for_canvas(cohort.canvas).describe()}"
    )
    with terminal_progress() as progress, cancel_on_interrupt() as cancel:
        report = train(study, cohort, options=options, resume=resume, progress=progress, cancel=cancel)
    page = write_report(study, cohort, report)
    if report.cancelled:
        typer.echo(
            f"stopped: the model {report.model_dir} works from what was learned so far; "
            f"go on with: napari-landmark train --out {out} --resume"
        )
        raise typer.Exit(130)
    typer.echo(f"trained in {report.seconds / 60:.1f} minutes: {report.model_dir}")
    typer.echo(f"report: {page}")


def _existing(out: Path, resume: bool) -> Study | None:
    from napari_landmark.detection.model.store import can_resume

    check_writable(out, folder=True)
    study = Study.open(out) if Study.exists(out) else None
    if resume and (study is None or not can_resume(study)):
        raise InputError(f"{out}: has no interrupted training to resume; leave out --resume")
    return study


def _read_templates(
    templates: Sequence[Path], landmarks: Path | None, study: Study | None
) -> dict[Path, LandmarkSet]:
    """Landmarks of each template file from the CSV."""
    if landmarks is None:
        if templates:
            raise InputError("--template needs --landmarks CSV with the positions in that image")
        return {}
    if not templates:
        raise InputError("--landmarks needs --template FILE, the image that the positions are in")
    table = read_landmarks(landmarks, schema=None if study is None else study.schema)
    found = {}
    for path in templates:
        if not path.is_file():
            raise InputError(f"{path}: there is no such file; --template names the annotated image")
        marks = table[_row_of(path, table, landmarks)]
        if marks.ndim is None:
            raise InputError(f"{landmarks}: no landmark of {path.name} has a position")
        found[path] = _as_placed(marks)
    return found


def _row_of(path: Path, table: Mapping[str, LandmarkSet], landmarks: Path) -> str:
    """The name that means a template: the one whose folders, from the last on, agree best with its path."""
    own = path.absolute().parts[::-1]
    agreement = {}
    for name in table:
        parts = name.replace("\\", "/").strip("/").split("/")[::-1]
        # No folder at all says less than the right ones, and more than others.
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(parts, own, strict=False)))
        if same:
            agreement[name] = (same, same == len(parts))
    if not agreement:
        names = ", ".join(list(table)[:3])
        raise InputError(f"{landmarks}: has no rows for the template {path.name} (it has {names})")
    best = [name for name, score in agreement.items() if score == max(agreement.values())]
    if len(best) > 1:
        raise InputError(
            f"{landmarks}: the template {path} may be {best[0]} or {best[1]}; "
            f"name it there with the folders of its path"
        )
    return best[0]


def _as_placed(marks: LandmarkSet) -> LandmarkSet:
    """Predictions that a person hands over as a template's landmarks are that person's word."""
    placed = (
        mark
        if mark.position is None or mark.status.is_manual
        else Landmark(mark.name, mark.position, Status.PLACED)
        for mark in marks.values()
    )
    return LandmarkSet(marks.schema, placed)


def _images_folder(
    out: Path, study: Study | None, images: Path | None, annotated: Mapping[Path, LandmarkSet]
) -> Path:
    if study is None and (images is None or not annotated):
        raise InputError(f"{out}: is no study yet: give --images DIR, --template FILE and --landmarks CSV")
    folder = images or (study.images if study is not None else None)
    if folder is None:
        raise InputError(f"{out}: does not say where its images are: give --images DIR")
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; --images names the folder of the cohort")
    return folder


def _gather(study: Study | None, folder: Path, templates: Sequence[Path], spacing: float | None) -> Cohort:
    known = () if study is None else study.extra
    with terminal_progress() as progress:
        return Cohort.from_folder(
            folder,
            spacing=spacing or (None if study is None else study.spacing),
            extra=(*known, *templates),
            progress=lambda done, total: progress(ProgressEvent("reading images", done / max(1, total))),
        )


def _check_templates(study: Study | None, cohort: Cohort, annotated: Mapping[Path, LandmarkSet]) -> None:
    """Refuse landmarks outside their image, and others than a person placed there before."""
    from napari_landmark.detection.training.templates import check_template

    known = {} if study is None else study.annotations()
    for path, marks in annotated.items():
        number = cohort.index(path)
        name = cohort.names[number]
        check_template(name, marks, cohort, number)
        if study is not None and name in known and not _same(known[name], marks):
            raise InputError(
                f"{study.folder}: holds other positions for {name}, placed by a person; leave out --template and "
                f"--landmarks to use those, or choose another --out"
            )


def _same(known: LandmarkSet, given: LandmarkSet) -> bool:
    if known.ndim is None:
        return True
    # What is on disk has been rounded.
    return np.allclose(known.positions(), given.positions(known.ndim), rtol=0, atol=1e-4, equal_nan=True)


def _settled(
    study: Study | None,
    out: Path,
    folder: Path,
    cohort: Cohort,
    annotated: Mapping[Path, LandmarkSet],
    spacing: float | None,
) -> Study:
    """The study with everything that was given in it."""
    names = {path: cohort.names[cohort.index(path)] for path in annotated}
    inside = {resolved(path) for path in folder.iterdir()}
    elsewhere = [path for path in annotated if resolved(path) not in inside]
    if study is None:
        first, marks = next(iter(annotated.items()))
        study = Study.create(
            out, schema=marks.schema, images=folder, template=names[first], spacing=spacing, extra=elsewhere
        )
    else:
        known = {path.resolve() for path in study.extra}
        study.update(
            images=folder,
            spacing=spacing,
            extra=[*study.extra, *(path for path in elsewhere if path.resolve() not in known)],
        )
    for path, marks in annotated.items():
        if study.load_annotations(names[path]).ndim is None:  # else they are there already
            study.save_annotations(names[path], marks, cohort.geometry(cohort.index(path)))
    return study
