"""Training of an embedding on a cohort without any label, after CC2D-SSL.

The network learns to find, in a whole image, the positions that a distorted copy of it shows (Yao, Quan, Xiao, Zhou:
"One-shot medical landmark detection", MICCAI 2021). Then matches between *different* images that return to their
start teach it how subjects differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.embedding.correspondence_loss import correspondence_loss
from napari_landmark.detection.embedding.embedding import Embedding
from napari_landmark.detection.embedding.feature_matching import match_points
from napari_landmark.detection.embedding.informative_points import (
    informative,
    informative_points,
    inside,
    random_points,
)
from napari_landmark.learning.augmentation import Distortion, DistortionRange, random_appearance
from napari_landmark.learning.batches import KeptImages, kept_images, load_batch
from napari_landmark.learning.device import Device
from napari_landmark.learning.loop import Budget, Checkpoint, History, run_training
from napari_landmark.learning.sampler import SeededBatchSampler
from napari_landmark.learning.unet import place_network
from napari_landmark.progress import CancelToken, Progress

SELF_PAIRS, CROSS_PAIRS = 6, 4
"""Pairs of images a step."""
SELF_RANGES = DistortionRange()
CROSS_RANGES = DistortionRange(rotation=15, scale=1.18, shift=0.08, elastic=0.02)
_SELF_POINTS, _CROSS_POINTS = 512, 256
_RETURNED = 6.0  # input pixels
_LEAST_SIMILARITY = 0.25


@dataclass(frozen=True)
class SelfBatch:
    """Images with distorted copies, and points of both that show the same anatomy.

    Parameters
    ----------
    views : (2 * pairs, 1, *input shape)
        The images, then their copies.
    copy_points, image_points : (pairs, k, d)
        The same anatomy in copy and image, in input pixels.
    valid : (pairs, k) bool
    """

    views: torch.Tensor
    copy_points: torch.Tensor
    image_points: torch.Tensor
    valid: torch.Tensor


@dataclass(frozen=True)
class CrossBatch:
    """Pairs of different images, a distorted copy of each, and points of the first ones.

    Parameters
    ----------
    first, second : (pairs, 1, *input shape)
        As they are, for matching.
    points : (pairs, k, d)
        Positions in `first` with detail.
    across : Distortion
        Of the copies of `second`.
    views : (3 * pairs, 1, *input shape)
        `first`, copies of `second`, copies of `first`.
    copy_points, image_points, valid
        Of the copies of `first`, see `SelfBatch`.
    """

    first: torch.Tensor
    second: torch.Tensor
    points: torch.Tensor
    across: Distortion
    views: torch.Tensor
    copy_points: torch.Tensor
    image_points: torch.Tensor
    valid: torch.Tensor


class EmbeddingBatches:
    """Batches for an embedding, drawn one by one when they are asked for.

    Parameters
    ----------
    images : Cohort or KeptImages
    downsampling : int
        Of the embedding.
    device : Device
    generator : torch.Generator
        The only source of chance.
    """

    def __init__(
        self, images: Cohort | KeptImages, downsampling: int, device: Device, generator: torch.Generator
    ) -> None:
        self._images, self._downsampling = images, downsampling
        self._device, self._generator = device, generator

    def self_batches(self, pairs: int) -> Iterator[SelfBatch]:
        """Endless batches of so many images with their distorted copies."""
        sampler = SeededBatchSampler(len(self._images), pairs, generator=self._generator)
        for numbers in sampler:
            images = self._load(numbers)
            distortion, *points = self._copies(images, _SELF_POINTS)
            views = torch.cat([images, distortion.apply(images)])
            yield SelfBatch(random_appearance(views, generator=self._generator), *points)

    def cross_batches(self, pairs: int) -> Iterator[CrossBatch]:
        """Endless batches of so many pairs of different images."""
        sampler = iter(SeededBatchSampler(len(self._images), pairs, generator=self._generator))
        for numbers in sampler:
            first, second = self._load(numbers), self._load(next(sampler))
            points = informative_points(first, _CROSS_POINTS, self._generator)
            across = self._distortion(first, CROSS_RANGES)
            own, *own_points = self._copies(first, _CROSS_POINTS)
            views = torch.cat([first, across.apply(second), own.apply(first)])
            views = random_appearance(views, generator=self._generator)
            yield CrossBatch(first, second, points, across, views, *own_points)

    def _load(self, numbers: Sequence[int]) -> torch.Tensor:
        return load_batch(self._images, numbers, self._downsampling, self._device)

    def _distortion(self, images: torch.Tensor, ranges: DistortionRange) -> Distortion:
        return Distortion.random(
            len(images),
            tuple(images.shape[2:]),
            ranges=ranges,
            generator=self._generator,
            device=self._device.torch_device,
        )

    def _copies(
        self, images: torch.Tensor, count: int
    ) -> tuple[Distortion, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Distortion of each image, points of the copies, the same points of the images, and which are valid."""
        shape = images.shape[2:]
        distortion = self._distortion(images, SELF_RANGES)
        copy_points = self._device.to(random_points(len(images), count, shape, self._generator))
        image_points = distortion.source_of(copy_points)
        valid = inside(image_points, shape) & informative(images, image_points, self._generator)
        return distortion, copy_points, image_points, valid


