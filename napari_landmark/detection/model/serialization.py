"""Landmark models on disk: weights and template descriptors as safetensors, a JSON sidecar that describes them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.detection.detector.detector import DetectorConfig, DetectorNetwork
from napari_landmark.detection.detector.patch_detector import PatchDetector
from napari_landmark.detection.embedding.embedding import Embedding, EmbeddingConfig
from napari_landmark.detection.embedding.template_matching import Descriptors
from napari_landmark.detection.model.judgement import UsualErrors
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.detection.model.stated_errors import StatedErrors
from napari_landmark.detection.pose.options import PoseOptions
from napari_landmark.detection.pose.pose_file import POSES, read_poses, write_poses
from napari_landmark.detection.refinement.local_refinement import (
    LocalRefiner,
    PatchDescriptors,
    central_map_sizes,
    neighbour_offsets,
)
from napari_landmark.detection.refinement.native_refinement import LARGEST_ZOOM, LEAST_ZOOM, NativeRefiner
from napari_landmark.detection.refinement.patch_embedding import PatchEmbedding, PatchEmbeddingConfig
from napari_landmark.learning.checkpoint import load_tensors, save_tensors
from napari_landmark.learning.device import Device, choose_device
from napari_landmark.learning.model_files import (
    ModelFormat,
    NetworkDescription,
    check_divisible,
    parse_canvas,
    parse_config,
    sidecar_errors,
)
from napari_landmark.learning.unet import COARSEST_STRIDE

# Version 1 had no patch embedding, that of version 2 described the landmark alone without the points around it, and up
# to version 3 the downsampling factor was called "shrink". Up to version 4 there was no patch detector.
FORMAT_VERSION = 5
_FORMAT = ModelFormat("napari-landmark model", "landmark model", FORMAT_VERSION, (1, 2, 3, 4, FORMAT_VERSION))


def save_model(model: LandmarkModel, folder: Path) -> None:
    """Write a model as safetensors with JSON beside; `model.json` comes last and makes it complete."""
    _FORMAT.invalidate(folder)
    save_tensors(folder / "embedding.safetensors", model.embedding.state_dict())
    templates = model.descriptors
    save_tensors(
        folder / "templates.safetensors",
        _by_name(templates.vectors, templates.maps, positions=templates.positions),
    )
    refiner, detector = model.refiner, model.detector
    if refiner is not None:
        patches = refiner.descriptors
        save_tensors(folder / "close_up.safetensors", refiner.network.state_dict())
        save_tensors(
            folder / "close_templates.safetensors",
            _by_name(patches.vectors, patches.maps, offsets=patches.offsets),
        )
    native = model.native_refiner
    if native is not None:
        patches = native.refiner.descriptors
        save_tensors(
            folder / "native_templates.safetensors",
            _by_name(patches.vectors, patches.maps, offsets=patches.offsets),
        )
    if detector is not None:
        save_tensors(folder / "detector.safetensors", detector.state_dict())
    local = model.patch_detector
    if local is not None:
        save_tensors(folder / "patch_detector.safetensors", local.network.state_dict())
    write_poses(folder / POSES, model.poses)
    _FORMAT.write(
        folder,
        {
            "schema": model.schema.to_json(),
            "canvas": list(model.canvas),
            "embedding": model.embedding.config.to_json(),
            "close_up": refiner.network.config.to_json() if refiner is not None else None,
            "typical_support": _rounded(refiner.typical) if refiner is not None else None,
            "native_zoom": native.zoom if native is not None else None,
            "detector": detector.config.to_json() if detector is not None else None,
            "patch_detector": None
            if local is None
            else {
                "network": local.network.config.to_json(),
                "window": local.window,
                "is_alone": local.is_alone,
            },
            **({} if model.pose_options is None else {"pose": model.pose_options.to_json()}),
            **({} if model.stated_errors is None else {"stated_errors": model.stated_errors.to_json()}),
            "usual_errors": None if model.usual_errors is None else model.usual_errors.to_json(),
            "training": model.record,
        },
    )


def read_model(folder: Path, *, device: Device | None = None) -> LandmarkModel:
    """Read a model that `save_model` wrote, now or in an earlier version.

    Raises
    ------
    InputError
        A file is missing or damaged, or was written by a version that cannot be read.
    """
    device = device or choose_device("auto")
    sidecar = _FORMAT.read(folder)
    if sidecar["version"] == 2 and sidecar.get("close_up") is not None:
        raise _FORMAT.version_error(folder)
    with sidecar_errors(folder):
        schema = LandmarkSchema.from_json(sidecar["schema"])
        canvas = parse_canvas(sidecar["canvas"])
        embedding_config = parse_config(EmbeddingConfig, _current(sidecar["embedding"]))
        patch_config = detector_config = None
        if sidecar.get("close_up") is not None:
            patch_config = parse_config(PatchEmbeddingConfig, sidecar["close_up"])
        if sidecar["detector"] is not None:
            detector_config = parse_config(DetectorConfig, _current(sidecar["detector"]))
        typical = _parse_typical(sidecar.get("typical_support"), len(schema))
        local_config, window, is_alone = _parse_patch_detector(sidecar.get("patch_detector"))
        zoom = _parse_zoom(sidecar.get("native_zoom"))
        pose_options = PoseOptions.from_json(sidecar["pose"]) if "pose" in sidecar else None
        usual = sidecar.get("usual_errors")
        usual_errors = None if usual is None else UsualErrors.from_json(usual, len(schema))
        stated = sidecar.get("stated_errors")
        stated_errors = None if stated is None else StatedErrors.from_json(stated, len(schema), len(canvas))
        record = sidecar.get("training", {})
        if not isinstance(record, dict):
            raise TypeError("'training' is no object")
        _check_agreement(schema, canvas, embedding_config, patch_config, detector_config)
        _check_patch_detector(schema, canvas, local_config, window)
        described = NetworkDescription.of(partial(Embedding, embedding_config))
        described_patches = described_detector = described_local = None
        if patch_config is not None:
            described_patches = NetworkDescription.of(partial(PatchEmbedding, patch_config))
        if detector_config is not None:
            described_detector = NetworkDescription.of(partial(DetectorNetwork, detector_config))
        if local_config is not None:
            described_local = NetworkDescription.of(partial(DetectorNetwork, local_config))
    embedding = described.read(folder / "embedding.safetensors", device)
    templates = _read_descriptors(folder / "templates.safetensors", embedding, schema, len(canvas), device)
    refiner = native = detector = local = None
    if described_patches is not None:
        network = described_patches.read(folder / "close_up.safetensors", device)
        path = folder / "close_templates.safetensors"
        patches = _read_patch_descriptors(path, network, schema, len(canvas), device)
        refiner = LocalRefiner(network, patches, typical)
        if zoom is not None:
            path = folder / "native_templates.safetensors"
            patches = _read_patch_descriptors(path, network, schema, len(canvas), device)
            native = NativeRefiner(LocalRefiner(network, patches), zoom)
    if described_detector is not None:
        detector = described_detector.read(folder / "detector.safetensors", device)
    if described_local is not None:
        local_network = described_local.read(folder / "patch_detector.safetensors", device)
        local = PatchDetector(local_network, window, is_alone)
    return LandmarkModel(
        schema,
        canvas,
        embedding,
        templates,
        detector,
        refiner=refiner,
        native_refiner=native,
        patch_detector=local,
        device=device,
        pose_options=pose_options,
        poses=read_poses(folder / POSES, len(canvas)),
        record=record,
        usual_errors=usual_errors,
        stated_errors=stated_errors,
    )


def _current(config: Any) -> Any:
    """The object of a configuration with the names of entries that this version uses."""
    if not isinstance(config, dict) or "shrink" not in config:
        return config
    return {"downsampling" if name == "shrink" else name: value for name, value in config.items()}


def _by_name(
    vectors: list[torch.Tensor], maps: list[torch.Tensor], **positions: torch.Tensor
) -> dict[str, torch.Tensor]:
    tensors = dict(positions)
    for level, (vector, values) in enumerate(zip(vectors, maps, strict=True)):
        tensors[f"vectors.{level}"], tensors[f"maps.{level}"] = vector, values
    return tensors


def _check_agreement(
    schema: LandmarkSchema,
    canvas: tuple[int, ...],
    embedding: EmbeddingConfig,
    patches: PatchEmbeddingConfig | None,
    detector: DetectorConfig | None,
) -> None:
    """Refuse parts of a sidecar that are not of one model (ValueError)."""
    configs = [config for config in (embedding, patches, detector) if config is not None]
    if any(config.spatial_dims != len(canvas) for config in configs):
        raise ValueError(f"networks of another number of axes than the canvas {list(canvas)}")
    if patches is not None:
        window = patches.window
        if not (0 < window <= min(canvas) and window % COARSEST_STRIDE == 0):
            raise ValueError(f"patches of {window} pixels on a canvas {list(canvas)}")
    for config in (embedding, detector):
        if config is not None:
            check_divisible(canvas, config.downsampling * COARSEST_STRIDE)
    if detector is not None:
        if detector.landmarks != len(schema):
            raise ValueError(f"{detector.landmarks} landmarks in the detector, {len(schema)} names")
        if not (detector.sigma > 0 and detector.radius > 0):
            raise ValueError("a detector with heatmaps or offset discs of no size")


def _parse_patch_detector(values: Any) -> tuple[DetectorConfig | None, int, bool]:
    """Architecture, window and whether it is alone of a patch detector; TypeError or ValueError for anything else."""
    if values is None:
        return None, 0, False
    window, is_alone = values["window"], values["is_alone"]
    if isinstance(window, bool) or not isinstance(window, int) or not isinstance(is_alone, bool):
        raise TypeError(f"a window of {window!r:.40}, alone: {is_alone!r:.40}")
    return parse_config(DetectorConfig, values["network"]), window, is_alone


def _check_patch_detector(
    schema: LandmarkSchema, canvas: tuple[int, ...], config: DetectorConfig | None, window: int
) -> None:
    """Refuse a patch detector of other landmarks, or with windows that its network or the canvas cannot have."""
    if config is None:
        return
    if config.spatial_dims != len(canvas) or config.landmarks != len(schema) or config.downsampling != 1:
        raise ValueError("a patch detector of other landmarks or axes")
    if not (0 < window <= min(canvas) and window % COARSEST_STRIDE == 0):
        raise ValueError(f"patches of {window} pixels on a canvas {list(canvas)}")
    if not (config.sigma > 0 and config.radius > 0):
        raise ValueError("a patch detector with heatmaps or offset discs of no size")


def _read_descriptors(
    path: Path, network: Embedding, schema: LandmarkSchema, dims: int, device: Device
) -> Descriptors:
    """Read the templates' descriptors of an embedding; InputError where they do not fit it."""
    vectors, maps, positions = _read_levels(path, network, device, "positions")
    owner = (len(positions), len(schema), network.config.size)
    fits = positions.shape == (*owner[:2], dims) and len(positions) > 0
    fits = fits and all(v.shape == owner for v in vectors)
    each = (owner[0], owner[2])
    _check_fit(path, fits and all(m.ndim == 2 + dims and m.shape[:2] == each for m in maps))
    return Descriptors(vectors, maps, positions)


