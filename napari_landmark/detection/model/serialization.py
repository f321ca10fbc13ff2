"""A model on disk: safetensors with JSON beside them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.files.small_file import read_small_text
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.detection.detector.detector import DetectorConfig, DetectorNetwork
from napari_landmark.detection.embedding.embedding import Embedding, EmbeddingConfig
from napari_landmark.detection.embedding.template_matching import Descriptors
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.detection.refinement.local_refinement import (
    LocalRefiner,
    PatchDescriptors,
    central_map_sizes,
    neighbour_offsets,
)
from napari_landmark.detection.refinement.patch_embedding import PatchEmbedding, PatchEmbeddingConfig
from napari_landmark.learning.checkpoint import load_tensors, load_weights, save_tensors
from napari_landmark.learning.device import Device, choose_device
from napari_landmark.learning.unet import COARSEST_STRIDE

FORMAT_VERSION = 3
_READABLE = (1, 2, FORMAT_VERSION)  # version 1 had no close-up; that of version 2 knew the landmark alone

Config = EmbeddingConfig | PatchEmbeddingConfig | DetectorConfig


def save_model(model: LandmarkModel, folder: Path) -> None:
    """Write a model as safetensors with JSON beside; `model.json` comes last and makes it complete."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.json").unlink(missing_ok=True)  # an earlier one would describe a mixture
    save_tensors(folder / "embedding.safetensors", model.embedding.state_dict())
    found = model.descriptors
    save_tensors(
        folder / "templates.safetensors", _named(found.vectors, found.maps, positions=found.positions)
    )
    if model.look is not None:
        close = model.look.descriptors
        save_tensors(folder / "close_up.safetensors", model.look.network.state_dict())
        save_tensors(
            folder / "close_templates.safetensors",
            _named(close.vectors, close.maps, offsets=close.offsets),
        )
    if model.detector is not None:
        save_tensors(folder / "detector.safetensors", model.detector.state_dict())
    sidecar = {
        "format": "napari-landmark model",
        "version": FORMAT_VERSION,
        "schema": model.schema.to_json(),
        "canvas": list(model.canvas),
        "embedding": model.embedding.config.to_json(),
        "close_up": model.look.network.config.to_json() if model.look is not None else None,
        "typical_support": _listed(model.look.typical) if model.look is not None else None,
        "detector": model.detector.config.to_json() if model.detector is not None else None,
        "training": model.record,
    }
    atomic_write(folder / "model.json", json.dumps(sidecar, indent=1) + "\n")


def read_model(folder: Path, *, device: Device | None = None) -> LandmarkModel:
    """Read a model that `save_model` wrote.

    Raises
    ------
    InputError
        A file is missing or damaged, or was written by a newer version.
    """
    device = device or choose_device("auto")
    sidecar = _read_sidecar(folder / "model.json")
    try:
        schema = LandmarkSchema.from_json(sidecar["schema"])
        canvas = tuple(int(n) for n in sidecar["canvas"])
        embedding_config = _config(EmbeddingConfig, sidecar["embedding"])
        close_config = _optional(PatchEmbeddingConfig, sidecar.get("close_up"))
        detector_config = _optional(DetectorConfig, sidecar["detector"])
        typical = _support(sidecar.get("typical_support"), len(schema))
        record = sidecar.get("training", {})
        if not isinstance(record, dict):
            raise TypeError("'training' is no object")
        _check_agreement(schema, canvas, embedding_config, close_config, detector_config)
        shapes = [
            _described(kind, config)
            for kind, config in (
                (Embedding, embedding_config),
                (PatchEmbedding, close_config),
                (DetectorNetwork, detector_config),
            )
        ]
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError) as error:
        raise InputError(f"{folder / 'model.json'}: is not a complete model description ({error})") from error
    embedding = _network(Embedding, embedding_config, shapes[0], folder / "embedding.safetensors", device)
    look = detector = None
    if close_config is not None:
        close_up = _network(PatchEmbedding, close_config, shapes[1], folder / "close_up.safetensors", device)
        found = _load_close_descriptors(
            folder / "close_templates.safetensors", close_up, schema, len(canvas), device
        )
        look = LocalRefiner(close_up.eval(), found, typical)
    if detector_config is not None:
        detector = _network(
            DetectorNetwork, detector_config, shapes[2], folder / "detector.safetensors", device
        )
    path = folder / "templates.safetensors"
    found = _load_descriptors(path, embedding, schema, len(canvas), device)
    return LandmarkModel(schema, canvas, embedding, found, detector, look=look, device=device, record=record)


def _named(
    vectors: list[torch.Tensor], maps: list[torch.Tensor], **places: torch.Tensor
) -> dict[str, torch.Tensor]:
    tensors = dict(places)
    for level, (vector, values) in enumerate(zip(vectors, maps, strict=True)):
        tensors[f"vectors.{level}"], tensors[f"maps.{level}"] = vector, values
    return tensors


def _described(kind: type, config: Config | None) -> dict[str, torch.Size]:
    """Shapes of the weights of a network, which is not built for it."""
    if config is None:
        return {}
    with torch.device("meta"):
        return {name: value.shape for name, value in kind(config).state_dict().items()}


