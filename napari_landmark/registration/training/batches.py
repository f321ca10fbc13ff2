"""Batches of a registration training: pairs of images, and distorted images for the segmenter, drawn one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from napari_landmark.learning.loop import TrainingClock
from napari_landmark.registration.networks.segmenter import DistortedImages, distort_images
from napari_landmark.registration.training.dataset import RegistrationDataset

# Done part of the training from which ...
REGISTRATION_FROM = 0.2  # the registration is trained; before, the segmenter alone
PSEUDO_LABELS_FROM = 0.15  # the segmenter is trained on its own pseudo-labels, too
WARPED_LABELS_FROM = 0.5  # pseudo-labels are averaged with warped label maps


@dataclass(frozen=True)
class SegmentationBatch:
    """Images on which the segmenter is trained.

    Parameters
    ----------
    labelled : list of int
        Images with a label map.
    others : (k, 1, *canvas) tensor or None
        Images of which the segmenter's own probabilities are the targets.
    warped_from : list of int or None
        For each of `others` an image whose label map is warped to it.
    distorted : DistortedImages
        Copies of the labelled and the other images.
    """

    labelled: list[int]
    others: torch.Tensor | None
    warped_from: list[int] | None
    distorted: DistortedImages


@dataclass(frozen=True)
class RegistrationBatch:
    """One step of a registration training.

    Parameters
    ----------
    fraction : float
        Done part of the training, 0..1.
    segmentation : SegmentationBatch or None
        None without any label.
    pairs : two lists of int, or None
        Fixed and moving images; None while the segmenter is trained alone.
    """

    fraction: float
    segmentation: SegmentationBatch | None
    pairs: tuple[list[int], list[int]] | None


class RegistrationBatches:
    """Batches of a registration training.

    Parameters
    ----------
    dataset : RegistrationDataset
    size : int
        Pairs of a step; while the segmenter is trained alone, labelled and other images.
    warped_labels : bool
        Whether the segmenter is also trained on warped label maps.
    generator : torch.Generator
        The only source of chance.
    """

    def __init__(
        self, dataset: RegistrationDataset, *, size: int, warped_labels: bool, generator: torch.Generator
    ) -> None:
        self._dataset, self._size, self._warped_labels = dataset, size, warped_labels
        self._generator = generator

    def batches(self, clock: TrainingClock) -> Iterator[RegistrationBatch]:
        """Endless batches for the done part of the training that `clock` tells."""
        while True:
            yield self.draw(clock.fraction)

    def draw(self, fraction: float) -> RegistrationBatch:
        """One batch at a done part of the training, 0..1."""
        segmented = bool(self._dataset.labels)
        segmentation = self._draw_segmentation(fraction) if segmented else None
        pairs = None
        if not segmented or fraction >= REGISTRATION_FROM:
            pairs = self._draw_images(self._size), self._draw_images(self._size)
        return RegistrationBatch(fraction, segmentation, pairs)

    def _draw_segmentation(self, fraction: float) -> SegmentationBatch:
        # Later most of the time is for the registration, which takes longer to train.
        count = self._size if fraction < REGISTRATION_FROM else max(1, self._size // 2)
        labelled = self._draw_labelled(count)
        images = self._dataset.images(labelled)
        others = warped_from = None
        if fraction >= PSEUDO_LABELS_FROM:
            others = self._dataset.images(self._draw_images(count))
            images = torch.cat([images, others])
            if self._warped_labels and fraction >= WARPED_LABELS_FROM:
                warped_from = self._draw_labelled(count)
        return SegmentationBatch(labelled, others, warped_from, distort_images(images, self._generator))

    def _draw_images(self, count: int) -> list[int]:
        return torch.randint(len(self._dataset), (count,), generator=self._generator).tolist()

    def _draw_labelled(self, count: int) -> list[int]:
        labelled = self._dataset.labelled
        chosen = torch.randint(len(labelled), (count,), generator=self._generator).tolist()
        return [labelled[i] for i in chosen]
