"""`napari-landmark register train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from napari_landmark.cli.destination import check_writable
from napari_landmark.cli.terminal_progress import cancel_on_interrupt, printing, terminal_progress
from napari_landmark.data.errors import InputError
from napari_landmark.data.study.study import Study
from napari_landmark.learning.device import choose_device

_OF_A_MODEL = ("model.json", "run.json", "checkpoint.safetensors")


def run_register_train(
    *,
    images: Path,
    labels: Path,
    out: Path,
    spacing: float | None,
    minutes: float | None,
    device: str,
    seed: int,
    resume: bool,
    region_weights: Sequence[str],
    full_hash: bool = False,
) -> None:
    """Train a registration model on a folder; all input is checked before anything is written.

    Started by torchrun, the processes train one model together, and the first of them writes.
    """
    from napari_landmark.learning.data_parallel import ranks_of_torchrun
    from napari_landmark.registration.losses import LossWeights
    from napari_landmark.registration.options import default_registration_options
    from napari_landmark.registration.training.folder import gather_images, require_label_maps
    from napari_landmark.registration.training.train import train_registration

    with ranks_of_torchrun() as ranks, printing(shown=ranks.is_first):
        chosen = choose_device(ranks.device_name(device))
        weights = parse_region_weights(region_weights)
        options = default_registration_options(
            chosen, seed=seed, minutes=minutes, weights=LossWeights(regions=weights)
        )
        _check_out(out)
        for folder, option in (
            (images, "--images names the folder of the images"),
            (labels, "--labels names that of the label maps"),
        ):
            if not folder.is_dir():
                raise InputError(f"{folder}: there is no such folder; {option}")
        with terminal_progress(shown=ranks.is_first) as progress, cancel_on_interrupt() as cancel:
            cohort = gather_images(images, spacing=spacing, progress=progress, cancel=cancel)
        for problem in cohort.skipped_files:
            typer.echo(f"left out: {problem.name}: {problem.reason}", err=True)
        maps = require_label_maps(labels, cohort, weights)
        processes = f" in each of {ranks.size} processes" if ranks.size > 1 else ""
        size = " x ".join(str(n) for n in reversed(cohort.canvas))
        typer.echo(
            f"{len(cohort)} images at {size} pixels, label maps of {len(maps)} of them, device {chosen}{processes}"
        )
        typer.echo("going on with the interrupted training" if resume else f"training {options.describe()}")
        with terminal_progress(shown=ranks.is_first) as progress, cancel_on_interrupt() as cancel:
            model = train_registration(
                cohort,
                maps,
                options=options,
                folder=out,
                resume=resume,
                progress=progress,
                cancel=cancel,
                full_hash=full_hash,
                ranks=ranks,
            )
        if model.record.get("cancelled"):
            typer.echo(
                f"stopped: the model {out} can be used, with what was learned so far; "
                "go on with the same command and --resume"
            )
            raise typer.Exit(130)
        regions = ", ".join(map(str, model.labels)) or "none, since all label maps are empty"
        typer.echo(f"regions: {regions}")
        typer.echo(f"trained in {model.record.get('seconds', 0) / 60:.1f} minutes: {out}")


def parse_region_weights(given: Sequence[str]) -> dict[int, float]:
    """Weights by label from texts such as '3=2.5'; InputError for anything else."""
    weights: dict[int, float] = {}
    for text in given:
        label, _, value = text.partition("=")
        try:
            number, weight = int(label), float(value)
        except ValueError:
            number, weight = -1, -1.0
        if number < 1 or not 0 <= weight < float("inf"):
            raise InputError(
                f"--region-weight {text}: give LABEL=WEIGHT, such as 3=2.5, a weight of 0 or more"
            )
        if number in weights:
            raise InputError(f"--region-weight {text}: label {number} has a weight already")
        weights[number] = weight
    return weights


def _check_out(out: Path) -> None:
    check_writable(out, folder=True)
    if Study.exists(out):
        raise InputError(f"{out}: is a study with landmarks; give another folder for the registration model")
    if out.is_dir() and any(out.iterdir()) and not any((out / name).exists() for name in _OF_A_MODEL):
        raise InputError(f"{out}: holds other files; give a new folder for the registration model")
