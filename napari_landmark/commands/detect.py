"""`napari-landmark detect`."""

from __future__ import annotations

import time
from pathlib import Path

import typer

from napari_landmark.commands.destination import check_writable
from napari_landmark.commands.progress import cancel_on_interrupt, terminal_progress
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats import write_landmarks
from napari_landmark.data.study import Study


def run_detect(
    study_folder: Path, *, images: Path, out: Path, heatmaps: Path | None, device: str, spacing: float | None
) -> None:
    """Detect in a folder and write one CSV."""
    study = Study.open(study_folder)
    if out.suffix.lower() != ".csv":
        raise InputError(f"{out}: landmarks are written as CSV; give a name that ends in .csv")
    check_writable(out)
    if heatmaps is not None:
        check_writable(heatmaps, folder=True)
    if not images.is_dir():
        raise InputError(f"{images}: there is no such folder; --images names the folder of the images")
    from napari_landmark.oneshot.detection import detect_folder
    from napari_landmark.oneshot.model_folders import load_model

    model = load_model(study, device=device)
    started = time.monotonic()
    with terminal_progress() as progress, cancel_on_interrupt() as cancel:
        found = detect_folder(
            model,
            images,
            spacing=spacing or study.spacing,
            heatmaps=heatmaps,
            progress=progress,
            cancel=cancel,
        )
    for problem in found.problems:
        typer.echo(f"left out: {problem.name}: {problem.reason}", err=True)
    if found.cancelled:
        typer.echo(f"stopped: {out} was not written", err=True)
        raise typer.Exit(130)
    write_landmarks(out, found.landmarks, geometries=found.geometries)
    seconds = (time.monotonic() - started) / len(found.landmarks)
    typer.echo(f"{len(found.landmarks)} images, {seconds:.2f} s each ({model.device}): {out}")
    if heatmaps is not None:
        typer.echo(f"heatmaps: {heatmaps}")
