"""What a training leaves: everything needed to find the landmarks in a new image."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from napari_landmark.data.atomic import atomic_write
from napari_landmark.data.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.placement import Placement, fit_placement, place
from napari_landmark.data.small_file import read_small_text
from napari_landmark.learning.batches import shrink_images
from napari_landmark.learning.checkpoint import load_tensors, load_weights, save_tensors
from napari_landmark.learning.device import Device, choose_device
from napari_landmark.oneshot.detector import DetectorConfig, DetectorNetwork
from napari_landmark.oneshot.embedding import Embedding, EmbeddingConfig
from napari_landmark.oneshot.expected_error import detector_error, match_error
from napari_landmark.oneshot.pseudolabels import Descriptors, match_templates

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Detection:
    """Landmarks found in one image.

    Parameters
    ----------
    landmarks : LandmarkSet
        In native index coordinates; confidence 0..1, expected error in native pixels.
    heatmaps : (n, *shape) float32 array or None
        Per landmark, 0..1 with the peak at 1, on a grid of the working canvas.
    heatmap_matrix, heatmap_offset : (d, d) and (d,) arrays
        Native index = matrix @ heatmap index + offset.
    """

    landmarks: LandmarkSet
    heatmaps: np.ndarray | None
    heatmap_matrix: np.ndarray
    heatmap_offset: np.ndarray


class LandmarkModel:
    """An embedding with the templates' vectors and, after a complete training, a detector.

    Parameters
    ----------
    schema : LandmarkSchema
    canvas : tuple of int
        Working shape the networks were trained on.
    embedding : Embedding
    descriptors : Descriptors
        Of the templates.
    detector : DetectorNetwork or None
        Without one (training was cancelled early) positions come from the embedding alone.
    device : Device
    record : dict
        How it was trained: configuration, seed, versions, data fingerprint.
    """

    def __init__(
        self,
        schema: LandmarkSchema,
        canvas: tuple[int, ...],
        embedding: Embedding,
        descriptors: Descriptors,
        detector: DetectorNetwork | None,
        *,
        device: Device,
        record: dict | None = None,
    ) -> None:
        self.schema, self.canvas, self.device = schema, tuple(canvas), device
        self.embedding, self.descriptors, self.detector = embedding.eval(), descriptors, detector
        self.record = record or {}
        if detector is not None:
            detector.eval()

    def detect(self, image: MedicalImage, *, heatmaps: bool = False) -> Detection:
        """Find the landmarks in an image of any size and spacing.

        Raises
        ------
        InputError
            The image has another number of dimensions than the cohort.
        """
        if image.geometry.ndim != len(self.canvas):
            kind = {2: "2-D images", 3: "volumes"}[len(self.canvas)]
            raise InputError(
                f"{image.name}: has {image.geometry.ndim} dimensions, the model was trained on {kind}"
            )
        placement = fit_placement(image.geometry, self.canvas)
        return self.detect_working(place(image, placement), placement, heatmaps=heatmaps)

    def detect_in_cohort(self, cohort: Cohort, number: int, *, heatmaps: bool = False) -> Detection:
        """Find the landmarks in an image of a cohort, on the canvas that the model was trained on.

        A cohort that is drawn at another size, or whose median proportions changed, is read from its files.
        """
        if tuple(cohort.canvas) != self.canvas:
            return self.detect(cohort.read(number), heatmaps=heatmaps)
        return self.detect_working(cohort.working(number), cohort.placement(number), heatmaps=heatmaps)

    def detect_working(
        self, canvas: np.ndarray, placement: Placement, *, heatmaps: bool = False
    ) -> Detection:
        """Find the landmarks in an image that lies on the working canvas already."""
        pixels = self.device.to(torch.from_numpy(np.ascontiguousarray(canvas))[None, None])
        shrink = self.embedding.config.shrink
        maps = self.embedding.embed(shrink_images(pixels, shrink), self.device)
        matched, similarity, cycle, heat = match_templates(
            self.embedding, self.descriptors, maps, keep_heatmaps=heatmaps and self.detector is None
        )
        stride = self.embedding.canvas_strides[-1]
        if self.detector is None:
            positions, confidence = matched, similarity
            error = match_error(similarity=similarity, cycle=cycle, canvas=self.canvas)
        else:
            config = self.detector.config
            votes = self.detector.vote(shrink_images(pixels, config.shrink), self.device)
            positions, confidence = votes.positions[0].cpu().numpy(), votes.confidence[0].cpu().numpy()
            disagreement = np.linalg.norm(positions - matched, axis=-1)
            error = detector_error(
                spread=votes.spread[0].cpu().numpy(),
                sigma=config.sigma * config.shrink,
                disagreement=disagreement,
                canvas=self.canvas,
            )
            heat, stride = votes.heatmaps[0], config.shrink * config.finest_stride
        unknown = self.descriptors.positions[..., 0].isnan().all(0).cpu().numpy()
        positions = np.where(unknown[:, None], np.nan, positions)  # no template shows where these are
        landmarks = LandmarkSet.from_array(
            self.schema,
            placement.to_native(positions),
            status=Status.PREDICTED,
            confidence=np.clip(confidence, 0, 1),
            expected_error=error * placement.scale,
        )
        picture = None
        if heatmaps:
            heat = heat.clone()
            heat[torch.from_numpy(unknown)] = 0
            peak = heat.flatten(1).amax(1).clamp(min=1e-9)
            picture = (heat / peak.view(-1, *[1] * (heat.ndim - 1))).float().cpu().numpy()
        return Detection(
            landmarks,
            picture,
            placement.matrix * stride,
            placement.matrix @ np.full(len(self.canvas), (stride - 1) / 2) + placement.offset,
        )

    def digest(self) -> str:
        """SHA-256 over the weights, the templates and the names: the same for a model that finds the same."""
        total = hashlib.sha256(json.dumps([self.schema.names, self.canvas]).encode())
        parts = [self.embedding.state_dict(), {} if self.detector is None else self.detector.state_dict()]
        parts.append({"positions": self.descriptors.positions})
        parts.append({f"vectors.{k}": vectors for k, vectors in enumerate(self.descriptors.vectors)})
        for tensors in parts:
            for name, value in sorted(tensors.items()):
                total.update(name.encode())
                total.update(value.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
        return total.hexdigest()

    def save(self, folder: Path) -> None:
        """Write the model as safetensors with JSON beside; `model.json` comes last and makes it complete."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.json").unlink(missing_ok=True)  # an earlier one would describe a mixture
        save_tensors(folder / "embedding.safetensors", self.embedding.state_dict())
        tensors = {"positions": self.descriptors.positions}
        for level, (vectors, maps) in enumerate(
            zip(self.descriptors.vectors, self.descriptors.maps, strict=True)
        ):
            tensors[f"vectors.{level}"], tensors[f"maps.{level}"] = vectors, maps
        save_tensors(folder / "templates.safetensors", tensors)
        if self.detector is not None:
            save_tensors(folder / "detector.safetensors", self.detector.state_dict())
        sidecar = {
            "format": "napari-landmark model",
            "version": FORMAT_VERSION,
            "schema": self.schema.to_json(),
            "canvas": list(self.canvas),
            "embedding": self.embedding.config.to_json(),
            "detector": self.detector.config.to_json() if self.detector is not None else None,
            "training": self.record,
        }
        atomic_write(folder / "model.json", json.dumps(sidecar, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path, *, device: Device | None = None) -> LandmarkModel:
        """Read a model that `save` wrote.

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
            detector_config = None
            if sidecar["detector"] is not None:
                detector_config = _config(DetectorConfig, sidecar["detector"])
            record = sidecar.get("training", {})
            if not isinstance(record, dict):
                raise TypeError("'training' is no object")
            _check_agreement(schema, canvas, embedding_config, detector_config)
            described = _described(Embedding, embedding_config), _described(DetectorNetwork, detector_config)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, ZeroDivisionError) as error:
            raise InputError(
                f"{folder / 'model.json'}: is not a complete model description ({error})"
            ) from error
        embedding = _network(
            Embedding, embedding_config, described[0], folder / "embedding.safetensors", device
        )
        detector = None
        if detector_config is not None:
            detector = _network(
                DetectorNetwork, detector_config, described[1], folder / "detector.safetensors", device
            )
        descriptors = _load_descriptors(folder / "templates.safetensors", embedding, schema, device)
        return cls(schema, canvas, embedding, descriptors, detector, device=device, record=record)


def _described(kind: type, config: EmbeddingConfig | DetectorConfig | None) -> dict[str, torch.Size]:
    """Shapes of the weights of a network, which is not built for it."""
    if config is None:
        return {}
    with torch.device("meta"):
        return {name: value.shape for name, value in kind(config).state_dict().items()}


def _network(
    kind: type,
    config: EmbeddingConfig | DetectorConfig,
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
    detector: DetectorConfig | None,
) -> None:
    """Whether the parts of a sidecar are of one model; ValueError where not."""
    if len(canvas) not in (2, 3) or not all(0 < side <= 16_384 for side in canvas):
        raise ValueError(f"a canvas of {canvas}")
    if embedding.spatial_dims != len(canvas) or (
        detector is not None and detector.spatial_dims != len(canvas)
    ):
        raise ValueError("networks of other axes than the canvas")
    for config in (embedding, detector):
        if config is not None and any(canvas_side % config.shrink for canvas_side in canvas):
            raise ValueError(f"a canvas of {canvas} shrunk {config.shrink} times")
    if detector is not None and detector.landmarks != len(schema):
        raise ValueError(f"{detector.landmarks} landmarks in the detector, {len(schema)} names")


def _load_descriptors(
    path: Path, embedding: Embedding, schema: LandmarkSchema, device: Device
) -> Descriptors:
    tensors, _ = load_tensors(path)
    tensors = {name: device.to(value) for name, value in tensors.items()}
    levels = range(len(embedding.strides))
    try:
        found = Descriptors(
            [tensors[f"vectors.{level}"] for level in levels],
            [tensors[f"maps.{level}"] for level in levels],
            tensors["positions"],
        )
    except KeyError as error:
        raise InputError(f"{path}: lacks {error}; train again or restore it") from error
    templates, dims = len(found.positions), embedding.config.spatial_dims
    fits = found.positions.shape == (templates, len(schema), dims) and templates > 0
    fits = fits and all(v.shape[:2] == (templates, len(schema)) and v.ndim == 3 for v in found.vectors)
    fits = fits and all(m.ndim == dims + 2 and len(m) == templates for m in found.maps)
    if not fits:
        raise InputError(f"{path}: does not fit the model its sidecar describes; train again or restore it")
    return found


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
    if sidecar.get("version") != FORMAT_VERSION:
        raise InputError(f"{path}: was written by another version of napari-landmark; update, or train again")
    return sidecar


def _config(kind: type, values: dict) -> EmbeddingConfig | DetectorConfig:
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
