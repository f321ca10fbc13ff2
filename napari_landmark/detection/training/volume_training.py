"""Training on volumes: the template becomes an atlas, which is aligned with volumes of the cohort.

Nothing is learned by a network. The cohort tells how well each landmark can be found and what agreement a pose has that
was found; further annotated volumes correct the landmarks of the atlas.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_landmark.data.cohort.isotropic_grid import isotropic_transform, smallest_cell
from napari_landmark.data.cohort.working_grid import resample
from napari_landmark.detection.embedding.template_matching import Template
from napari_landmark.detection.model.volume_model import LEAST_AGREEMENT, VolumeModel
from napari_landmark.detection.training.task import TrainingMonitor, TrainingTask
from napari_landmark.detection.volumes.alignment import align
from napari_landmark.detection.volumes.atlas import Atlas
from napari_landmark.detection.volumes.pyramid import Pyramid
from napari_landmark.learning.checkpoint import load_tensors, save_tensors
from napari_landmark.learning.sampler import random_indices
from napari_landmark.progress import ProgressEvent

_CHECKPOINT = "checkpoint-volumes.safetensors"
_MOST_VOLUMES = 20  # aligned to learn what is usual
_SHARE = 0.5  # of the time of a training; the rest is for the predictions
_GREY_LEVELS = 65_535  # the atlas in memory is the one in the file
_USUAL_SPREAD = 1.0  # cells, of a landmark that was found in no volume


@dataclass(frozen=True, eq=False)
class _Observation:
    """An aligned volume of the cohort.

    Parameters
    ----------
    number : int
        In the cohort.
    agreement : float
    spread : (n,) tensor
        See `Alignment`.
    annotated : (n, 3) tensor
        Its annotated landmarks as positions in the atlas, NaN where there are none.
    """

    number: int
    agreement: float
    spread: torch.Tensor
    annotated: torch.Tensor


def train_volume_model(task: TrainingTask, record: dict[str, Any], monitor: TrainingMonitor) -> VolumeModel:
    """Make an atlas of the annotated volumes; after a cancel, of those that were reached.

    Raises
    ------
    InputError
        A volume cannot be read.
    """
    model = _first_model(task, record)
    atlas = model.atlas
    seen = _observe(task, model, monitor)
    middle = float(np.median([one.agreement for one in seen])) if seen else 0.0
    good = [one for one in seen if one.agreement >= LEAST_AGREEMENT * middle]
    if good:
        positions = torch.stack([atlas.landmarks, *(one.annotated for one in good)]).nanmean(0)
        spread = torch.stack([one.spread for one in good]).nanmean(0)
        model.atlas = Atlas.from_annotation(atlas.volume, positions)
        model.typical_agreement = middle
        model.typical_spread = torch.where(spread.isnan(), model.typical_spread, spread)
    record["complete"] = not monitor.cancelled
    return model


def _first_model(task: TrainingTask, record: dict[str, Any]) -> VolumeModel:
    """Model of the first template alone."""
    image = task.cohort.read(task.templates[0].index)
    cell = smallest_cell(image.geometry)
    array = resample(image, isotropic_transform(image.geometry, cell))
    volume = Pyramid(np.round(array * _GREY_LEVELS) / _GREY_LEVELS, cell)
    landmarks = _positions(task, task.templates[0], cell)
    return VolumeModel(
        task.study.schema,
        task.cohort.canvas,
        Atlas.from_annotation(volume, landmarks),
        has_spacing=image.geometry.has_spacing,
        typical_agreement=0.0,  # without other volumes every pose is accepted
        typical_spread=torch.full((len(landmarks),), _USUAL_SPREAD),
        device=task.device,
        record=record,
    )


def _observe(task: TrainingTask, model: VolumeModel, monitor: TrainingMonitor) -> list[_Observation]:
    """Align the atlas with the other templates and with volumes of the cohort, until cancelled or out of time."""
    started = time.monotonic()
    first, *others = task.templates
    templates = {template.index: template for template in others}
    generator = torch.Generator().manual_seed(task.options.seed)
    # In random order: the volumes that are reached are a fair part of all.
    order = random_indices(len(task.cohort), len(task.cohort), generator)
    numbers = [*templates, *(n for n in order if n != first.index and n not in templates)]
    numbers = numbers[: max(_MOST_VOLUMES, len(templates))]
    path = task.folder / _CHECKPOINT
    seen = _load(path, len(task.study.schema)) if task.resume and path.exists() else {}
    minutes = task.options.minutes or task.options.limit_minutes
    for done, number in enumerate(numbers):
        late = minutes is not None and time.monotonic() - started > 60 * _SHARE * minutes
        if monitor.cancelled or (late and number not in templates):
            break
        if number not in seen:
            seen[number] = _aligned(task, model, number, templates.get(number))
            _save(path, list(seen.values()))
        if monitor.progress:
            share = (done + 1) / len(numbers)
            left = (time.monotonic() - started) * (1 - share) / share
            monitor.progress(ProgressEvent("aligning volumes", share, left))
    return [seen[number] for number in numbers if number in seen]


def _aligned(task: TrainingTask, model: VolumeModel, number: int, template: Template | None) -> _Observation:
    target, _ = model.prepare(task.cohort.read(number))
    alignment = align(model.atlas, target)
    annotated = torch.full_like(model.atlas.landmarks, torch.nan)
    if template is not None:
        annotated = alignment.to_atlas(model.atlas, _positions(task, template, target.cell))
    return _Observation(number, alignment.agreement, alignment.spread, annotated)


def _positions(task: TrainingTask, template: Template, cell: float) -> torch.Tensor:
    """(n, 3) annotated positions in the lengths of an atlas with cells of a length, NaN where unknown."""
    native = task.cohort.canvas_transform(template.index).to_native(template.positions)
    transform = isotropic_transform(task.cohort.geometry(template.index), cell)
    return torch.from_numpy(transform.to_working(native) * cell).float()


def _save(path: Path, seen: Sequence[_Observation]) -> None:
    tensors = {
        "number": torch.tensor([one.number for one in seen]),
        "agreement": torch.tensor([one.agreement for one in seen], dtype=torch.float64),
        "spread": torch.stack([one.spread for one in seen]),
        "annotated": torch.stack([one.annotated for one in seen]),
    }
    save_tensors(path, tensors)


def _load(path: Path, landmarks: int) -> dict[int, _Observation]:
    """Observations of an interrupted training by number of the volume; none where they are of other landmarks."""
    tensors, _ = load_tensors(path)
    names = ("number", "agreement", "spread", "annotated")
    if tensors.keys() != set(names) or tensors["annotated"].shape[1:] != (landmarks, 3):
        return {}
    rows = zip(*(tensors[name] for name in names), strict=True)
    return {int(number): _Observation(int(number), float(a), c, p) for number, a, c, p in rows}
