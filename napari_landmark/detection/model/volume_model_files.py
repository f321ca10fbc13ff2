"""Landmark models of volumes on disk: the atlases as safetensors, a JSON sidecar that describes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.detection.model.volume_model import TemplateAtlas, VolumeModel
from napari_landmark.detection.volumes.atlas import Atlas
from napari_landmark.detection.volumes.fine_surroundings import RADIUS, FineSurroundings
from napari_landmark.detection.volumes.pyramid import GREY_LEVELS, Pyramid
from napari_landmark.learning.checkpoint import load_tensors, save_tensors
from napari_landmark.learning.device import Device, choose_device
from napari_landmark.learning.model_files import ModelFormat, parse_canvas, sidecar_errors

VOLUME_FORMAT = ModelFormat("napari-landmark volume model", "landmark model", 2, (2,))
_LARGEST_SIDE = 4096  # cells of an atlas
_MOST_TEMPLATES = 100
_FILE = "atlases.safetensors"
_PARTS = ("volume", "landmarks", "matrix", "shift")


def save_volume_model(model: VolumeModel, folder: Path) -> None:
    """Write a model as safetensors with JSON beside; `model.json` comes last and makes it complete."""
    VOLUME_FORMAT.invalidate(folder)
    tensors = {"spread": model.typical_spread}
    for number, template in enumerate(model.templates):
        grey = (template.atlas.volume.level(1)[0, 0] * GREY_LEVELS).round().to(torch.uint16)
        parts = (grey, template.atlas.landmarks, template.matrix, template.shift)
        tensors |= {f"{number}.{name}": part for name, part in zip(_PARTS, parts, strict=True)}
        for level, fine in enumerate(template.atlas.finer):
            tensors |= {
                f"{number}.finer.{level}.cubes": fine.cubes,
                f"{number}.finer.{level}.centres": fine.centres,
            }
    save_tensors(folder / _FILE, tensors)
    VOLUME_FORMAT.write(
        folder,
        {
            "schema": model.schema.to_json(),
            "canvas": list(model.canvas),
            "cell": model.templates[0].atlas.volume.cell,
            "finer_cells": [[fine.cell for fine in template.atlas.finer] for template in model.templates],
            "has_spacing": model.has_spacing,
            "typical_agreements": [template.typical_agreement for template in model.templates],
            "training": model.record,
        },
    )


def read_volume_model(folder: Path, *, device: Device | None = None) -> VolumeModel:
    """Read a model that `save_volume_model` wrote.

    Raises
    ------
    InputError
        A file is missing or damaged, or was written by a version that cannot be read.
    """
    sidecar = VOLUME_FORMAT.read(folder)
    with sidecar_errors(folder):
        schema = LandmarkSchema.from_json(sidecar["schema"])
        canvas = parse_canvas(sidecar["canvas"])
        cell = _number(sidecar["cell"])
        agreements = [_number(value) for value in _list(sidecar["typical_agreements"])]
        # Earlier models have none.
        cells = [[_number(value) for value in _list(one)] for one in _list(sidecar.get("finer_cells", []))]
        cells = cells or [[] for _ in agreements]
        record = sidecar.get("training", {})
        if not isinstance(record, dict) or not isinstance(sidecar["has_spacing"], bool):
            raise TypeError("'training' is no object, or 'has_spacing' neither true nor false")
        if not 0 < len(agreements) <= _MOST_TEMPLATES:
            raise ValueError(f"{len(agreements)} atlases")
        if len(canvas) != 3 or cell == 0:
            raise ValueError(f"a canvas {list(canvas)} of cells of {cell}")
        if len(cells) != len(agreements) or not all(0 < one < cell for own in cells for one in own):
            raise ValueError(f"finer cells {cells} of {len(agreements)} atlases")
    path = folder / _FILE
    tensors, _ = load_tensors(path)
    spread = tensors.get("spread", torch.empty(0))
    stored = [
        [tensors.get(f"{number}.{name}", torch.empty(0)) for name in _PARTS]
        for number in range(len(agreements))
    ]
    fits = spread.shape == (len(schema),) and all(_fits(parts, len(schema)) for parts in stored)
    finer = [_finer(tensors, number, own) for number, own in enumerate(cells)]
    fits = fits and all(
        _surrounds(fine, parts[1]) for own, parts in zip(finer, stored, strict=True) for fine in own
    )
    if not fits:
        raise InputError(f"{path}: does not fit the model its sidecar describes; train again or restore it")
    templates = [
        TemplateAtlas(
            replace(
                Atlas.from_annotation(
                    Pyramid((volume.float() / GREY_LEVELS).numpy(), cell), landmarks.float()
                ),
                finer=own,
            ),
            agreement,
            matrix.float(),
            shift.float(),
        )
        for (volume, landmarks, matrix, shift), agreement, own in zip(stored, agreements, finer, strict=True)
    ]
    return VolumeModel(
        schema,
        canvas,
        templates,
        has_spacing=sidecar["has_spacing"],
        typical_spread=spread.float(),
        device=device or choose_device("auto"),
        record=record,
    )


def _fits(parts: Sequence[torch.Tensor], count: int) -> bool:
    """Whether the tensors of an atlas are those of a schema with so many landmarks."""
    volume, landmarks, matrix, shift = parts
    return (
        volume.ndim == 3
        and volume.dtype == torch.uint16
        and 0 < min(volume.shape) <= max(volume.shape) <= _LARGEST_SIDE
        and landmarks.shape == (count, 3)
        and not bool(landmarks.isnan().all())
        and matrix.shape == (3, 3)
        and shift.shape == (3,)
        and bool(torch.cat([matrix.flatten(), shift]).isfinite().all())
    )


def _finer(
    tensors: Mapping[str, torch.Tensor], number: int, cells: Sequence[float]
) -> tuple[FineSurroundings, ...]:
    """Surroundings of an atlas' landmarks; empty tensors where there are none."""
    return tuple(
        FineSurroundings(
            cell,
            tensors.get(f"{number}.finer.{level}.cubes", torch.empty(0)),
            tensors.get(f"{number}.finer.{level}.centres", torch.empty(0)).float(),
        )
        for level, cell in enumerate(cells)
    )


def _surrounds(fine: FineSurroundings, landmarks: torch.Tensor) -> bool:
    """Whether there are cubes around the known ones of some landmarks."""
    known = landmarks[~landmarks.isnan().any(1)]
    side = 2 * RADIUS + 1
    return (
        fine.cubes.shape == (len(known), side, side, side)
        and fine.cubes.dtype == torch.uint16
        and fine.centres.shape == known.shape
        and bool(((fine.centres - known).abs() <= fine.cell).all())
    )


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.40} is no list")
    return value


def _number(value: object) -> float:
    """A finite number of 0 or more of a sidecar; TypeError or ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r:.40} is no number")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"a number {value!r:.40}")
    return float(value)
