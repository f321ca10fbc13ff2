"""A trained registration: everything needed to register two new images of the same anatomy."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from napari_landmark.data.cohort.working_grid import fit_canvas_transform, resample
from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.learning.batches import downsample
from napari_landmark.learning.checkpoint import save_tensors
from napari_landmark.learning.device import Device, choose_device
from napari_landmark.learning.model_files import (
    ModelFormat,
    NetworkDescription,
    parse_canvas,
    parse_config,
    sidecar_errors,
)
from napari_landmark.learning.unet import COARSEST_STRIDE
from napari_landmark.registration.losses import LossWeights
from napari_landmark.registration.networks.registration_network import (
    Alignment,
    NetworkConfig,
    RegistrationNetwork,
)
from napari_landmark.registration.networks.segmenter import Segmenter, SegmenterConfig
from napari_landmark.registration.pairwise.result import Registration, canvas_transform
from napari_landmark.registration.training.dataset import DOWNSAMPLING

FORMAT = ModelFormat("napari-landmark registration model", "registration model", version=2, readable=(2,))


@dataclass(frozen=True)
class Prediction:
    """What the networks say of one pair, as tensors on the registration grid.

    Parameters
    ----------
    alignment : Alignment
    fixed, moving : (1, 1, *grid) tensors
    fixed_scores, moving_scores : (1 + labels, *grid) tensors or None
        The segmenter's probabilities, background first.
    """

    alignment: Alignment
    fixed: torch.Tensor
    moving: torch.Tensor
    fixed_scores: torch.Tensor | None
    moving_scores: torch.Tensor | None


class RegistrationModel:
    """A registration network and, where it was trained with label maps, a segmenter.

    Parameters
    ----------
    canvas : tuple of int
        Working shape the networks were trained on.
    labels : tuple of int
        Label values in the order of the segmenter's regions.
    segmenter : Segmenter or None
    network : RegistrationNetwork
    device : Device
    record : dict
        How it was trained.
    """

    def __init__(
        self,
        canvas: tuple[int, ...],
        labels: tuple[int, ...],
        segmenter: Segmenter | None,
        network: RegistrationNetwork,
        *,
        device: Device,
        record: dict | None = None,
    ) -> None:
        self.canvas, self.labels, self.device = tuple(canvas), tuple(labels), device
        self.segmenter = segmenter.eval() if segmenter is not None else None
        self.network = network.eval()
        self.record = record or {}

    @property
    def weights(self) -> LossWeights:
        """Of the objective it was trained with; the defaults where the record does not say.

        Raises
        ------
        InputError
            The record holds something else than numbers from 0 on.
        """
        return _weights_of(self.record)

    def register(self, fixed: MedicalImage, moving: MedicalImage) -> Registration:
        """Register by the networks alone, without optimising on the pair.

        Raises
        ------
        InputError
            An image has another number of dimensions than the cohort.
        """
        started = time.monotonic()
        said = self.predict(fixed, moving)
        displacement = said.alignment.displacement[0].float().cpu().numpy()
        transform = canvas_transform(displacement, fixed.geometry, moving.geometry, self.canvas)
        regions = [
            None if scores is None else scores[1:].cpu().numpy()
            for scores in (said.fixed_scores, said.moving_scores)
        ]
        return Registration(transform, time.monotonic() - started, {}, *regions)

    @torch.no_grad()
    def predict(self, fixed: MedicalImage, moving: MedicalImage) -> Prediction:
        """The networks' answer as tensors."""
        canvases = torch.cat([self._on_canvas(image) for image in (fixed, moving)])
        small = downsample(canvases, DOWNSAMPLING)
        seen, scores = small, None
        with self.device.autocast():
            if self.segmenter is not None:
                scores = self.segmenter.probabilities(canvases)
                seen = torch.cat([small, scores[:, 1:]], 1)
            alignment = self.network(seen[:1], seen[1:])
        both = (None, None) if scores is None else (scores[0], scores[1])
        return Prediction(alignment, small[:1], small[1:], *both)

    def _on_canvas(self, image: MedicalImage) -> torch.Tensor:
        if image.geometry.ndim != len(self.canvas):
            kind = {2: "pictures", 3: "volumes"}[len(self.canvas)]
            raise InputError(
                f"{image.name}: has {image.geometry.ndim} dimensions, the model was trained on {kind}"
            )
        drawn = resample(image, fit_canvas_transform(image.geometry, self.canvas))
        return self.device.to(torch.from_numpy(np.ascontiguousarray(drawn))[None, None])

    def save(self, folder: Path) -> None:
        """Write the model as safetensors with JSON beside; `model.json` comes last and makes it complete."""
        FORMAT.invalidate(folder)
        save_tensors(folder / "registration.safetensors", self.network.state_dict())
        if self.segmenter is not None:
            save_tensors(folder / "segmenter.safetensors", self.segmenter.state_dict())
        FORMAT.write(
            folder,
            {
                "canvas": list(self.canvas),
                "labels": list(self.labels),
                "network": self.network.config.to_json(),
                "segmenter": self.segmenter.config.to_json() if self.segmenter is not None else None,
                "training": self.record,
            },
        )

    @classmethod
    def load(cls, folder: Path, *, device: Device | None = None) -> RegistrationModel:
        """Read a model that `save` wrote.

        Raises
        ------
        InputError
            A file is missing or damaged, or was written by another version.
        """
        device = device or choose_device("auto")
        sidecar = FORMAT.read(folder)
        with sidecar_errors(folder):
            canvas = parse_canvas(sidecar["canvas"], multiple=DOWNSAMPLING * COARSEST_STRIDE)
            labels = _parse_labels(sidecar["labels"])
            config = parse_config(NetworkConfig, sidecar["network"])
            segmenter_config = None
            if sidecar["segmenter"] is not None:
                segmenter_config = parse_config(SegmenterConfig, sidecar["segmenter"])
            _check_agreement(canvas, labels, config, segmenter_config)
            record = sidecar.get("training")
            record = record if isinstance(record, dict) else {}
            _weights_of(record)  # raises
            network = NetworkDescription.of(partial(RegistrationNetwork, config))
            segmenter = (
                None
                if segmenter_config is None
                else NetworkDescription.of(partial(Segmenter, segmenter_config))
            )
        return cls(
            canvas,
            labels,
            None if segmenter is None else segmenter.read(folder / "segmenter.safetensors", device),
            network.read(folder / "registration.safetensors", device),
            device=device,
            record=record,
        )


def _weights_of(record: dict) -> LossWeights:
    options = record.get("options")
    return LossWeights.from_json(options.get("weights") if isinstance(options, dict) else None)


def _parse_labels(values: object) -> tuple[int, ...]:
    """Label values of a sidecar; TypeError where they are no whole numbers, each of them once."""
    if not isinstance(values, list) or any(not isinstance(n, int) or isinstance(n, bool) for n in values):
        raise TypeError(f"labels {values!r:.40}")
    if len(set(values)) != len(values):
        raise ValueError(f"labels {values!r:.40}: one of them is there twice")
    return tuple(values)


def _check_agreement(
    canvas: tuple[int, ...],
    labels: tuple[int, ...],
    network: NetworkConfig,
    segmenter: SegmenterConfig | None,
) -> None:
    """Refuse parts of a sidecar that are not of one model (ValueError)."""
    configs = [config for config in (network, segmenter) if config is not None]
    if any(config.spatial_dims != len(canvas) for config in configs):
        raise ValueError(f"networks of another number of axes than the canvas {list(canvas)}")
    regions = {network.regions, segmenter.regions if segmenter is not None else 0}
    if regions != {len(labels)}:
        raise ValueError(f"{len(labels)} labels for networks of {sorted(regions)} regions")
