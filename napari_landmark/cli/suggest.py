"""`napari-landmark suggest`."""

from __future__ import annotations

from pathlib import Path

import typer

from napari_landmark.cli.terminal_progress import cancel_on_interrupt, terminal_progress
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.study.study import Study
from napari_landmark.detection.correction_advice import study_advice
from napari_landmark.detection.model.store import learned_images, require_default_folder


def run_suggest(
    *, images: Path | None, count: int, minutes: float | None, device: str, seed: int, spacing: float | None
) -> None:
    """Print the best template images, one a line, the best first."""
    if count < 1:
        raise InputError(f"--count {count}: ask for at least one image")
    if minutes is not None and not 0 < minutes < float("inf"):
        raise InputError(f"--minutes {minutes}: must be a number above 0")
    if images is None:
        raise InputError(
            "suggest needs --images DIR, or --study STUDY for what to correct next in a trained study"
        )
    if not images.is_dir():
        raise InputError(f"{images}: there is no such folder; --images names the folder of the cohort")
    from napari_landmark.detection.template_selection import DEFAULT_MINUTES, suggest
    from napari_landmark.learning.device import choose_device

    choose_device(device)  # a wrong name is told before thousands of images are read
    with terminal_progress() as progress, cancel_on_interrupt() as cancel:
        cohort = Cohort.from_folder(
            images,
            spacing=spacing,
            progress=progress,
            cancel=cancel,
        )
        for problem in cohort.skipped_files:
            typer.echo(f"left out: {problem.name}: {problem.reason}", err=True)
        best = suggest(
            cohort,
            count=count,
            minutes=minutes or DEFAULT_MINUTES,
            device=device,
            seed=seed,
            progress=progress,
            cancel=cancel,
        )
    for suggestion in best:
        typer.echo(f"{suggestion.score:.3f}  {suggestion.image}")
    if cancel.cancelled:
        typer.echo("stopped: these are the best of the images that were judged until then", err=True)
        raise typer.Exit(130)


def run_suggest_corrections(*, study: Path, images: Path | None, count: int, spacing: float | None) -> None:
    """Print the images whose correction tells most of the others, one a line, and what it is expected to bring."""
    if count < 1:
        raise InputError(f"--count {count}: ask for at least one image")
    opened = Study.open(study)
    folder = require_default_folder(opened)
    with terminal_progress() as progress, cancel_on_interrupt() as cancel:
        cohort = Cohort.from_folder(
            images or opened.require_images(),
            spacing=spacing or opened.spacing,
            extra=opened.extra,
            progress=progress,
            cancel=cancel,
        )
    advice = study_advice(opened, cohort, learned=learned_images(folder), count=count)
    for name in advice.images:
        typer.echo(name)
    for line in (advice.next_line(), *advice.offset_lines()):
        if line:
            typer.echo(line, err=True)
    if not advice.images:
        typer.echo("no image is left to correct: all are annotated, or have no predictions", err=True)
