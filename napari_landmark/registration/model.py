"""Registration model: the trained networks that register two new images of the same anatomy."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

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
from napari_landmark.registration.registration_grid import DOWNSAMPLING
from napari_landmark.registration.result import Registration
from napari_landmark.registration.transform.from_working_grid import transform_from_displacement

FORMAT = ModelFormat("napari-landmark registration model", "registration model", version=2, readable=(2,))


@dataclass(frozen=True)
class Prediction:
    """Output of the networks for one pair, as tensors on the registration grid.

    Parameters
    ----------
    alignment : Alignment
    fixed, moving : (1, 1, *grid) tensors
        Images.
    probabilities : pair of (1 + labels, *grid) tensors, or of None
        From the segmenter for the fixed and the moving image, background first.
    """

    alignment: Alignment
    fixed: torch.Tensor
    moving: torch.Tensor
    probabilities: tuple[torch.Tensor | None, torch.Tensor | None] = (None, None)

    def region_arrays(self) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
        """Probabilities (labels, *grid) of the regions in the fixed and the moving image, without the background."""
        fixed, moving = (None if part is None else part[1:].cpu().numpy() for part in self.probabilities)
        return fixed, moving


class RegistrationModel:
    """Registration network and, if it was trained with label maps, a segmenter.

    Parameters
    ----------
    canvas : tuple of int
        Shape of the working grid that the networks were trained on.
    labels : tuple of int
        Label values in the order of the regions of the segmenter.
    segmenter : Segmenter or None
    network : RegistrationNetwork
    device : Device
    record : dict
        Record of the training, see `training.record`.
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
        """Weights of the loss in the training; the defaults for those that the record lacks.

        Raises
        ------
        InputError
            A weight of the record is not a number from 0 on.
        """
        return _weights_of(self.record)

    def register(self, fixed: MedicalImage, moving: MedicalImage) -> Registration:
        """Register by the networks alone, without instance optimization.

        Raises
        ------
        InputError
            An image has another number of dimensions than the cohort of the training.
        """
        started = time.monotonic()
        prediction = self.predict(fixed, moving)
        displacement = prediction.alignment.displacement[0].float().cpu().numpy()
        transform = transform_from_displacement(
            displacement, fixed=fixed.geometry, moving=moving.geometry, canvas=self.canvas
        )
        return Registration(transform, time.monotonic() - started, {}, *prediction.region_arrays())

    @torch.no_grad()
    def predict(self, fixed: MedicalImage, moving: MedicalImage) -> Prediction:
        """Run the networks on a pair; raises as `register` does."""
        images = torch.cat([self._resampled(image) for image in (fixed, moving)])
        small = downsample(images, DOWNSAMPLING)
        inputs, probabilities = small, None
        with self.device.autocast():
            if self.segmenter is not None:
                probabilities = self.segmenter.probabilities(images)
                inputs = torch.cat([small, probabilities[:, 1:]], 1)
            alignment = self.network(inputs[:1], inputs[1:])
        both = (None, None) if probabilities is None else (probabilities[0], probabilities[1])
        return Prediction(alignment, small[:1], small[1:], both)

    def _resampled(self, image: MedicalImage) -> torch.Tensor:
        if image.geometry.ndim != len(self.canvas):
            kind = {2: "pictures", 3: "volumes"}[len(self.canvas)]
            raise InputError(
                f"{image.name}: has {image.geometry.ndim} dimensions, the model was trained on {kind}"
            )
        working = resample(image, fit_canvas_transform(image.geometry, self.canvas))
        return self.device.to(torch.from_numpy(np.ascontiguousarray(working))[None, None])

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