def _network(
    kind: type,
    config: Config,
    described: dict[str, torch.Size],
    path: Path,
    device: Device,
) -> torch.nn.Module:
    """A network with the weights of a file.

    What the sidecar describes is compared with the file before it is built: a wrong number in it would
    otherwise ask for any amount of memory.
    """
    tensors, _ = load_tensors(path)
    for name in sorted(described.keys() | tensors.keys()):
        if described.get(name) != (tensors[name].shape if name in tensors else None):
            raise InputError(
                f"{path}: its weights do not fit the network its sidecar describes ({name}): "
                "train again or restore both files"
            )
    network = kind(config)
    load_weights(network, tensors, path=path)
    return network.to(device.torch_device)


def _check_agreement(
    schema: LandmarkSchema,
    canvas: tuple[int, ...],
    embedding: EmbeddingConfig,
    close_up: PatchEmbeddingConfig | None,
    detector: DetectorConfig | None,
) -> None:
    """Whether the parts of a sidecar are of one model; ValueError where not."""
    if len(canvas) not in (2, 3) or not all(0 < side <= 16_384 for side in canvas):
        raise ValueError(f"a canvas of {canvas}")
    configs = [config for config in (embedding, close_up, detector) if config is not None]
    if any(config.spatial_dims != len(canvas) for config in configs):
        raise ValueError("networks of other axes than the canvas")
    if close_up is not None:
        window = close_up.window
        if not (isinstance(window, int) and 0 < window <= min(canvas) and window % COARSEST_STRIDE == 0):
            raise ValueError(f"windows of {window} pixels on a canvas of {canvas}")
    for config in (embedding, detector):
        if config is not None and any(canvas_side % config.downsampling for canvas_side in canvas):
            raise ValueError(f"a canvas of {canvas} shrunk {config.downsampling} times")
    if detector is not None and detector.landmarks != len(schema):
        raise ValueError(f"{detector.landmarks} landmarks in the detector, {len(schema)} names")


def _load_descriptors(
    path: Path, network: Embedding, schema: LandmarkSchema, dims: int, device: Device
) -> Descriptors:
    """What an embedding says of the templates."""
    vectors, maps, (positions,) = _load_described(path, network, device, "positions")
    owner = (len(positions), len(schema), network.config.size)
    fits = positions.shape == (*owner[:2], dims) and len(positions) > 0
    fits = fits and all(v.shape == owner for v in vectors)
    each = (owner[0], owner[2])
    _check_fit(path, fits and all(m.ndim == 2 + dims and m.shape[:2] == each for m in maps))
    return Descriptors(vectors, maps, positions)


def _load_close_descriptors(
    path: Path, network: PatchEmbedding, schema: LandmarkSchema, dims: int, device: Device
) -> PatchDescriptors:
    """What a close-up says of the templates: each landmark has maps of its own."""
    vectors, maps, (offsets,) = _load_described(path, network, device, "offsets")
    around = device.to(neighbour_offsets(network.config))
    owner = (len(offsets), len(schema), network.config.size)
    fits = offsets.shape == (*owner[:2], dims) and len(offsets) > 0
    fits = fits and all(v.shape == (*owner[:2], len(around), owner[2]) for v in vectors)
    cells = central_map_sizes(network.config)
    _check_fit(path, fits and all(m.shape == (*owner, *[n] * dims) for m, n in zip(maps, cells, strict=True)))
    return PatchDescriptors(vectors, maps, offsets, around)


def _load_described(
    path: Path, network: Embedding | PatchEmbedding, device: Device, *places: str
) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
    tensors, _ = load_tensors(path)
    tensors = {name: device.to(value) for name, value in tensors.items()}
    levels = range(len(network.strides))
    try:
        vectors, maps = ([tensors[f"{kind}.{level}"] for level in levels] for kind in ("vectors", "maps"))
        return vectors, maps, [tensors[name] for name in places]
    except KeyError as error:
        raise InputError(f"{path}: lacks {error}; train again or restore it") from error


def _check_fit(path: Path, fits: bool) -> None:
    if not fits:
        raise InputError(f"{path}: does not fit the model its sidecar describes; train again or restore it")


def _read_sidecar(path: Path) -> dict:
    try:
        sidecar = json.loads(read_small_text(path))
    except FileNotFoundError as error:
        raise InputError(
            f"{path.parent}: holds no trained model (model.json is missing): train first"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(sidecar, dict) or sidecar.get("format") != "napari-landmark model":
        raise InputError(f"{path}: is not a napari-landmark model")
    old_close_up = sidecar.get("version") == 2 and sidecar.get("close_up") is not None
    if sidecar.get("version") not in _READABLE or old_close_up:
        raise InputError(f"{path}: was written by another version of napari-landmark; update, or train again")
    return sidecar


def _config(kind: type, values: dict) -> Config:
    if "shrink" in values:  # its name up to version 3
        values = {**values, "downsampling": values["shrink"]}
        del values["shrink"]
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def _optional(kind: type, values: dict | None) -> Config | None:
    return None if values is None else _config(kind, values)


def _listed(values: np.ndarray | None) -> list[float] | None:
    return None if values is None else [round(float(value), 4) for value in values]


def _support(values: list[float] | None, count: int) -> np.ndarray | None:
    """Typical support of a sidecar; ValueError where it cannot be."""
    if values is None:
        return None
    support = np.array(values, float)
    if support.shape != (count,) or not ((support >= 0) & (support <= 1)).all():
        raise ValueError(f"typical support {values}")
    return support