def _read_patch_descriptors(
    path: Path, network: PatchEmbedding, schema: LandmarkSchema, dims: int, device: Device
) -> PatchDescriptors:
    """Read the templates' descriptors of a patch embedding; InputError where they do not fit it."""
    vectors, maps, offsets = _read_levels(path, network, device, "offsets")
    around = device.to(neighbour_offsets(network.config))
    owner = (len(offsets), len(schema), network.config.size)
    fits = offsets.shape == (*owner[:2], dims) and len(offsets) > 0
    fits = fits and all(v.shape == (*owner[:2], len(around), owner[2]) for v in vectors)
    cells = central_map_sizes(network.config)
    _check_fit(path, fits and all(m.shape == (*owner, *[n] * dims) for m, n in zip(maps, cells, strict=True)))
    return PatchDescriptors(vectors, maps, offsets, around)


def _read_levels(
    path: Path, network: Embedding | PatchEmbedding, device: Device, positions: str
) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
    """Vectors and maps by level, and the tensor named `positions`, of a file of descriptors."""
    tensors = {name: device.to(value) for name, value in load_tensors(path)[0].items()}
    levels = range(len(network.strides))
    try:
        vectors, maps = ([tensors[f"{kind}.{level}"] for level in levels] for kind in ("vectors", "maps"))
        return vectors, maps, tensors[positions]
    except KeyError as error:
        raise InputError(f"{path}: lacks {error}; train again or restore it") from error


def _check_fit(path: Path, fits: bool) -> None:
    if not fits:
        raise InputError(f"{path}: does not fit the model its sidecar describes; train again or restore it")


def _rounded(values: np.ndarray | None) -> list[float] | None:
    return None if values is None else [round(float(value), 4) for value in values]


def _parse_zoom(value: float | None) -> float | None:
    """Zoom of a refinement on native pixels of a sidecar; TypeError or ValueError for anything else."""
    if value is None:
        return None
    zoom = float(value)
    if not LEAST_ZOOM <= zoom <= LARGEST_ZOOM:
        raise ValueError(f"a zoom of {value!r:.40}")
    return zoom


def _parse_typical(values: list[float] | None, count: int) -> np.ndarray | None:
    """(count,) typical consensus, 0..1, of a sidecar; TypeError or ValueError for anything else."""
    if values is None:
        return None
    typical = np.array(values, float)
    if typical.shape != (count,) or not ((typical >= 0) & (typical <= 1)).all():
        raise ValueError(f"a typical consensus {values!r:.40}")
    return typical
