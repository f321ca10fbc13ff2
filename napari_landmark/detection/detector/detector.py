"""CC2D-TPL: a detector trained on pseudo-labels, which are wrong one by one and right on average.

A multi-task U-Net gives, per landmark, a heatmap and an offset map that is valid where the heatmap's target is on;
the hottest cells vote through their offsets for a sub-pixel position (Yao et al., MICCAI 2021). Unlike there, the
heatmap is a softmax over the canvas, so a landmark has one place and its spread means something.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import nn

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.learning.augmentation import Distortion, DistortionRange, random_appearance
from napari_landmark.learning.batches import KeptImages, kept_images, load_batch
from napari_landmark.learning.device import Device
from napari_landmark.learning.interpolation import canvas_coordinates, constant, pixel_positions
from napari_landmark.learning.loop import Budget, Checkpoint, History, run_training
from napari_landmark.learning.unet import CHANNELS, UNet, fast_memory_format
from napari_landmark.progress import CancelToken, Progress

_RANGES = DistortionRange(rotation=15, scale=1.18, shift=0.08, elastic=0.018)
_VOTERS = 25
_TEMPLATE_SHARE = 1 / 3  # of the batches contain an image that a person annotated
_OFFSET_WEIGHT = 2.0
_FAR = 2.5  # radii


@dataclass(frozen=True)
class DetectorConfig:
    """Architecture of a detector.

    Parameters
    ----------
    landmarks : int
    spatial_dims : {2, 3}
    downsampling : int
        Working-canvas pixels per input pixel, along each axis.
    radius : float
        Of the disc around a landmark where offsets are valid, in input pixels.
    sigma : float
        Of the heatmap's target, in input pixels.
    """

    landmarks: int
    spatial_dims: int = 2
    downsampling: int = 1
    channels: tuple[int, ...] = CHANNELS
    finest_stride: int = 4
    radius: float = 24.0
    sigma: float = 6.0

    def to_json(self) -> dict:
        """Plain values for the model's sidecar."""
        return asdict(self)


@dataclass(frozen=True)
class TrainingLabels:
    """What a detector learns from.

    Parameters
    ----------
    positions : (n_images, n_landmarks, d) float tensor
        On the working canvas; NaN where unknown.
    weights : (n_images, n_landmarks) float tensor
        Trust in each, 0..1; an image without any is not shown.
    templates : tuple of int
        Images that a person annotated; shown more often.
    """

    positions: torch.Tensor
    weights: torch.Tensor
    templates: tuple[int, ...]


@dataclass(frozen=True)
class Votes:
    """What a detector says about a batch of images, on the working canvas.

    Parameters
    ----------
    positions : (batch, n_landmarks, d)
    confidence : (batch, n_landmarks)
        Share of the heatmap's mass within the disc around the position.
    spread : (batch, n_landmarks)
        Mean distance of the heatmap's mass from the position, in canvas pixels; far mass counts like mass at
        two and a half radii.
    heatmaps : (batch, n_landmarks, *canvas / stride)
        Softmax over the canvas.
    """

    positions: torch.Tensor
    confidence: torch.Tensor
    spread: torch.Tensor
    heatmaps: torch.Tensor


