"""Landmark models of volumes on disk: the atlas as safetensors, a JSON sidecar that describes it."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.detection.model.volume_model import VolumeModel
from napari_landmark.detection.volumes.atlas import Atlas
from napari_landmark.detection.volumes.pyramid import Pyramid
from napari_landmark.learning.checkpoint import load_tensors, save_tensors
from napari_landmark.learning.device import Device, choose_device
from napari_landmark.learning.model_files import ModelFormat, parse_canvas, sidecar_errors

VOLUME_FORMAT = ModelFormat("napari-landmark volume model", "landmark model", 1, (1,))
_LEVELS = 65_535  # grey values of the stored atlas
_LARGEST_SIDE = 4096  # cells of an atlas


def save_volume_model(model: VolumeModel, folder: Path) -> None:
    """Write a model as safetensors with JSON beside; `model.json` comes last and makes it complete."""
    VOLUME_FORMAT.invalidate(folder)
    atlas = model.atlas
    grey = (atlas.volume.level(1)[0, 0] * _LEVELS).round().to(torch.uint16)
    tensors = {"volume": grey, "landmarks": atlas.landmarks, "spread": model.typical_spread}
    save_tensors(folder / "atlas.safetensors", tensors)
    VOLUME_FORMAT.write(
        folder,
        {
            "schema": model.schema.to_json(),
            "canvas": list(model.canvas),
            "cell": atlas.volume.cell,
            "has_spacing": model.has_spacing,
            "typical_agreement": model.typical_agreement,
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
        cell, agreement = (_number(sidecar[name]) for name in ("cell", "typical_agreement"))
        record = sidecar.get("training", {})
        if not isinstance(record, dict) or not isinstance(sidecar["has_spacing"], bool):
            raise TypeError("'training' is no object, or 'has_spacing' neither true nor false")
        if len(canvas) != 3 or cell == 0:
            raise ValueError(f"a canvas {list(canvas)} of cells of {cell}")
    path = folder / "atlas.safetensors"
    tensors, _ = load_tensors(path)
    volume, landmarks, spread = (
        tensors.get(name, torch.empty(0)) for name in ("volume", "landmarks", "spread")
    )
    fits = volume.ndim == 3 and volume.dtype == torch.uint16 and 0 < max(volume.shape) <= _LARGEST_SIDE
    fits = fits and landmarks.shape == (len(schema), 3) and spread.shape == (len(schema),)
    if not fits or bool(landmarks.isnan().all()):
        raise InputError(f"{path}: does not fit the model its sidecar describes; train again or restore it")
    atlas = Atlas.from_annotation(Pyramid((volume.float() / _LEVELS).numpy(), cell), landmarks.float())
    return VolumeModel(
        schema,
        canvas,
        atlas,
        has_spacing=sidecar["has_spacing"],
        typical_agreement=agreement,
        typical_spread=spread.float(),
        device=device or choose_device("auto"),
        record=record,
    )


def _number(value: object) -> float:
    """A finite number of 0 or more of a sidecar; TypeError or ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r:.40} is no number")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"a number {value!r:.40}")
    return float(value)
