"""Loss of one batch of a registration training: pairs, and pseudo-labels from the segmenter.

Following DeepAtlas (Xu, Niethammer: "DeepAtlas: joint semi-supervised learning of image registration and
segmentation", MICCAI 2019): a segmenter propagates the few label maps to all images, and its probabilities, weighted
by their confidence, tell the registration which regions correspond.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from napari_landmark.learning.batches import downsample
from napari_landmark.learning.interpolation import sample
from napari_landmark.learning.unet import COARSEST_STRIDE, fast_memory_format
from napari_landmark.registration.losses import PairTensors, loss_terms, weighted_sum
from napari_landmark.registration.networks.registration_network import (
    Alignment,
    NetworkConfig,
    RegistrationNetwork,
)
from napari_landmark.registration.networks.segmenter import (
    Segmenter,
    SegmenterConfig,
    pixel_confidence,
    region_confidence,
    segmentation_loss,
)
from napari_landmark.registration.options import RegistrationOptions
from napari_landmark.registration.registration_grid import DOWNSAMPLING
from napari_landmark.registration.training.batches import RegistrationBatch, SegmentationBatch
from napari_landmark.registration.training.dataset import RegistrationDataset
from napari_landmark.registration.transform.fields_torch import warp

_FINEST_ONLY_FROM = 0.6  # done part of the training from which the loss uses only the finest scale
_BATCH = {2: 4, 3: 1}  # pairs; while the segmenter is trained alone, labelled and other images


class Trainer:
    """Networks of a registration, and the loss of one batch.

    Parameters
    ----------
    dataset : RegistrationDataset
    options : RegistrationOptions

    Attributes
    ----------
    batch : int
        Size of a batch that suits the images: pairs of a step.
    network : RegistrationNetwork
    segmenter : Segmenter or None
        None without any label.
    networks : nn.ModuleDict
        Both, on the device of the dataset.
    """

    def __init__(self, dataset: RegistrationDataset, options: RegistrationOptions) -> None:
        self.dataset, self.options = dataset, options
        self.device = dataset.device
        dims, regions = dataset.cohort.ndim, len(dataset.labels)
        self.segmenter = Segmenter(SegmenterConfig(dims, regions)) if regions else None
        self.network = RegistrationNetwork(NetworkConfig(dims, regions))
        parts: dict[str, nn.Module] = {"registration": self.network}
        if self.segmenter is not None:
            parts["segmenter"] = self.segmenter
        self.networks = nn.ModuleDict(parts).to(  # type: ignore[call-overload] # torch's stubs lack this combination
            self.device.torch_device, memory_format=fast_memory_format(dims)
        )
        # Batch normalization needs two values: at the coarsest level such a grid has one.
        smallest = max(dataset.cohort.canvas) // DOWNSAMPLING <= COARSEST_STRIDE
        self.least_batch = 2 if smallest else 1
        self.batch = max(self.least_batch, _BATCH[dims])
        self.region_weights = options.weights.region_weights(dataset.labels)
        self._terms: dict[str, list[float]] = {}

    def loss(self, batch: RegistrationBatch) -> torch.Tensor:
        """Scalar loss of a batch: of the segmenter, of the registration, or of both."""
        losses = []
        if batch.segmentation is not None and self.segmenter is not None:
            losses.append(self._segmentation_loss(self.segmenter, batch.segmentation))
        if batch.pairs is not None:
            losses.append(self._registration_loss(*batch.pairs, coarse=batch.fraction < _FINEST_ONLY_FROM))
        return losses[0] if len(losses) == 1 else losses[0] + losses[1]

    def last_terms(self) -> dict[str, float]:
        """Mean of every term of the loss over the last 50 steps."""
        return {name: round(float(np.mean(values)), 5) for name, values in self._terms.items()}

    def _segmentation_loss(self, segmenter: Segmenter, batch: SegmentationBatch) -> torch.Tensor:
        targets = self.dataset.labelled_regions(batch.labelled)
        weights = torch.ones_like(targets[:, :1])
        if batch.others is not None:
            pseudo_labels = self._probabilities(segmenter, batch.others)
            if batch.warped_from is not None:
                warped = self._warped_labels(segmenter, batch.others, pseudo_labels, batch.warped_from)
                pseudo_labels = (pseudo_labels + warped) / 2
            targets = torch.cat([targets, pseudo_labels])
            weights = torch.cat([weights, pixel_confidence(pseudo_labels)])
        distorted = batch.distorted.distort_targets(torch.cat([targets, weights], 1))
        with self.device.autocast():
            logits = segmenter(batch.distorted.copies)
        return segmentation_loss(logits, distorted[:, :-1], distorted[:, -1])

    @torch.no_grad()
    def _probabilities(self, segmenter: Segmenter, images: torch.Tensor) -> torch.Tensor:
        segmenter.eval()
        with self.device.autocast():
            probabilities = segmenter.probabilities(images)
        segmenter.train()
        return probabilities

    @torch.no_grad()
    def _warped_labels(
        self,
        segmenter: Segmenter,
        images: torch.Tensor,
        probabilities: torch.Tensor,
        numbers: list[int],
    ) -> torch.Tensor:
        """Label maps of the images `numbers`, warped to other images by the current registration network."""
        labelled = self.dataset.images(numbers)
        targets = self.dataset.labelled_regions(numbers)
        self.network.eval()
        labelled_regions = self._probabilities(segmenter, labelled)[:, 1:]
        alignment, _, _ = self._align(images, labelled, probabilities[:, 1:], labelled_regions)
        self.network.train()
        return warp(targets, alignment.displacement)

    def _registration_loss(self, first: list[int], second: list[int], *, coarse: bool) -> torch.Tensor:
        fixed, moving = self.dataset.images(first), self.dataset.images(second)
        probabilities = fixed_regions = moving_regions = None
        if self.segmenter is not None:
            # Constants: letting the registration train the segmenter by its own gradient was no better.
            probabilities = self._probabilities(self.segmenter, torch.cat([fixed, moving]))
            fixed_regions, moving_regions = probabilities[:, 1:].split(len(first))
        alignment, small_fixed, small_moving = self._align(fixed, moving, fixed_regions, moving_regions)
        confidence = None
        if probabilities is not None:
            fixed_regions, moving_regions, confidence = self._regions([*first, *second], probabilities)
        distances, landmark_weights = self._distances(first, second, alignment)
        parts = [small_moving] if moving_regions is None else [small_moving, moving_regions]
        warped = warp(torch.cat(parts, 1), alignment.displacement)
        pairs = PairTensors(
            fixed=small_fixed,
            warped=warped[:, :1],
            displacement=alignment.smooth,
            fixed_regions=fixed_regions,
            warped_regions=None if moving_regions is None else warped[:, 1:],
            region_confidence=confidence,
            distances=distances,
            landmark_weights=landmark_weights,
        )
        weights = self.options.weights
        terms = loss_terms(pairs, weights, self.region_weights, coarse=coarse)
        for name, value in terms.items():
            self._terms[name] = [*self._terms.get(name, [])[-49:], float(value.detach())]
        return weighted_sum(terms, weights)

    def _align(
        self,
        fixed: torch.Tensor,
        moving: torch.Tensor,
        fixed_regions: torch.Tensor | None,
        moving_regions: torch.Tensor | None,
    ) -> tuple[Alignment, torch.Tensor, torch.Tensor]:
        """Map of working images (batch, 1, *canvas), and both images on the registration grid."""
        small_fixed, small_moving = downsample(fixed, DOWNSAMPLING), downsample(moving, DOWNSAMPLING)
        inputs = [
            image if regions is None else torch.cat([image, regions], 1)
            for image, regions in ((small_fixed, fixed_regions), (small_moving, moving_regions))
        ]
        with self.device.autocast():
            alignment = self.network(*inputs)
        return alignment, small_fixed, small_moving

    def _regions(
        self, numbers: list[int], probabilities: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Regions of the fixed and of the moving images, from a label map if there is one, and their confidence.

        Parameters
        ----------
        numbers : list of int
            Of the fixed images, then of the moving ones.
        probabilities : (2 * batch, 1 + labels, *grid) tensor
            From the segmenter.

        Returns
        -------
        fixed, moving : (batch, labels, *grid) tensors
        confidence : (batch, labels) tensor
            Product of both.
        """
        rows, confidences = [], []
        for number, predicted in zip(numbers, probabilities, strict=True):
            manual = self.dataset.regions(number)
            rows.append(predicted[1:] if manual is None else manual[1:])
            confidence = region_confidence(predicted.detach())
            confidences.append(confidence if manual is None else torch.ones_like(confidence))
        fixed, moving = torch.stack(rows).chunk(2)
        confidence_f, confidence_m = torch.stack(confidences).chunk(2)
        return fixed, moving, confidence_f * confidence_m

    def _distances(
        self, first: list[int], second: list[int], alignment: Alignment
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Distances of mapped fixed landmarks from moving ones, as fractions of the longest side, and their weights.

        Both (batch, landmarks), or None without landmarks.
        """
        if not self.dataset.positions.shape[1]:
            return None, None
        fixed, fixed_weights = self.dataset.landmarks(first)
        moving, moving_weights = self.dataset.landmarks(second)
        known = ~(fixed.isnan() | moving.isnan()).any(-1)
        fixed, moving = torch.nan_to_num(fixed), torch.nan_to_num(moving)
        mapped = fixed + sample(alignment.displacement, fixed).transpose(1, 2)
        # Masked before and after the norm: its gradient at an unknown landmark would be NaN, and spoil all others.
        offsets = torch.where(known[..., None], mapped - moving, torch.zeros_like(mapped))
        side = max(alignment.displacement.shape[2:])
        distances = (offsets.norm(dim=-1) / side).masked_fill(~known, float("nan"))
        return distances, fixed_weights * moving_weights
