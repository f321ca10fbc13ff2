"""Training of a patch detector on annotations and pseudo-labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.detector.detector_training import annotated_share, detector_loss
from napari_landmark.detection.detector.patch_detector import PatchDetector
from napari_landmark.detection.detector.pseudo_labels import PseudoLabels
from napari_landmark.detection.refinement.patch_training import draw_view
from napari_landmark.learning.augmentation import DistortionRange, random_appearance
from napari_landmark.learning.batches import KeptImages, kept_images
from napari_landmark.learning.device import Device
from napari_landmark.learning.loop import Budget, Checkpoint, History, run_training
from napari_landmark.learning.unet import place_network
from napari_landmark.progress import CancelToken, Progress

PATCHES = {2: 48, 3: 12}
"""Patches a step, by number of axes."""
_RANGES = DistortionRange(rotation=15, scale=1.18, aspect=1.1, shift=0, elastic=0.016)
_JITTER = 6.0  # pixels


@dataclass(frozen=True)
class PatchDetectorBatch:
    """Distorted patches, each with one landmark.

    Parameters
    ----------
    patches : (k, 1, side, ...)
    landmarks : (k,) int
    targets : (k, d)
        In pixels of the patch.
    weights : (k,)
        0 where the landmark is outside of the patch.
    """

    patches: torch.Tensor
    landmarks: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


def patch_detector_batches(
    images: Cohort | KeptImages,
    labels: PseudoLabels,
    *,
    side: int,
    device: Device,
    generator: torch.Generator,
    batch_size: int,
) -> Iterator[PatchDetectorBatch]:
    """Endless batches: landmarks of annotated images in their share, others by the weight of their pseudo-labels."""
    positions, weights = (torch.from_numpy(a).float() for a in (labels.positions, labels.weights))
    weights = weights * positions.isfinite().all(-1)
    annotated = torch.zeros(len(weights), dtype=torch.bool)
    annotated[list(labels.annotated)] = True
    manual, pseudo = weights * annotated[:, None], weights * ~annotated[:, None]
    share = annotated_share(labels)
    if not pseudo.any():
        share = 1.0
    count = weights.shape[1]
    while True:
        from_manual = torch.rand(batch_size, generator=generator) < share
        drawn = torch.multinomial(manual.flatten(), batch_size, replacement=True, generator=generator)
        if share < 1:
            others = torch.multinomial(pseudo.flatten(), batch_size, replacement=True, generator=generator)
            drawn = torch.where(from_manual, drawn, others)
        numbers, landmarks = drawn // count, drawn % count
        centres = positions[numbers, landmarks]
        view = draw_view(
            images,
            numbers,
            centres,
            side=side,
            ranges=_RANGES,
            device=device,
            generator=generator,
            jitter=_JITTER,
        )
        targets = view.from_grid(device.to(centres)[:, None])[:, 0]
        inside = ((targets > -0.5) & (targets < side - 0.5)).all(-1)
        patches = random_appearance(view.patches, generator=generator)
        yield PatchDetectorBatch(patches, device.to(landmarks), torch.nan_to_num(targets), inside.float())


def patch_batch_loss(detector: PatchDetector, batch: PatchDetectorBatch, device: Device) -> torch.Tensor:
    """Loss of a patch detector on a batch."""
    network = detector.network
    with device.autocast():
        logits, offsets = network.of_one(batch.patches, batch.landmarks)
    cells = network.cell_positions(tuple(batch.patches.shape[2:]), logits.device)
    return detector_loss(
        logits[:, None],
        offsets[:, None],
        (batch.targets[:, None] - cells)[:, None],
        batch.weights[:, None],
        network.config,
    )


def train_patch_detector(
    detector: PatchDetector,
    cohort: Cohort,
    labels: PseudoLabels,
    *,
    device: Device,
    generator: torch.Generator,
    budget: Budget,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> History:
    """Train in place on the landmarks of annotated images and on pseudo-labels."""
    network = detector.network
    dims = network.config.spatial_dims
    place_network(network, device.torch_device)
    return run_training(
        network,
        lambda batch: patch_batch_loss(detector, batch, device),
        patch_detector_batches(
            kept_images(cohort, device),
            labels,
            side=detector.window,
            device=device,
            generator=generator,
            batch_size=PATCHES[dims],
        ),
        stage="training patch detector",
        budget=budget,
        learning_rate=2e-3,
        generator=generator,
        checkpoint=checkpoint,
        progress=progress,
        cancel=cancel,
    )