class DetectorNetwork(nn.Module):
    """Heatmap logits and offsets of every landmark at the pyramid's finest stride."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        self.pyramid = UNet(
            spatial_dims=config.spatial_dims, channels=config.channels, finest_stride=config.finest_stride
        )
        convolution = {2: nn.Conv2d, 3: nn.Conv3d}[config.spatial_dims]
        outputs = config.landmarks * (1 + config.spatial_dims)
        self.head = convolution(self.pyramid.out_channels[-1], outputs, 1)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (batch, n, cells) and offsets (batch, n, cells, d) in units of the radius, float32."""
        images = (images - 0.4).contiguous(memory_format=fast_memory_format(self.config.spatial_dims))
        out = self.head(self.pyramid(images)[-1]).float().flatten(2)
        count = self.config.landmarks
        offsets = out[:, count:].unflatten(1, (count, self.config.spatial_dims)).movedim(2, -1)
        return out[:, :count], offsets

    def cell_positions(self, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
        """(cells, d) centres of the output's cells in input pixels, for an input of that shape."""
        stride = self.pyramid.finest_stride
        cells = pixel_positions(tuple(n // stride for n in shape), device=device)
        return canvas_coordinates(cells, stride).flatten(0, -2)

    def vote(self, images: torch.Tensor, device: Device) -> Votes:
        """Positions on the canvas of images (batch, 1, *canvas / downsampling)."""
        config = self.config
        shape = tuple(images.shape[2:])
        with torch.no_grad(), device.autocast():
            logits, offsets = self(images)
        cells = self.cell_positions(shape, images.device)
        heat = logits.softmax(-1)
        top = heat.topk(min(_VOTERS, heat.shape[-1]), -1)
        weights = top.values / top.values.sum(-1, keepdim=True)
        index = top.indices[..., None].expand(-1, -1, -1, len(shape))
        votes = (offsets * config.radius + cells).gather(2, index)
        positions = (weights[..., None] * votes).sum(2)
        distance = (cells - positions[:, :, None]).norm(dim=-1)
        confidence = (heat * (distance < config.radius)).sum(-1)
        spread = (heat * distance.clamp(max=_FAR * config.radius)).sum(-1) * config.downsampling
        stride = self.pyramid.finest_stride
        heatmaps = heat.unflatten(-1, tuple(n // stride for n in shape))
        return Votes(canvas_coordinates(positions, config.downsampling), confidence, spread, heatmaps)


def training_step(
    network: DetectorNetwork,
    cohort: Cohort | KeptImages,
    labels: TrainingLabels,
    device: Device,
    generator: torch.Generator,
    *,
    batch: int = 3,
) -> torch.Tensor:
    """Loss of one batch of distorted images with their pseudo-labels."""
    config = network.config
    indices = _draw(labels, batch, generator)
    images = load_batch(cohort, indices, config.downsampling, device)
    shape = tuple(images.shape[2:])
    distortion = Distortion.random(
        batch, shape, ranges=_RANGES, generator=generator, device=device.torch_device
    )
    points = (device.to(labels.positions[indices]) + 0.5) / config.downsampling - 0.5
    targets = distortion.output_of(points)
    size = constant(shape, targets.dtype, targets.device)
    inside = ((targets > -0.5) & (targets < size - 0.5)).all(-1)
    weights = device.to(labels.weights[indices]) * inside
    targets = torch.nan_to_num(targets)
    views = random_appearance(distortion.apply(images), generator=generator)
    with device.autocast():
        logits, offsets = network(views)
    difference = targets[:, :, None] - network.cell_positions(shape, views.device)
    return detector_loss(logits, offsets, difference, weights, config)


def detector_loss(
    logits: torch.Tensor,
    offsets: torch.Tensor,
    difference: torch.Tensor,
    weights: torch.Tensor,
    config: DetectorConfig,
) -> torch.Tensor:
    """Cross-entropy of the heatmap plus L1 of the offsets inside the disc, weighted per landmark.

    `difference` (batch, n, cells, d) points from each cell to the landmark, in input pixels.
    """
    squared = difference.square().sum(-1)
    target = torch.softmax(-squared / (2 * config.sigma**2), -1)
    heat = -(target * logits.log_softmax(-1)).sum(-1)
    disc = (squared < config.radius**2).float()
    error = (offsets - difference / config.radius).abs().sum(-1)
    offset = (error * disc).sum(-1) / disc.sum(-1).clamp(min=1)
    return ((heat + _OFFSET_WEIGHT * offset) * weights).sum() / weights.sum().clamp(min=1e-6)


def _draw(labels: TrainingLabels, batch: int, generator: torch.Generator) -> list[int]:
    labelled = torch.nonzero((labels.weights > 0).any(1))[:, 0]
    if not len(labelled):
        labelled = torch.arange(len(labels.weights))
    indices = labelled[torch.randint(len(labelled), (batch,), generator=generator)].tolist()
    if labels.templates and torch.rand((), generator=generator) < _TEMPLATE_SHARE:
        chosen = torch.randint(len(labels.templates), (), generator=generator)
        indices[0] = labels.templates[int(chosen)]
    return indices


def train_detector(
    network: DetectorNetwork,
    cohort: Cohort,
    labels: TrainingLabels,
    *,
    device: Device,
    generator: torch.Generator,
    budget: Budget,
    again: bool = False,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> History:
    """Train in place on pseudo-labels and the true templates; `again` with better labels than before."""
    network.to(device.torch_device, memory_format=fast_memory_format(network.config.spatial_dims))
    images = kept_images(cohort, device)
    return run_training(
        network,
        lambda _: training_step(network, images, labels, device, generator),
        stage="training the detector again" if again else "training the detector",
        budget=budget,
        learning_rate=1e-3 if again else 2e-3,
        generator=generator,
        warmup=0.1,
        checkpoint=checkpoint,
        progress=progress,
        cancel=cancel,
    )
