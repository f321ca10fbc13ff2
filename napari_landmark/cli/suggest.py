"""`napari-landmark suggest`."""

from __future__ import annotations

from pathlib import Path

import typer

from napari_landmark.cli.terminal_progress import cancel_on_interrupt, terminal_progress
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError


def run_suggest(
    *, images: Path, count: int, minutes: float | None, device: str, seed: int, spacing: float | None
) -> None:
    """Print the best template images, one a line, the best first."""
    if count < 1:
        raise InputError(f"--count {count}: ask for at least one image")
    if minutes is not None and not 0 < minutes < float("inf"):
        raise InputError(f"--minutes {minutes}: must be a number above 0")
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
