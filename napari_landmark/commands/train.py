"""`napari-landmark train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from napari_landmark.commands.progress import cancel_on_interrupt, terminal_progress
from napari_landmark.data.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats import read_landmarks
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.study import Study
from napari_landmark.learning.device import choose_device


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
    """Create the study if there is none, train, and write the report."""
    from napari_landmark.oneshot.pipeline import default_options, train
    from napari_landmark.oneshot.report import write_report

    chosen = choose_device(device)
    options = default_options(chosen, seed=seed, minutes=minutes)
    annotated = _read_templates(templates, landmarks)
    study = _open_or_create(out, images, templates, annotated, spacing)
    cohort = _gather(study, images, templates, spacing)
    for problem in cohort.problems:
        typer.echo(f"left out: {problem.name}: {problem.reason}", err=True)
    if len(cohort) == 1:
        typer.echo("warning: the cohort is a single image: only distortions of it can be learned", err=True)
    _annotate(study, cohort, templates, annotated)
    size = " x ".join(str(n) for n in reversed(cohort.canvas))
    typer.echo(f"{len(cohort)} images at {size} pixels, {len(study.schema)} landmarks, device {chosen}")
    typer.echo(f"training {options.describe()}")
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


def _read_templates(templates: Sequence[Path], landmarks: Path | None) -> dict[Path, LandmarkSet]:
    """Landmarks of each template file from the CSV."""
    if landmarks is None:
        if templates:
            raise InputError("--template needs --landmarks CSV with the positions in that image")
        return {}
    if not templates:
        raise InputError("--landmarks needs --template FILE, the image that the positions are in")
    table = read_landmarks(landmarks)
    found = {}
    for path in templates:
        if not path.is_file():
            raise InputError(f"{path}: there is no such file; --template names the annotated image")
        rows = [marks for name, marks in table.items() if name == path.name or Path(name).name == path.name]
        if not rows:
            names = ", ".join(list(table)[:3])
            raise InputError(f"{landmarks}: has no rows for the template {path.name} (it has {names})")
        if all(mark.position is None for mark in rows[0].values()):
            raise InputError(f"{landmarks}: no landmark of {path.name} has a position")
        found[path] = rows[0]
    return found


def _open_or_create(
    out: Path,
    images: Path | None,
    templates: Sequence[Path],
    annotated: dict[Path, LandmarkSet],
    spacing: float | None,
) -> Study:
    if Study.exists(out):
        return Study.open(out)
    if images is None or not annotated:
        raise InputError(f"{out}: is no study yet: give --images DIR, --template FILE and --landmarks CSV")
    if not images.is_dir():
        raise InputError(f"{images}: there is no such folder; --images names the folder of the cohort")
    first = templates[0]
    return Study.create(
        out, schema=annotated[first].schema, images=images, template=first.name, spacing=spacing
    )


def _gather(study: Study, images: Path | None, templates: Sequence[Path], spacing: float | None) -> Cohort:
    from napari_landmark.learning.progress import ProgressEvent

    folder = images or study.images
    if folder is None:
        raise InputError(f"{study.folder}: does not say where its images are: give --images DIR")
    with terminal_progress() as progress:
        return Cohort.from_folder(
            folder,
            spacing=spacing or study.spacing,
            extra=templates,
            progress=lambda done, total: progress(ProgressEvent("reading images", done / max(1, total))),
        )


def _annotate(
    study: Study, cohort: Cohort, templates: Sequence[Path], annotated: dict[Path, LandmarkSet]
) -> None:
    """Put the templates' landmarks into the study; what a person placed there before is never changed."""
    from napari_landmark.oneshot.pipeline import check_template

    known = study.annotations()
    for path in templates:
        number = cohort.index(path)
        name = cohort.names[number]
        marks = LandmarkSet(study.schema, annotated[path].values())
        check_template(name, marks, cohort, number)
        if name in known and known[name] != marks:
            raise InputError(
                f"{study.folder}: holds other positions for {name}, placed by a person; leave out --template and "
                f"--landmarks to use those, or choose another --out"
            )
        study.save_annotations(name, marks, cohort.geometry(number))
