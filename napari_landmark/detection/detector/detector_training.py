"""Training of a detector on pseudo-labels, which are wrong one by one and right on average."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.detector.detector import DetectorConfig, DetectorNetwork
from napari_landmark.detection.detector.pseudo_labels import PseudoLabels
from napari_landmark.learning.augmentation import Distortion, DistortionRange, random_appearance
from napari_landmark.learning.batches import KeptImages, kept_images, load_batch
from napari_landmark.learning.device import Device
from napari_landmark.learning.interpolation import constant
from napari_landmark.learning.loop import Budget, Checkpoint, History, run_training
from napari_landmark.learning.unet import place_network
from napari_landmark.progress import CancelToken, Progress

DETECTOR_BATCH = 3
"""Images a step."""
_RANGES = DistortionRange(rotation=15, scale=1.18, shift=0.08, elastic=0.018)
_HALF_SHARE = 5  # annotated images that make up half of what is drawn
_OFFSET_WEIGHT = 2.0


@dataclass(frozen=True)
class DetectorBatch:
    """Distorted images with their landmarks.

    Parameters
    ----------
    views : (batch, 1, *input shape)
    targets : (batch, n_landmarks, d)
        In input pixels.
    weights : (batch, n_landmarks)
        0 where the position is unknown or outside the view.
    """

    views: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


def annotated_share(labels: PseudoLabels) -> float:
    """Share, 0..1, of annotated images in what a network is trained on.

    Pseudo-labels are many and repeat what is known already: a sixth of the samples is the annotated image where there
    is one, half of them are where there are five. (Cephalograms, five corrections: 1.44 mm, and 1.55 with a third.)
    """
    count = len(labels.annotated)
    return count / (count + _HALF_SHARE)


class LabelledImageSampler:
    """Endless batches of image numbers: labelled images at random, annotated ones more often.

    Parameters
    ----------
    labels : PseudoLabels
        Images whose weights are all 0 are left out, unless all are.
    batch_size : int
    generator : torch.Generator
    """

    def __init__(self, labels: PseudoLabels, batch_size: int, generator: torch.Generator) -> None:
        labelled = torch.nonzero((torch.from_numpy(labels.weights).float() > 0).any(1))[:, 0]
        self._numbers = labelled if len(labelled) else torch.arange(len(labels.weights))
        self._annotated = torch.tensor(labels.annotated, dtype=torch.long)
        self._share = annotated_share(labels)
        self._batch_size, self._generator = batch_size, generator

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the numbers of one batch a step, drawn when they are asked for."""
        while True:
            numbers = self._draw(self._numbers)
            if len(self._annotated):
                manual = torch.rand(self._batch_size, generator=self._generator) < self._share
                numbers = torch.where(manual, self._draw(self._annotated), numbers)
            yield numbers.tolist()

    def _draw(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers[torch.randint(len(numbers), (self._batch_size,), generator=self._generator)]


def detector_batches(
    images: Cohort | KeptImages,
    labels: PseudoLabels,
    downsampling: int,
    device: Device,
    generator: torch.Generator,
    *,
    batch_size: int,
) -> Iterator[DetectorBatch]:
    """Endless batches of distorted images with their pseudo-labels, drawn when they are asked for."""
    all_positions, all_weights = (
        torch.from_numpy(values).float() for values in (labels.positions, labels.weights)
    )
    for numbers in LabelledImageSampler(labels, batch_size, generator):
        loaded = load_batch(images, numbers, downsampling, device)
        shape = tuple(loaded.shape[2:])
        distortion = Distortion.random(
            batch_size, shape, ranges=_RANGES, generator=generator, device=device.torch_device
        )
        points = (device.to(all_positions[numbers]) + 0.5) / downsampling - 0.5
        targets = distortion.output_of(points)
        size = constant(shape, targets.dtype, targets.device)
        inside = ((targets > -0.5) & (targets < size - 0.5)).all(-1)
        weights = device.to(all_weights[numbers]) * inside
        views = random_appearance(distortion.apply(loaded), generator=generator)
        yield DetectorBatch(views, torch.nan_to_num(targets), weights)


def batch_loss(network: DetectorNetwork, batch: DetectorBatch, device: Device) -> torch.Tensor:
    """Loss of a detector on a batch."""
    with device.autocast():
        logits, offsets = network(batch.views)
    cells = network.cell_positions(tuple(batch.views.shape[2:]), batch.views.device)
    return detector_loss(logits, offsets, batch.targets[:, :, None] - cells, batch.weights, network.config)


def detector_loss(
    logits: torch.Tensor,
    offsets: torch.Tensor,
    difference: torch.Tensor,
    weights: torch.Tensor,
    config: DetectorConfig,
) -> torch.Tensor:
    """Cross-entropy of the heatmap plus L1 of the offsets inside the disc, weighted per landmark.

    Parameters
    ----------
    logits : (batch, n, cells)
    offsets : (batch, n, cells, d)
        In units of the radius.
    difference : (batch, n, cells, d)
        From each cell to the landmark, in input pixels.
    weights : (batch, n)
    config : DetectorConfig
    """
    squared = difference.square().sum(-1)
    target = torch.softmax(-squared / (2 * config.sigma**2), -1)
    heat = -(target * logits.log_softmax(-1)).sum(-1)
    disc = (squared < config.radius**2).float()
    error = (offsets - difference / config.radius).abs().sum(-1)
    offset = (error * disc).sum(-1) / disc.sum(-1).clamp(min=1)
    return ((heat + _OFFSET_WEIGHT * offset) * weights).sum() / weights.sum().clamp(min=1e-6)


def train_detector(
    network: DetectorNetwork,
    cohort: Cohort,
    labels: PseudoLabels,
    *,
    device: Device,
    generator: torch.Generator,
    budget: Budget,
    retrain: bool = False,
    label_factor: float = 1.0,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    after_step: Callable[[float], None] | None = None,
) -> History:
    """Train in place on pseudo-labels and manual annotations.

    `retrain` starts from a trained detector with better labels, with smaller steps where few of them are annotations
    (`label_factor` 1; at 4 they are as large as in the first training); `after_step` is called between steps, see
    `run_training`.
    """
    place_network(network, device.torch_device)
    images = kept_images(cohort, device)
    return run_training(
        network,
        lambda batch: batch_loss(network, batch, device),
        detector_batches(
            images, labels, network.config.downsampling, device, generator, batch_size=DETECTOR_BATCH
        ),
        stage="retraining detector" if retrain else "training detector",
        budget=budget,
        learning_rate=1e-3 * math.sqrt(label_factor) if retrain else 2e-3,
        generator=generator,
        warmup=0.1,
        checkpoint=checkpoint,
        progress=progress,
        cancel=cancel,
        after_step=after_step,
    )
