"""`napari-landmark register pair`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from napari_landmark.cli.destination import check_writable
from napari_landmark.cli.register_train import parse_region_weights
from napari_landmark.cli.terminal_progress import cancel_on_interrupt, terminal_progress
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.image_names import find_image
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.images.image import MedicalImage, read_image
from napari_landmark.data.landmarks import LandmarkSet, check_axes
from napari_landmark.learning.device import choose_device
from napari_landmark.registration.label_map import read_label_map
from napari_landmark.registration.pairwise.output import PAIR_FILES, RegisteredPair, write_pair


def run_register_pair(
    *,
    fixed: Path,
    moving: Path,
    out: Path,
    model: Path | None,
    fixed_labels: Path | None,
    moving_labels: Path | None,
    fixed_landmarks: Path | None,
    moving_landmarks: Path | None,
    spacing: float | None,
    device: str,
    steps: int | None,
    region_weights: Sequence[str],
) -> None:
    """Register two images and write all results into a folder, at the end."""
    from napari_landmark.registration.model import RegistrationModel
    from napari_landmark.registration.options import PAIR_WEIGHTS, PairOptions
    from napari_landmark.registration.pairwise.register import register_pair

    chosen = choose_device(device)
    regions, steps = parse_region_weights(region_weights), check_steps(steps)
    check_writable(out, folder=True)
    _keep_inputs(out, (fixed, moving, fixed_labels, moving_labels, fixed_landmarks, moving_landmarks))
    images = read_image(fixed, spacing=spacing), read_image(moving, spacing=spacing)
    labels_f, labels_m = (
        None if path is None else read_label_map(path, image.geometry)
        for path, image in zip((fixed_labels, moving_labels), images, strict=True)
    )
    marks_f, marks_m = (
        None if path is None else _landmarks_of(image, path)
        for path, image in zip((fixed_landmarks, moving_landmarks), images, strict=True)
    )
    trained = None if model is None else RegistrationModel.load(model, device=chosen)
    own = PAIR_WEIGHTS[images[0].geometry.ndim] if trained is None else trained.weights
    options = PairOptions(steps=steps, weights=own.with_regions(regions), device=device)
    with terminal_progress() as progress, cancel_on_interrupt() as cancel:
        found = register_pair(
            *images,
            model=trained,
            fixed_labels=labels_f,
            moving_labels=labels_m,
            fixed_landmarks=marks_f,
            moving_landmarks=marks_m,
            options=options,
            progress=progress,
            cancel=cancel,
        )
    if cancel.cancelled:
        typer.echo(f"stopped: nothing was written to {out}", err=True)
        raise typer.Exit(130)
    pair = RegisteredPair(*images, found, labels_f, labels_m, marks_f, marks_m)
    measures = pair.measures()
    write_pair(pair, out, measures=measures)
    for line in _summary(measures):
        typer.echo(line)
    typer.echo(f"registered in {found.seconds:.1f} s ({chosen}): {out}")


def check_steps(steps: int | None) -> int | None:
    """Steps of the instance optimization; InputError for a negative number."""
    if steps is not None and steps < 0:
        raise InputError(f"--steps {steps}: give a number from 0 on")
    return steps


def _keep_inputs(out: Path, inputs: Sequence[Path | None]) -> None:
    """Refuse a folder in which an output would replace an input (InputError)."""
    written = {(out / name).resolve() for name in PAIR_FILES}
    for path in inputs:
        if path is not None and path.resolve() in written:
            raise InputError(f"{path}: would be overwritten; choose another --out")


def _landmarks_of(image: MedicalImage, path: Path) -> LandmarkSet:
    """The landmarks of one image in a file of one or many."""
    table = read_landmarks(path, geometries={image.name: image.geometry})
    try:
        name = find_image(image.name, table)
    except InputError as error:
        raise error.prefixed(path) from error
    if name is None:
        names = ", ".join(list(table)[:3])
        raise InputError(f"{path}: has no rows for {image.name} (it has {names or 'none at all'})")
    marks = table[name]
    try:
        check_axes(marks.values(), image.geometry, image=name)
    except InputError as error:
        raise error.prefixed(path) from error
    return marks


def _summary(measures: dict[str, Any]) -> list[str]:
    rows = [("correlation", "correlation", ""), ("Dice", "dice", "")]
    unit = "mm" if measures.get("tre_mm") is not None else "px"
    rows.append(("landmark error", f"tre_{unit}", f" {unit}"))
    lines = []
    for title, key, suffix in rows:
        before = measures.get(key.replace("tre_", "tre_before_") if "tre" in key else f"{key}_before")
        after = measures.get(key)
        if before is not None and after is not None:
            lines.append(f"{title:<16}{before:>8.3f} -> {after:.3f}{suffix}")
    lines.append(f"{'folding':<16}{measures['folding_percent']:>8.3f} %")
    return lines
