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
from napari_landmark.learning.device import choose_device

_LEAST_SIZE = 32  # the coarsest of the grids on which images are compared would have hardly a cell


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
    working_size: int | None,
    any_rotation: bool | None,
    region_weights: Sequence[str],
) -> None:
    """Register two images and write all results into a folder, at the end."""
    from napari_landmark.registration.pairwise.pair_files import PairFiles, register_files

    chosen = choose_device(device)
    regions, steps = parse_region_weights(region_weights), check_steps(steps)
    working_size = check_working_size(working_size, model)
    check_writable(out, folder=True)
    files = PairFiles(
        fixed=fixed,
        moving=moving,
        fixed_labels=fixed_labels,
        moving_labels=moving_labels,
        fixed_landmarks=fixed_landmarks,
        moving_landmarks=moving_landmarks,
    )
    with terminal_progress() as progress, cancel_on_interrupt() as cancel:
        written = register_files(
            files,
            out,
            model=model,
            spacing=spacing,
            device=device,
            steps=steps,
            working_size=working_size,
            any_rotation=any_rotation,
            regions=regions,
            progress=progress,
            cancel=cancel,
        )
    if written is None:
        typer.echo(f"stopped: nothing was written to {out}", err=True)
        raise typer.Exit(130)
    for line in _summary(written.measures):
        typer.echo(line)
    typer.echo(f"registered in {written.seconds:.1f} s ({chosen}): {out}")


def check_steps(steps: int | None) -> int | None:
    """Steps of the instance optimization; InputError for a negative number."""
    if steps is not None and steps < 0:
        raise InputError(f"--steps {steps}: give a number from 0 on")
    return steps


def check_working_size(size: int | None, model: Path | None) -> int | None:
    """Longest side of the working grid; InputError where it is too small, or that of a model."""
    if size is None:
        return None
    if model is not None:
        raise InputError(f"--working-size {size}: a model has a grid of its own; leave out one of the two")
    if size < _LEAST_SIZE:
        raise InputError(f"--working-size {size}: give {_LEAST_SIZE} or more")
    return size


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
