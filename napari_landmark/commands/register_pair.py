"""`napari-landmark register pair`."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from numpy.typing import NDArray

from napari_landmark.commands.destination import check_writable
from napari_landmark.commands.progress import cancel_on_interrupt, terminal_progress
from napari_landmark.commands.register_train import parse_region_weights
from napari_landmark.data.atomic import atomic_write
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats import read_landmarks, write_landmarks
from napari_landmark.data.formats.image_names import find_image
from napari_landmark.data.image import MedicalImage, read_image
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.nrrd_file import write_nrrd
from napari_landmark.learning.device import choose_device
from napari_landmark.registration.initial import initial_transform
from napari_landmark.registration.label_map import read_label_map
from napari_landmark.registration.pair_measures import correlation, landmark_errors, warped_dice
from napari_landmark.registration.transform import Transform

if TYPE_CHECKING:
    from napari_landmark.registration.registration import Registration


_WRITTEN = (
    "warped.nrrd", "warped.png", "warped_labels.nrrd", "warped_landmarks.csv", "transform.nrrd", "transform.json",
    "overview.png", "measures.json",
)  # fmt: skip


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
    """Register two images and write everything that follows from it into a folder, at the end."""
    from napari_landmark.registration.model import RegistrationModel
    from napari_landmark.registration.objective import ObjectiveWeights
    from napari_landmark.registration.options import PairOptions
    from napari_landmark.registration.pair import register_pair

    chosen = choose_device(device)
    weights = ObjectiveWeights(regions=parse_region_weights(region_weights))
    options = PairOptions(steps=check_steps(steps), weights=weights, device=device)
    check_writable(out, folder=True)
    _keep_inputs(out, (fixed, moving, fixed_labels, moving_labels, fixed_landmarks, moving_landmarks))
    images = read_image(fixed, spacing=spacing), read_image(moving, spacing=spacing)
    labels = [
        None if path is None else read_label_map(path, image.geometry)
        for path, image in zip((fixed_labels, moving_labels), images, strict=True)
    ]
    marks = [
        None if path is None else _landmarks_of(image, path)
        for path, image in zip((fixed_landmarks, moving_landmarks), images, strict=True)
    ]
    trained = None if model is None else RegistrationModel.load(model, device=chosen)
    with terminal_progress() as progress, cancel_on_interrupt() as cancel:
        found = register_pair(
            *images,
            model=trained,
            fixed_labels=labels[0],
            moving_labels=labels[1],
            fixed_landmarks=marks[0],
            moving_landmarks=marks[1],
            options=options,
            progress=progress,
            cancel=cancel,
        )
    if cancel.cancelled:
        typer.echo(f"stopped: nothing was written to {out}", err=True)
        raise typer.Exit(130)
    measures = _measures(images, found, labels, marks)
    _write(out, images, found, labels[1], marks[1], measures)
    for line in _summary(measures):
        typer.echo(line)
    typer.echo(f"registered in {found.seconds:.1f} s ({chosen}): {out}")


def check_steps(steps: int | None) -> int | None:
    """Steps of the optimisation on a pair; InputError for fewer than none."""
    if steps is not None and steps < 0:
        raise InputError(f"--steps {steps}: give a number from 0 on")
    return steps


def _keep_inputs(out: Path, inputs: Sequence[Path | None]) -> None:
    """What was given must not be overwritten by what comes out."""
    written = {(out / name).resolve() for name in _WRITTEN}
    for path in inputs:
        if path is not None and path.resolve() in written:
            raise InputError(f"{path}: would be overwritten; choose another --out")


def _landmarks_of(image: MedicalImage, path: Path) -> LandmarkSet:
    """The landmarks of one image in a file of one or many."""
    table = read_landmarks(path, geometries={image.name: image.geometry})
    try:
        name = find_image(image.name, table)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if name is None:
        names = ", ".join(list(table)[:3])
        raise InputError(f"{path}: has no rows for {image.name} (it has {names or 'none at all'})")
    marks = table[name]
    if marks.ndim not in (None, image.geometry.ndim):
        raise InputError(
            f"{path}: the landmarks of {name} have {marks.ndim} coordinates and the image {image.geometry.ndim} axes"
        )
    return marks


def _measures(
    images: tuple[MedicalImage, MedicalImage],
    found: Registration,
    labels: Sequence[NDArray | None],
    marks: Sequence[LandmarkSet | None],
) -> dict[str, Any]:
    fixed, moving = images
    before, after = initial_transform(fixed.geometry, moving.geometry), found.transform
    measures: dict[str, Any] = {
        "fixed": fixed.name,
        "moving": moving.name,
        "fixed_spacing": fixed.geometry.spacing_statement,
        "moving_spacing": moving.geometry.spacing_statement,
        "guided_by": [],
        "correlation_before": correlation(before, fixed, moving),
        "correlation": correlation(after, fixed, moving),
        "folding_percent": after.folding_percent(),
        "seconds": found.seconds,
        "terms": dict(found.terms),
    }
    if labels[0] is not None and labels[1] is not None:
        measures["guided_by"].append("labels")
        for key, transform in (("dice_before", before), ("dice", after)):
            values = warped_dice(transform, labels[0], labels[1])
            measures[key] = float(np.mean(list(values.values()))) if values else None
            measures[f"{key}_per_label"] = {str(label): value for label, value in values.items()}
    if marks[0] is not None and marks[1] is not None:
        measures["guided_by"].append("landmarks")
        for key, transform in (("tre_before", before), ("tre", after)):
            errors = landmark_errors(transform, marks[0], marks[1])
            for unit, values in (("px", errors.px), ("mm", errors.mm)):
                measures[f"{key}_{unit}"] = float(np.mean(list(values.values()))) if values else None
    return measures


def _write(
    out: Path,
    images: tuple[MedicalImage, MedicalImage],
    found: Registration,
    moving_labels: NDArray | None,
    moving_marks: LandmarkSet | None,
    measures: dict[str, Any],
) -> None:
    from napari_landmark.registration.overview import overview_png

    fixed, moving = images
    transform: Transform = found.transform
    warped = transform.warp_image(moving)
    before = initial_transform(fixed.geometry, moving.geometry)
    overview = overview_png(fixed, moving, before, transform)
    write_nrrd(out / "warped.nrrd", warped.array, warped.geometry)
    if fixed.geometry.ndim == 2:
        atomic_write(out / "warped.png", _png(warped.array))
    if moving_labels is not None:
        write_nrrd(out / "warped_labels.nrrd", transform.warp_labels(moving_labels), fixed.geometry)
    if moving_marks is not None:
        carried = {fixed.name: transform.warp_landmarks(moving_marks)}
        write_landmarks(out / "warped_landmarks.csv", carried, geometries={fixed.name: fixed.geometry})
    transform.save(out / "transform.nrrd", names=(fixed.name, moving.name))
    atomic_write(out / "overview.png", overview)
    atomic_write(out / "measures.json", json.dumps(measures, indent=1) + "\n")


def _png(array: NDArray) -> bytes:
    """As it is where it has eight or sixteen bits, else scaled to eight."""
    from PIL import Image

    if array.dtype not in (np.uint8, np.uint16):
        low, high = np.percentile(array, [0.1, 99.9])
        scaled = (array.astype(np.float64) - low) / max(float(high - low), 1e-12)
        array = np.rint(255 * np.clip(scaled, 0, 1)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, format="PNG")
    return stream.getvalue()


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
