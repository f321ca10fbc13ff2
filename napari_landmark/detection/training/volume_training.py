"""Training on volumes: templates become atlases, which are aligned with volumes of the cohort.

Nothing is learned by a network. The cohort tells how well each landmark can be found and what agreement a pose has that
was found; annotations of further volumes correct the landmarks of all atlases.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_landmark.data.cohort.fine_grid import FineGrid, fine_grids
from napari_landmark.data.cohort.isotropic_grid import finer_cells, isotropic_transform, smallest_cell
from napari_landmark.data.cohort.working_grid import resample
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.detection.embedding.template_matching import Template
from napari_landmark.detection.model.volume_model import LEAST_AGREEMENT, TemplateAtlas, VolumeModel
from napari_landmark.detection.training.task import TrainingMonitor, TrainingTask
from napari_landmark.detection.volumes.alignment import align
from napari_landmark.detection.volumes.atlas import Atlas
from napari_landmark.detection.volumes.pyramid import GREY_LEVELS, Pyramid
from napari_landmark.learning.checkpoint import load_tensors, save_tensors
from napari_landmark.learning.sampler import random_indices
from napari_landmark.progress import ProgressEvent

_CHECKPOINT = "checkpoint-volumes.safetensors"
_MOST_VOLUMES = 20  # aligned to learn what is usual
_SHARE = 0.5  # of the time of a training; the rest is for the predictions
_MOST_ATLASES = 3  # each takes seconds in every volume
_MOST_OFF = 0.15  # of the radius of an atlas: farther is another pose
_NAMES = ("number", "agreement", "spread", "annotated", "matrix", "shift")  # of an `_Observation`
_USUAL_SPREAD = 1.0  # cells, of a landmark that was found in no volume


@dataclass(frozen=True, eq=False)
class _Observation:
    """A volume of the cohort that the atlases were aligned with; only the first one if it is a template.

    Parameters
    ----------
    number : int
        In the cohort.
    agreement : (k,) tensor
        Of each atlas, NaN for one that was not aligned.
    spread : (k, n) tensor
        See `Alignment`.
    annotated : (n, 3) tensor
        Its annotated landmarks as positions in the first atlas, NaN where there are none.
    matrix : (3, 3) tensor
    shift : (3,) tensor
        Affine map from the first atlas.
    """

    number: int
    agreement: torch.Tensor
    spread: torch.Tensor
    annotated: torch.Tensor
    matrix: torch.Tensor
    shift: torch.Tensor


def train_volume_model(task: TrainingTask, record: dict[str, Any], monitor: TrainingMonitor) -> VolumeModel:
    """Make atlases of the annotated volumes; after a cancel, of those that were reached.

    Raises
    ------
    InputError
        A volume cannot be read.
    """
    others = task.templates[1:]
    model = _first_model(task, record)
    run = _Alignments(task, monitor, _MOST_ATLASES)
    seen = run.observe(model, [template.index for template in others])
    usual = _median([one.agreement[0] for one in seen])
    own = model.templates[0].atlas
    alike = {
        one.number: one
        for one in seen
        if one.agreement[0] >= LEAST_AGREEMENT * usual and _same_places(own, one.annotated)
    }
    landmarks = torch.stack([own.landmarks, *(one.annotated for one in alike.values())])
    model.templates = _atlases(task, model, others, alike, landmarks.nanmean(0))
    run.observe(model, _drawn(task, {template.index for template in task.templates}))
    _describe(model, list(run.seen.values()))
    record["complete"] = not monitor.cancelled
    return model


def _same_places(atlas: Atlas, annotated: torch.Tensor) -> bool:
    """Whether annotated positions in an atlas are near its landmarks, as in a pose that was found."""
    off = (annotated - atlas.landmarks).norm(dim=1).nanmedian()
    return not bool(off > _MOST_OFF * atlas.radius)  # NaN: nothing that says otherwise


def _first_model(task: TrainingTask, record: dict[str, Any]) -> VolumeModel:
    """Model of the first template alone; without other volumes every pose is accepted."""
    image = task.cohort.read(task.templates[0].index)
    cell = smallest_cell(image.geometry)
    volume, finer = _on_cells(image, cell, finer_cells(image.geometry, cell))
    landmarks = _positions(task, task.templates[0], volume.cell)
    return VolumeModel(
        task.study.schema,
        task.cohort.canvas,
        [TemplateAtlas.first(Atlas.from_annotation(volume, landmarks, finer=finer), 0.0)],
        has_spacing=image.geometry.has_spacing,
        typical_spread=torch.full((len(landmarks),), _USUAL_SPREAD),
        device=task.device,
        record=record,
    )


def _atlases(
    task: TrainingTask,
    model: VolumeModel,
    others: Sequence[Template],
    alike: dict[int, _Observation],
    mean: torch.Tensor,
) -> tuple[TemplateAtlas, ...]:
    """Atlases of the first templates that the first one was aligned with, all with the mean annotation.

    Parameters
    ----------
    mean : (n, 3) tensor
        In the first atlas.
    """
    own = model.templates[0].atlas
    cells = [one.cell for one in own.finer]
    finer = _on_cells(task.cohort.read(task.templates[0].index), own.volume.cell, cells)[1] if cells else ()
    first = Atlas.from_annotation(own.volume, mean, finer=finer)
    atlases = [TemplateAtlas.first(first, 0.0)]
    for template in others:
        if len(atlases) == _MOST_ATLASES:
            break
        if template.index not in alike:
            continue
        one = alike[template.index]
        volume, finer = _on_cells(task.cohort.read(template.index), own.volume.cell, cells)
        # As far beside its own annotation as the mean lies beside that in the first atlas.
        landmarks = _positions(task, template, own.volume.cell) + (mean - one.annotated) @ one.matrix.T
        if not bool(landmarks.isnan().all()):
            shift = (first.centre - own.centre) @ one.matrix.T + one.shift
            atlas = Atlas.from_annotation(volume, landmarks, finer=finer)
            atlases.append(TemplateAtlas(atlas, 0.0, one.matrix, shift))
    return tuple(atlases)


def _drawn(task: TrainingTask, templates: set[int]) -> list[int]:
    """Numbers of the volumes that are aligned to learn what is usual."""
    generator = torch.Generator().manual_seed(task.options.seed)
    # In random order: the volumes that are reached are a fair part of all.
    order = random_indices(len(task.cohort), len(task.cohort), generator)
    return [number for number in order if number not in templates][:_MOST_VOLUMES]


def _describe(model: VolumeModel, seen: Sequence[_Observation]) -> None:
    """State in a model what agreement and what spread are usual in the volumes of the cohort."""
    if not seen:
        return
    agreements = torch.stack([one.agreement for one in seen])
    usual = [_median(agreements[:, number]) for number in range(len(model.templates))]
    model.templates = tuple(
        template._replace(typical_agreement=value or usual[0])
        for template, value in zip(model.templates, usual, strict=True)
    )
    good = agreements[:, : len(usual)] >= LEAST_AGREEMENT * torch.tensor(usual)
    spreads = torch.stack([one.spread for one in seen])[:, : len(usual)]
    spread = spreads.where(good[..., None], torch.nan).flatten(0, 1).nanmean(0)
    model.typical_spread = torch.where(spread.isnan(), model.typical_spread, spread)


def _median(values: Sequence[torch.Tensor] | torch.Tensor) -> float:
    """Median of the values that are known; 0 without any."""
    known = [value for value in map(float, values) if not math.isnan(value)]
    return float(np.median(known)) if known else 0.0


class _Alignments:
    """Alignments of atlases with volumes, kept in a checkpoint, until cancelled or out of time.

    Parameters
    ----------
    task : TrainingTask
    monitor : TrainingMonitor
    most_atlases : int
        k of each `_Observation`.

    Attributes
    ----------
    seen : dict of int to _Observation
        By number of the volume.
    """

    def __init__(self, task: TrainingTask, monitor: TrainingMonitor, most_atlases: int) -> None:
        self._task, self._monitor, self._most = task, monitor, most_atlases
        self._started = time.monotonic()
        self._path = task.folder / _CHECKPOINT
        self._kept: dict[int, _Observation] = {}
        if task.resume and self._path.exists():
            self._kept = _load(self._path, most_atlases, len(task.study.schema))
        self._templates = {template.index: template for template in task.templates}
        total = min(_MOST_VOLUMES, len(task.cohort) - len(task.templates)) + len(task.templates) - 1
        self._total = max(total, 1)
        self.seen: dict[int, _Observation] = {}

    def observe(self, model: VolumeModel, numbers: Sequence[int]) -> list[_Observation]:
        """Align the atlases of a model with volumes; time limits those that are no templates."""
        minutes = self._task.options.minutes or self._task.options.limit_minutes
        reached = []
        for number in numbers:
            spent = time.monotonic() - self._started
            late = minutes is not None and spent > 60 * _SHARE * minutes
            if self._monitor.cancelled or (late and number not in self._templates):
                break
            if number not in self._kept:
                self._kept[number] = self._aligned(model, number)
                _save(self._path, list(self._kept.values()))
            self.seen[number] = self._kept[number]
            reached.append(self._kept[number])
            if self._monitor.progress:
                share = min(len(self.seen) / self._total, 1.0)
                left = (time.monotonic() - self._started) * (1 - share) / share
                self._monitor.progress(ProgressEvent("aligning volumes", share, left))
        return reached

    def _aligned(self, model: VolumeModel, number: int) -> _Observation:
        target, _, finer = model.prepare(self._task.cohort.read(number))
        alignments = [align(template.atlas, target, finer=finer) for template in model.templates]
        first, own = alignments[0], model.templates[0].atlas
        agreement = torch.full((self._most,), torch.nan)
        spread = torch.full((self._most, len(own.landmarks)), torch.nan)
        for row, one in enumerate(alignments):
            agreement[row], spread[row] = one.agreement, one.spread
        annotated = torch.full_like(own.landmarks, torch.nan)
        template = self._templates.get(number)
        if template is not None:
            annotated = first.to_atlas(own, _positions(self._task, template, target.cell))
        return _Observation(number, agreement, spread, annotated, first.matrix, first.shift)


def _on_cells(
    image: MedicalImage, cell: float, cells: Sequence[float]
) -> tuple[Pyramid, tuple[FineGrid, ...]]:
    """A volume with the grey values that the model's file keeps, and on finer cells.

    So the atlas in memory is the one in the file.
    """
    transform = isotropic_transform(image.geometry, cell)
    array = resample(image, transform)
    finer = fine_grids(image, transform, cell=cell, cells=cells)
    return Pyramid(np.round(array * GREY_LEVELS) / GREY_LEVELS, cell), finer


def _positions(task: TrainingTask, template: Template, cell: float) -> torch.Tensor:
    """(n, 3) annotated positions in the lengths of an atlas with cells of a length, NaN where unknown."""
    native = task.cohort.canvas_transform(template.index).to_native(template.positions)
    transform = isotropic_transform(task.cohort.geometry(template.index), cell)
    return torch.from_numpy(transform.to_working(native) * cell).float()


def _save(path: Path, seen: Sequence[_Observation]) -> None:
    tensors = {name: torch.stack([torch.as_tensor(getattr(one, name)) for one in seen]) for name in _NAMES}
    save_tensors(path, tensors)


def _load(path: Path, atlases: int, landmarks: int) -> dict[int, _Observation]:
    """Observations of an interrupted training by number of the volume; none where they are of other landmarks."""
    tensors, _ = load_tensors(path)
    if tensors.keys() != set(_NAMES) or tensors["spread"].shape[1:] != (atlases, landmarks):
        return {}
    rows = zip(*(tensors[name] for name in _NAMES), strict=True)
    return {int(number): _Observation(int(number), *values) for number, *values in rows}
