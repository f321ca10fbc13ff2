"""`napari-landmark register evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from napari_landmark.cli.register_pair import check_steps
from napari_landmark.cli.terminal_progress import cancel_on_interrupt, terminal_progress
from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.learning.device import choose_device
from napari_landmark.registration.evaluation import RegistrationEvaluation, evaluate_registration
from napari_landmark.registration.evaluation_data import EvaluationData


def run_register_evaluate(
    *,
    model: Path,
    images: Path,
    pairs: Path,
    labels: Path | None,
    landmarks: Path | None,
    spacing: float | None,
    device: str,
    steps: int | None,
    as_json: bool,
    executor: str | None = None,
) -> None:
    """Register every pair of a table with a model and print the quality metrics.

    The model uses the images alone; label maps and landmarks are for the evaluation.
    """
    from napari_landmark.registration.model import RegistrationModel
    from napari_landmark.registration.options import PairOptions
    from napari_landmark.registration.pairwise.register import register_pair
    from napari_landmark.registration.result import Registration

    options = PairOptions(steps=check_steps(steps), device=device)
    for folder, what in (
        (images, "--images names the folder of the images"),
        (labels, "--labels names the folder of the label maps"),
    ):
        if folder is not None and not folder.is_dir():
            raise InputError(f"{folder}: there is no such folder; {what}")
    if executor is not None:
        from napari_landmark.backend.cluster.evaluation import evaluate_on_cluster

        with terminal_progress() as progress, cancel_on_interrupt() as cancel:
            result = evaluate_on_cluster(
                executor,
                model,
                pairs,
                images=images,
                labels=labels,
                landmarks=landmarks,
                spacing=spacing,
                options=options,
                progress=progress,
                cancel=cancel,
            )
    else:
        chosen = choose_device(device)
        data = EvaluationData.gather(
            pairs, images=images, labels=labels, landmarks=landmarks, spacing=spacing
        )
        trained = RegistrationModel.load(model, device=chosen)

        def register(fixed: MedicalImage, moving: MedicalImage) -> Registration:
            return register_pair(fixed, moving, model=trained, options=options)

        with terminal_progress() as progress, cancel_on_interrupt() as cancel:
            result = evaluate_registration(
                register,
                data.pairs,
                data.images,
                labels=data.labels,
                landmarks=data.landmarks,
                spacing=spacing,
                progress=progress,
                cancel=cancel,
            )
    if result.cancelled:
        typer.echo(f"stopped after {result.n_pairs} of {result.n_asked} pairs: nothing is reported", err=True)
        raise typer.Exit(130)
    typer.echo(json.dumps(result.to_json(), indent=1) if as_json else registration_table(result))


def registration_table(result: RegistrationEvaluation) -> str:
    """The quality metrics as a text table."""
    mm = result.tre_mm is not None
    unit = "mm" if mm else "px"
    head = f"{'':<24}{'before':>10}{'after':>10}"
    lines = [head, "-" * len(head)]
    if result.dice is not None:
        lines.append(f"{'Dice':<24}{_number(result.dice_before)}{_number(result.dice)}")
        lines += [
            f"{f'  label {label}':<34}{_number(value)}" for label, value in result.dice_per_label.items()
        ]
    if result.n_landmarks:
        before, after = (result.tre_before_mm, result.tre_mm) if mm else (result.tre_before_px, result.tre_px)
        lines.append(f"{f'landmark error, {unit}':<24}{_number(before)}{_number(after)}")
    lines.append("-" * len(head))
    folding, seconds = result.folding_percent or 0.0, result.seconds_per_pair or 0.0
    lines.append(
        f"{result.n_pairs} pairs, {result.n_pairs_with_labels} with label maps, {result.n_landmarks} landmarks; "
        f"{folding:.3f}% folded, {seconds:.2f} s a pair"
    )
    if result.n_lost:
        lines.append(
            f"{result.n_lost} landmarks were measured in the moving image: nothing is carried to them"
        )
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return f"{'-':>10}" if value is None else f"{value:>10.3f}"
