"""`napari-landmark register evaluate`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import typer

from napari_landmark.cli.register_pair import check_steps
from napari_landmark.cli.terminal_progress import cancel_on_interrupt, terminal_progress
from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.cohort.folder_geometries import FolderGeometries
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.image_names import ImageNames
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.learning.device import choose_device
from napari_landmark.registration.evaluation import (
    RegistrationEvaluation,
    evaluate_registration,
    read_pairs,
)
from napari_landmark.registration.label_map import find_label_maps


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
) -> None:
    """Register every pair of a table with a model and print the quality metrics.

    The model uses the images alone; label maps and landmarks are for the evaluation.
    """
    from napari_landmark.registration.model import RegistrationModel
    from napari_landmark.registration.options import PairOptions
    from napari_landmark.registration.pairwise.register import register_pair
    from napari_landmark.registration.result import Registration

    chosen = choose_device(device)
    options = PairOptions(steps=check_steps(steps), device=device)
    if not images.is_dir():
        raise InputError(f"{images}: there is no such folder; --images names the folder of the images")
    files = dict(image_files(images)[0])
    rows = read_pairs(pairs, tuple(files))
    used = list(dict.fromkeys(name for row in rows for name in row))
    maps = {} if labels is None else _label_maps(labels, used, rows)
    marks = {} if landmarks is None else _landmarks(landmarks, used, images, spacing)
    trained = RegistrationModel.load(model, device=chosen)

    def register(fixed: MedicalImage, moving: MedicalImage) -> Registration:
        return register_pair(fixed, moving, model=trained, options=options)

    with terminal_progress() as progress, cancel_on_interrupt() as cancel:
        result = evaluate_registration(
            register,
            rows,
            files,
            labels=maps,
            landmarks=marks,
            spacing=spacing,
            progress=progress,
            cancel=cancel,
        )
    if result.cancelled:
        typer.echo(f"stopped after {result.n_pairs} of {len(rows)} pairs: nothing is reported", err=True)
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


def _label_maps(folder: Path, used: Iterable[str], rows: Iterable[tuple[str, str]]) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; --labels names the folder of the label maps")
    maps = find_label_maps(folder, used)
    if not any(fixed in maps and moving in maps for fixed, moving in rows):
        raise InputError(
            f"{folder}: holds the label maps of both images of no pair; they are called like the images"
        )
    return maps


def _landmarks(
    path: Path, used: Iterable[str], images: Path, spacing: float | None
) -> dict[str, LandmarkSet]:
    """Landmarks by the names of the images."""
    table = read_landmarks(path, geometries=FolderGeometries(images, spacing=spacing))
    names = ImageNames(table)
    found: dict[str, LandmarkSet] = {}
    for name in used:
        try:
            known = names.find(name)
        except InputError as error:
            raise error.prefixed(path) from error
        if known is not None:
            found[name] = table[known]
    if not found:
        first = ", ".join(list(table)[:3])
        raise InputError(f"{path}: has landmarks of no image of the pairs (it has {first})")
    return found


def _number(value: float | None) -> str:
    return f"{'-':>10}" if value is None else f"{value:>10.3f}"
