"""`napari-landmark register cohort`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from napari_landmark.cli.destination import check_writable
from napari_landmark.cli.register_pair import check_steps
from napari_landmark.cli.register_train import parse_region_weights
from napari_landmark.cli.terminal_progress import cancel_on_interrupt, terminal_progress
from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.cohort.folder_landmarks import landmarks_of_images
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.image_names import ImageNames
from napari_landmark.learning.device import choose_device


def run_register_cohort(
    *,
    images: Path,
    fixed: str,
    out: Path,
    model: Path | None,
    labels: Path | None,
    landmarks: Path | None,
    spacing: float | None,
    device: str,
    steps: int | None,
    region_weights: Sequence[str],
) -> None:
    """Register every image of a folder to one of them, each into a folder of its own."""
    from napari_landmark.registration.label_map import find_label_maps
    from napari_landmark.registration.pairwise.cohort_registration import TABLE, CohortImages, register_cohort

    choose_device(device)
    regions, steps = parse_region_weights(region_weights), check_steps(steps)
    for folder, what in (
        (images, "--images names the folder of the images"),
        (labels, "--labels names the folder of the label maps"),
    ):
        if folder is not None and not folder.is_dir():
            raise InputError(f"{folder}: there is no such folder; {what}")
    check_writable(out, folder=True)
    files, skipped = image_files(images)
    known = dict(files)
    name = ImageNames(known).find(fixed)
    if name is None:
        raise InputError(f"--fixed {fixed}: there is no such image in {images}")
    for problem in skipped:
        typer.echo(f"left out: {problem.name}: {problem.reason}", err=True)
    cohort = CohortImages(
        fixed=name,
        images=known,
        labels={} if labels is None else find_label_maps(labels, known),
        landmarks={}
        if landmarks is None
        else landmarks_of_images(landmarks, known, images=images, spacing=spacing),
        spacing=spacing,
    )
    with terminal_progress() as progress, cancel_on_interrupt() as cancel:
        found = register_cohort(
            cohort,
            out,
            model=model,
            device=device,
            steps=steps,
            regions=regions,
            progress=progress,
            cancel=cancel,
        )
    for image, reason in found.problems.items():
        typer.echo(f"not registered: {image}: {reason}", err=True)
    typer.echo(f"{len(found.measures)} images registered to {name}: {out / TABLE}")
    if found.cancelled:
        typer.echo("stopped: the same command goes on with the others", err=True)
        raise typer.Exit(130)
