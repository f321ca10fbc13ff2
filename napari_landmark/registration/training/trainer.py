"""One step of training a registration: a batch of pairs, the segmenter's answers, and the loss.

Following DeepAtlas (Xu, Niethammer: "DeepAtlas: joint semi-supervised learning of image registration and
segmentation", MICCAI 2019): a segmenter carries the few label maps to all images, and its soft answers tell the
registration which regions belong together, as far as they can be trusted.
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
    distorted_copies,
    region_confidence,
    segmentation_loss,
)
from napari_landmark.registration.options import RegistrationOptions
from napari_landmark.registration.registration_grid import DOWNSAMPLING
from napari_landmark.registration.training.dataset import RegistrationDataset
from napari_landmark.registration.transform.fields_torch import warp

_REGIONS_FIRST = 0.2  # part of the training before the registration starts to learn
_OWN_ANSWERS = 0.15  # ... and before the segmenter learns from its own answers
_WARPED_ANSWERS = 0.5  # ... and before label maps are carried over by the registration
_COARSE = 0.6  # ... and up to which coarser scales count; after that only the finest
_BATCH = {2: 4, 3: 1}  # pairs; and images with and without label map while the segmenter learns alone


class Trainer:
    """The networks and one step of their training."""

    def __init__(
        self, material: RegistrationDataset, options: RegistrationOptions, generator: torch.Generator
    ) -> None:
        self.material, self.options, self.generator = material, options, generator
        self.device = material.device
        dims, regions = material.cohort.ndim, len(material.labels)
        self.segmenter = Segmenter(SegmenterConfig(dims, regions)) if regions else None
        self.network = RegistrationNetwork(NetworkConfig(dims, regions))
        parts = {"registration": self.network} | ({"segmenter": self.segmenter} if self.segmenter else {})
        self.networks = nn.ModuleDict(parts).to(
            self.device.torch_device, memory_format=fast_memory_format(dims)
        )
        # Batch normalisation needs two values: at the coarsest level such a grid has one.
        smallest = max(material.cohort.canvas) // DOWNSAMPLING <= COARSEST_STRIDE
        self.batch = max(2, _BATCH[dims]) if smallest else _BATCH[dims]
        self.region_weights = options.weights.region_weights(material.labels)
        self._terms: dict[str, list[float]] = {}

    def step(self, fraction: float) -> torch.Tensor:
        """Loss of one batch."""
        if self.segmenter is None:
            return self._registration_loss(fraction)
        loss = self._segmentation_loss(fraction)
        return loss if fraction < _REGIONS_FIRST else loss + self._registration_loss(fraction)

    def last_terms(self) -> dict[str, float]:
        """Mean of every term of the objective over the last steps."""
        return {name: round(float(np.mean(values)), 5) for name, values in self._terms.items()}

    def _draw(self, count: int) -> list[int]:
        return torch.randint(len(self.material), (count,), generator=self.generator).tolist()

    def _draw_labelled(self, count: int) -> list[int]:
        known = self.material.labelled
        chosen = torch.randint(len(known), (count,), generator=self.generator).tolist()
        return [known[i] for i in chosen]

    def _segmentation_loss(self, fraction: float) -> torch.Tensor:
        # Later most of the time goes to the registration, which has more to learn.
        count = self.batch if fraction < _REGIONS_FIRST else max(1, self.batch // 2)
        numbers = self._draw_labelled(count)
        images = self.material.images(numbers)
        targets = torch.stack([self.material.regions(n) for n in numbers])
        trust = torch.ones_like(targets[:, :1])
        if fraction >= _OWN_ANSWERS:
            others = self._draw(count)
            plain = self.material.images(others)
            answers = self._answers(plain)
            if self.options.warped_labels and fraction >= _WARPED_ANSWERS:
                answers = (answers + self._carried(plain, answers)) / 2
            images, targets = torch.cat([images, plain]), torch.cat([targets, answers])
            trust = torch.cat([trust, (2 * answers.amax(1, keepdim=True) - 1).clamp(0, 1)])
        copies, both = distorted_copies(images, torch.cat([targets, trust], 1), self.generator)
        with self.device.autocast():
            scores = self.segmenter(copies)
        return segmentation_loss(scores, both[:, :-1], both[:, -1])

    @torch.no_grad()
    def _answers(self, images: torch.Tensor) -> torch.Tensor:
        self.segmenter.eval()
        with self.device.autocast():
            answers = self.segmenter.probabilities(images)
        self.segmenter.train()
        return answers

    @torch.no_grad()
    def _carried(self, images: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        """Label maps of labelled images, carried to other images by the registration as it is."""
        numbers = self._draw_labelled(len(images))
        labelled = self.material.images(numbers)
        targets = torch.stack([self.material.regions(n) for n in numbers])
        self.network.eval()
        alignment, _, _ = self._align(images, labelled, answers[:, 1:], self._answers(labelled)[:, 1:])
        self.network.train()
        return warp(targets, alignment.displacement)

    def _registration_loss(self, fraction: float) -> torch.Tensor:
        first, second = self._draw(self.batch), self._draw(self.batch)
        fixed, moving = self.material.images(first), self.material.images(second)
        probabilities = None
        if self.segmenter is not None:
            # Taken as given: letting the registration teach the segmenter by its own gradient was no better.
            probabilities = self._answers(torch.cat([fixed, moving]))
        known = [None, None] if probabilities is None else probabilities[:, 1:].split(self.batch)
        alignment, small_fixed, small_moving = self._align(fixed, moving, *known)
        regions = self._regions(first, second, probabilities)
        distances, trust = self._distances(first, second, alignment)
        parts = [small_moving] + ([regions[1]] if regions else [])
        warped = warp(torch.cat(parts, 1), alignment.displacement)
        scene = PairTensors(
            small_fixed,
            warped[:, :1],
            alignment.smooth,
            regions[0] if regions else None,
            warped[:, 1:] if regions else None,
            regions[2] if regions else None,
            distances,
            trust,
        )
        weights = self.options.weights
        terms = loss_terms(scene, weights, self.region_weights, coarse=fraction < _COARSE)
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
        small = [downsample(images, DOWNSAMPLING) for images in (fixed, moving)]
        seen = [
            image if regions is None else torch.cat([image, regions], 1)
            for image, regions in zip(small, (fixed_regions, moving_regions), strict=True)
        ]
        with self.device.autocast():
            alignment = self.network(*seen)
        return alignment, *small

    def _regions(
        self, first: list[int], second: list[int], probabilities: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
        """Regions of fixed and of moving images and how far both are to be trusted; a person's word wins."""
        if probabilities is None:
            return None
        rows, trusts = [], []
        for number, answer in zip([*first, *second], probabilities, strict=True):
            known = self.material.regions(number)
            trusts.append(
                region_confidence(answer.detach())
                if known is None
                else torch.ones_like(answer[1:, *[0] * (answer.ndim - 1)])
            )
            rows.append(answer[1:] if known is None else known[1:])
        regions, trust = torch.stack(rows), torch.stack(trusts)
        fixed, moving = regions.split(self.batch)
        return fixed, moving, trust[: self.batch] * trust[self.batch :]

    def _distances(
        self, first: list[int], second: list[int], alignment: Alignment
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """How far known landmarks of the fixed image land from those of the moving one, per canvas side."""
        if not self.material.positions.shape[1]:
            return None, None
        points, trust = self.material.landmarks(first)
        wanted, other = self.material.landmarks(second)
        known = ~(points.isnan() | wanted.isnan()).any(-1)
        points, wanted = torch.nan_to_num(points), torch.nan_to_num(wanted)
        moved = points + sample(alignment.displacement, points).transpose(1, 2)
        # Masked before and after the length: the gradient of an unknown one would be NaN, and spoil all others.
        away = torch.where(known[..., None], moved - wanted, torch.zeros_like(moved)).norm(dim=-1)
        side = max(alignment.displacement.shape[2:])
        return (away / side).masked_fill(~known, float("nan")), trust * other
