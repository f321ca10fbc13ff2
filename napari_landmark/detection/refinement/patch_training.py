"""Training of a patch embedding without labels, on patches around positions that were matched in whole images.

Each patch is compared with a distorted copy of itself, later also with patches of other subjects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.embedding.correspondence_loss import correspondence_loss
from napari_landmark.detection.embedding.feature_matching import describe
from napari_landmark.detection.refinement.patch_embedding import (
    PatchEmbedding,
    PatchEmbeddingConfig,
    patch_similarity,
)
from napari_landmark.detection.refinement.patches import crop_patches
from napari_landmark.learning.augmentation import Distortion, DistortionRange, random_appearance
from napari_landmark.learning.batches import KeptImages, kept_images
from napari_landmark.learning.device import Device
from napari_landmark.learning.loop import Budget, Checkpoint, History, TrainingClock, run_training
from napari_landmark.learning.unet import place_network
from napari_landmark.progress import CancelToken, Progress

PATCH_PAIRS = {2: 8, 3: 2}
"""Pairs of patches a step, half of a batch, by number of axes."""
_MARGIN = 1.5  # patches are cut so many times larger, so that a rotated one is full
_WEAK = DistortionRange(rotation=5, scale=1.05, aspect=1.03, shift=0, elastic=0)
_STRONG = DistortionRange(rotation=20, scale=1.25, aspect=1.2, shift=0, elastic=0.024)
_JITTER = 8.0  # pixels between a position and the centre of its patch
_SPREAD = 0.6  # part of the patch, along each axis, that points are drawn from
_POINTS = 64
# Done part of the training from which other subjects are matched; earlier, wrong matches would be learned.
_CROSS_FROM = 0.6
_PRIOR = 6.0  # pixels by which the offset from a landmark to a point nearby differs between subjects
_RETURNED = 1.5  # pixels


@dataclass(frozen=True)
class View:
    """Distorted patches.

    Parameters
    ----------
    patches : (k, 1, side, ...)
    origins : (k, 1, d)
        Position, on the working grid, of the first pixel of the pixels that were distorted.
    distortion : Distortion
        From these pixels to the patch.
    """

    patches: torch.Tensor
    origins: torch.Tensor
    distortion: Distortion

    def to_grid(self, points: torch.Tensor) -> torch.Tensor:
        """Working-grid positions of points (k, n, d) of the patches."""
        return self.distortion.source_of(points) + self.origins

    def from_grid(self, positions: torch.Tensor) -> torch.Tensor:
        """Points of the patches at working-grid positions (k, n, d); NaN where the distortion folds."""
        return self.distortion.output_of(positions - self.origins)


@dataclass(frozen=True)
class PatchPairs:
    """Patches, and points in them that are to be found in other patches.

    Parameters
    ----------
    first : View
        Weakly distorted.
    points : (k, n, d)
        In the patches of `first`.
    target : View
        Strongly distorted: of the same images, or of others in cross pairs.
    inputs : (2 * k, 1, side, ...)
        Patches of `first` and `target` with random appearance.
    other : View or None
        In cross pairs the patches of `target`, weakly distorted, in which the points are matched.
    offset : (k, 1, d) or None
        In cross pairs from the landmark in the first image to that in the other, in working-grid pixels.
    """

    first: View
    points: torch.Tensor
    target: View
    inputs: torch.Tensor
    other: View | None = None
    offset: torch.Tensor | None = None


def draw_view(
    images: Cohort | KeptImages,
    numbers: torch.Tensor,
    centres: torch.Tensor,
    *,
    side: int,
    ranges: DistortionRange,
    device: Device,
    generator: torch.Generator,
    jitter: float = _JITTER,
) -> View:
    """Draw distorted patches around positions.

    Parameters
    ----------
    images : Cohort or KeptImages
    numbers : (k,) int tensor
        Of the images of the patches.
    centres : (k, d) float tensor
        On the working grid.
    side : int
        Of the patches, in pixels.
    ranges : DistortionRange
    device : Device
    generator : torch.Generator
    jitter : float
        Standard deviation, in pixels along each axis, of the distance between a centre and that of its patch.
    """
    dims, large = centres.shape[1], round(side * _MARGIN)
    moved = centres + torch.randn(centres.shape, generator=generator) * jitter
    pixels, origins = crop_patches(images, numbers.tolist(), moved, large)
    distortion = Distortion.random(
        len(pixels),
        (large,) * dims,
        ranges=ranges,
        generator=generator,
        output_shape=(side,) * dims,
        centers=torch.full((len(pixels), dims), (large - 1) / 2),
        device=device.torch_device,
    )
    patches = distortion.apply(device.to(pixels))
    return View(patches, device.to(origins)[:, None], distortion)


class PatchBatches:
    """Batches for a patch embedding, drawn one by one when they are asked for.

    Parameters
    ----------
    config : PatchEmbeddingConfig
    images : Cohort or KeptImages
    positions : (n_images, n_landmarks, d) float tensor
        On the working grid; NaN where unknown.
    device : Device
    generator : torch.Generator
        The only source of chance.
    """

    def __init__(
        self,
        config: PatchEmbeddingConfig,
        images: Cohort | KeptImages,
        positions: torch.Tensor,
        device: Device,
        generator: torch.Generator,
    ) -> None:
        self._config, self._images, self._positions = config, images, positions
        self._device, self._generator = device, generator
        self._numbers, self._landmarks = torch.nonzero(positions.isfinite().all(-1), as_tuple=True)

    def batches(self, pairs: int, clock: TrainingClock) -> Iterator[list[PatchPairs]]:
        """Endless batches of twice so many pairs; half of them across subjects in the later part of a training."""
        while True:
            if clock.fraction < _CROSS_FROM or len(self._images) < 2:
                yield [self.self_pairs(2 * pairs)]
            else:
                yield [self.self_pairs(pairs), self.cross_pairs(pairs)]

    def self_pairs(self, count: int) -> PatchPairs:
        """Draw patches of known positions, and distorted copies of the same patches."""
        numbers, landmarks = self._draw(count)
        centres = self._positions[numbers, landmarks]
        first = self._view(numbers, centres, _WEAK)
        target = self._view(numbers, centres, _STRONG)
        points = self._points(count)
        return PatchPairs(first, points, target, self._inputs(first, target))

    def cross_pairs(self, count: int) -> PatchPairs:
        """Draw patches of known positions, and patches of the same landmark in other images where it is known."""
        numbers, landmarks = self._draw(count)
        others = self._numbers[torch.randint(len(self._numbers), (count,), generator=self._generator)]
        centres, other_centres = self._positions[numbers, landmarks], self._positions[others, landmarks]
        usable = other_centres.isfinite().all(-1)
        other_centres = torch.where(usable[:, None], other_centres, centres)
        others = torch.where(usable, others, numbers)
        first = self._view(numbers, centres, _WEAK)
        other = self._view(others, other_centres, _WEAK)
        points = self._points(count)
        target = self._view(others, other_centres, _STRONG)
        offset = self._device.to(other_centres - centres)[:, None]
        return PatchPairs(first, points, target, self._inputs(first, target), other, offset)

    def _draw(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        drawn = torch.randint(len(self._numbers), (count,), generator=self._generator)
        return self._numbers[drawn], self._landmarks[drawn]

    def _view(self, numbers: torch.Tensor, centres: torch.Tensor, ranges: DistortionRange) -> View:
        return draw_view(
            self._images,
            numbers,
            centres,
            side=self._config.window,
            ranges=ranges,
            device=self._device,
            generator=self._generator,
        )

    def _points(self, count: int) -> torch.Tensor:
        dims, side = self._config.spatial_dims, self._config.window
        drawn = torch.rand(count, _POINTS, dims, generator=self._generator) - 0.5
        return self._device.to(drawn * _SPREAD * side + (side - 1) / 2)

    def _inputs(self, first: View, target: View) -> torch.Tensor:
        return random_appearance(torch.cat([first.patches, target.patches]), generator=self._generator)


def patch_loss(network: PatchEmbedding, pairs: PatchPairs, device: Device) -> torch.Tensor:
    """Loss of finding the points of the first patches in the target patches."""
    targets, valid = target_points(network, pairs, device)
    count = len(targets)
    with device.autocast():
        maps = network(pairs.inputs)
    queries, keys = [m[:count] for m in maps], [m[count:] for m in maps]
    return correspondence_loss(queries, keys, network.strides, pairs.points, targets, valid)


def target_points(
    network: PatchEmbedding, pairs: PatchPairs, device: Device
) -> tuple[torch.Tensor, torch.Tensor]:
    """True points (k, n, d) in the target patches, and whether they are valid (k, n).

    In cross pairs they are the network's own matches in the other patches, valid where these return to their start.
    """
    mutual = None
    if pairs.other is None or pairs.offset is None:
        targets = pairs.target.from_grid(pairs.first.to_grid(pairs.points))
    else:
        positions, mutual = _mutual_matches(network, pairs, pairs.other, pairs.offset, device)
        targets = pairs.target.from_grid(positions)
    side = network.config.window
    valid = ((targets > 2) & (targets < side - 3)).all(-1)
    valid = valid if mutual is None else valid & mutual
    return torch.nan_to_num(targets).clamp(0, side - 1), valid


@torch.no_grad()
def _mutual_matches(
    network: PatchEmbedding, pairs: PatchPairs, other: View, offset: torch.Tensor, device: Device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Matches (k, n, d) of the points in the other images, on the working grid, and whether they return."""
    first, points, count, strides = pairs.first, pairs.points, len(pairs.points), network.strides
    maps = network.embed(torch.cat([first.patches, other.patches]), device)
    network.train()
    first_maps, other_maps = [m[:count] for m in maps], [m[count:] for m in maps]
    expected = torch.nan_to_num(other.from_grid(first.to_grid(points) + offset))
    match, _ = patch_similarity(describe(first_maps, strides, points), other_maps, expected, _PRIOR)
    positions = other.to_grid(match)
    expected = torch.nan_to_num(first.from_grid(positions - offset))
    reverse, _ = patch_similarity(describe(other_maps, strides, match), first_maps, expected, _PRIOR)
    return positions, (reverse - points).norm(dim=-1) < _RETURNED


