"""`napari-landmark register labels`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import typer

from napari_landmark.cli.destination import check_writable
from napari_landmark.cli.register_pair import check_steps, check_working_size
from napari_landmark.cli.terminal_progress import cancel_on_interrupt, terminal_progress
from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.errors import InputError
from napari_landmark.learning.device import choose_device


def run_register_labels(
    *,
    images: Path,
    labels: Path,
    out: Path,
    model: Path | None,
    spacing: float | None,
    device: str,
    steps: int | None,
    working_size: int | None,
    any_rotation: bool | None,
    check: bool,
) -> None:
    """Carry the label maps of a few images of a folder to all others."""
    from napari_landmark.registration.label_map import find_label_maps
    from napari_landmark.registration.options import PairOptions
    from napari_landmark.registration.pairwise.cohort_labels import TABLE, LabelledCohort, label_cohort

    choose_device(device)
    options = PairOptions(
        steps=check_steps(steps),
        device=device,
        working_size=check_working_size(working_size, model),
        any_rotation=any_rotation,
    )
    for folder, what in (
        (images, "--images names the folder of the images"),
        (labels, "--labels names the folder of the label maps"),
    ):
        if not folder.is_dir():
            raise InputError(f"{folder}: there is no such folder; {what}")
    check_writable(out, folder=True)
    files, skipped = image_files(images)
    known = dict(files)
    for problem in skipped:
        typer.echo(f"left out: {problem.name}: {problem.reason}", err=True)
    maps = find_label_maps(labels, known)
    if not maps:
        raise InputError(f"{labels}: none of its files is called like an image of {images}")
    cohort = LabelledCohort(images=known, labels=maps, spacing=spacing)
    typer.echo(f"label maps of {len(maps)} images, to be carried to {len(cohort.unlabelled)} others")
    with terminal_progress() as progress, cancel_on_interrupt() as cancel:
        found = label_cohort(
            cohort, out, model=model, options=options, check=check, progress=progress, cancel=cancel
        )
    for image, reason in found.problems.items():
        typer.echo(f"not labelled: {image}: {reason}", err=True)
    typer.echo(f"{len(found.agreement)} images labelled: {out / TABLE}")
    if found.expected_dice:
        mean = float(np.mean(list(found.expected_dice.values())))
        typer.echo(
            f"expected Dice {mean:.3f}: of labelled images with their own maps, each labelled by the others"
        )
    if found.cancelled:
        typer.echo("stopped: the same command goes on with the others", err=True)
        raise typer.Exit(130)