def self_loss(embedding: Embedding, batch: SelfBatch, device: Device) -> torch.Tensor:
    """Loss of finding the points of distorted copies in their images."""
    pairs = len(batch.valid)
    with device.autocast():
        maps = embedding(batch.views)
    return correspondence_loss(
        [m[pairs:] for m in maps],
        [m[:pairs] for m in maps],
        embedding.input_strides,
        batch.copy_points,
        batch.image_points,
        batch.valid,
    )


def cross_loss(embedding: Embedding, batch: CrossBatch, device: Device) -> torch.Tensor:
    """Loss of finding points of other subjects, plus `self_loss` of the first images, which prevents a collapse.

    Points of the first image are matched into the second and back; those that return to within `_RETURNED` input
    pixels are taken as true and must also be found in a distorted copy of the second image.
    """
    pairs, shape, strides = len(batch.first), batch.first.shape[2:], embedding.input_strides
    matched, mutual = _mutual_matches(embedding, batch)
    distorted = batch.across.output_of(matched)
    mutual = mutual & inside(distorted, shape)
    distorted = torch.nan_to_num(distorted)
    with device.autocast():
        maps = embedding(batch.views)
    keys = [m[:pairs] for m in maps]
    loss = correspondence_loss(
        [m[pairs : 2 * pairs] for m in maps], keys, strides, distorted, batch.points, mutual
    )
    return loss + correspondence_loss(
        [m[2 * pairs :] for m in maps], keys, strides, batch.copy_points, batch.image_points, batch.valid
    )


@torch.no_grad()
def _mutual_matches(embedding: Embedding, batch: CrossBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Matches (pairs, k, d) of the points in the second images, and whether they return to their start."""
    maps = embedding.embed_input(torch.cat([batch.first, batch.second]))
    embedding.train()
    pairs, strides = len(batch.first), embedding.input_strides
    first, second = [m[:pairs] for m in maps], [m[pairs:] for m in maps]
    match = match_points(first, second, strides, batch.points)
    reverse = match_points(second, first, strides, match.positions)
    returned = (reverse.positions - batch.points).norm(dim=-1) < _RETURNED
    return match.positions, returned & (match.similarity > _LEAST_SIMILARITY)


def train_embedding(
    embedding: Embedding,
    cohort: Cohort,
    *,
    device: Device,
    generator: torch.Generator,
    self_budget: Budget,
    cross_budget: Budget,
    batch_factor: int = 1,
    checkpoints: Sequence[Checkpoint | None] = (None, None),
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    after_step: Callable[[float], None] | None = None,
) -> list[History]:
    """Train in place: first each image with itself, then across subjects (skipped for a single image).

    `batch_factor` multiplies the number of images a step; `after_step` is called between steps, see `run_training`.
    """
    embedding.use_device(device)
    place_network(embedding, device.torch_device)
    images = kept_images(cohort, device)
    batches = EmbeddingBatches(images, embedding.config.downsampling, device, generator)
    history = run_training(
        embedding,
        lambda batch: self_loss(embedding, batch, device),
        batches.self_batches(SELF_PAIRS * batch_factor),
        stage="training embedding",
        budget=self_budget,
        learning_rate=2.5e-3,
        generator=generator,
        checkpoint=checkpoints[0],
        progress=progress,
        cancel=cancel,
        after_step=after_step,
    )
    if history.cancelled or len(cohort) < 2:
        return [history]
    across = run_training(
        embedding,
        lambda batch: cross_loss(embedding, batch, device),
        batches.cross_batches(CROSS_PAIRS * batch_factor),
        stage="training embedding across subjects",
        budget=cross_budget,
        learning_rate=1e-3,
        generator=generator,
        checkpoint=checkpoints[1],
        progress=progress,
        cancel=cancel,
        after_step=after_step,
    )
    return [history, across]