def train_patch_embedding(
    network: PatchEmbedding,
    cohort: Cohort,
    positions: torch.Tensor,
    *,
    device: Device,
    generator: torch.Generator,
    budget: Budget,
    batch_factor: int = 1,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    after_step: Callable[[float], None] | None = None,
) -> History:
    """Train in place on patches around positions.

    Parameters
    ----------
    positions : (n_images, n_landmarks, d) float tensor
        On the working grid; NaN where unknown.
    batch_factor : int
        Multiplies the number of patches a step.
    after_step : callable, optional
        Called between steps, see `run_training`.
    """
    dims = network.config.spatial_dims
    place_network(network, device.torch_device)
    images, clock = kept_images(cohort, device), TrainingClock()
    source = PatchBatches(network.config, images, positions.float().cpu(), device, generator)

    def loss(batch: list[PatchPairs]) -> torch.Tensor:
        return torch.stack([patch_loss(network, pairs, device) for pairs in batch]).sum()

    return run_training(
        network,
        loss,
        source.batches(PATCH_PAIRS[dims] * batch_factor, clock),
        stage="training patch embedding",
        budget=budget,
        learning_rate=2.5e-3,
        generator=generator,
        clock=clock,
        checkpoint=checkpoint,
        progress=progress,
        cancel=cancel,
        after_step=after_step,
    )
