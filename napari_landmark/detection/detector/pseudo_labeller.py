"""Search for pseudo-labels in a cohort: by matching the templates, by a detector, and by refinement of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.detector.detector import DetectorNetwork, detector_prior
from napari_landmark.detection.detector.outlier_screening import screen_outliers
from napari_landmark.detection.detector.pseudo_labels import PseudoLabels, pseudo_labelled_images
from napari_landmark.detection.embedding.feature_extractor import FeatureExtractor
from napari_landmark.detection.embedding.template_matching import (
    Template,
    cycle_weight,
    describe_templates,
    match_templates,
)
from napari_landmark.detection.refinement.local_refinement import (
    LocalRefiner,
    embedding_prior,
    refine_positions,
)
from napari_landmark.learning.batches import load_batch
from napari_landmark.learning.device import Device
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

_LEAST_WEIGHT = 0.05
_BATCH = 4  # images


@dataclass(frozen=True)
class PseudoLabeller:
    """Searches for the templates' landmarks in a cohort.

    Every method returns None once `cancel` is set.
    """

    cohort: Cohort
    templates: Sequence[Template]
    device: Device
    progress: Progress | None = None
    cancel: CancelToken | None = None

    def match(self, extractor: FeatureExtractor) -> PseudoLabels | None:
        """Match the templates in whole images, and screen the matches by the shape model."""
        numbers = pseudo_labelled_images(len(self.cohort), [t.index for t in self.templates])
        descriptors = describe_templates(extractor, self.cohort, self.templates, self.device)
        matches = []
        for start in range(0, len(numbers), _BATCH):
            if self._cancelled():
                return None
            batch = numbers[start : start + _BATCH]
            maps = extractor.embed(load_batch(self.cohort, batch, 1, self.device))
            matches += [
                match_templates(extractor, descriptors, [m[k : k + 1] for m in maps])
                for k in range(len(batch))
            ]
            self._report("matching template", (start + _BATCH) / (len(numbers) + _BATCH))
        if self._cancelled():
            return None
        positions, weights = screen_outliers(
            np.stack([match.positions for match in matches]),
            cycle_weight(np.stack([match.cycle_error for match in matches])),
            extractor,
            self.cohort,
            descriptors,
            numbers=numbers,
            device=self.device,
        )
        return self._of_cohort(numbers, positions, weights, embedding_prior(extractor))

    def detect(self, detector: DetectorNetwork, numbers: Sequence[int]) -> PseudoLabels | None:
        """Detect the landmarks in the images of these numbers, with weight 1 each."""
        found = []
        for done, number in enumerate(numbers, 1):
            if self._cancelled():
                return None
            image = load_batch(self.cohort, [int(number)], detector.config.downsampling, self.device)
            found.append(detector.vote(image, self.device).positions[0].cpu().numpy())
            self._report("detecting landmarks", done / len(numbers))
        positions = np.stack(found)
        return self._of_cohort(numbers, positions, np.ones(positions.shape[:2]), detector_prior(detector))

    def refine(self, refiner: LocalRefiner, labels: PseudoLabels) -> PseudoLabels | None:
        """Refine known positions; little consensus reduces the weight."""
        positions, weights = labels.positions.copy(), labels.weights.copy()
        consensus = np.full(weights.shape, np.nan)
        for done, number in enumerate(labels.numbers, 1):
            if self._cancelled():
                return None
            image = self.cohort.working(int(number))
            found = refine_positions(refiner, image, positions[number], self.device, prior=labels.prior)
            positions[number], consensus[number] = found.positions, found.consensus
            weights[number] *= np.clip(found.consensus + _LEAST_WEIGHT, 0, 1)
            self._report("refining positions", done / len(labels.numbers))
        return replace(labels, positions=positions, weights=weights, consensus=consensus)

    def _of_cohort(
        self, numbers: Sequence[int], positions: np.ndarray, weights: np.ndarray, prior: float
    ) -> PseudoLabels:
        """Rows of the images of these numbers as pseudo-labels of the whole cohort."""
        all_positions = np.full((len(self.cohort), *positions.shape[1:]), np.nan)
        all_weights = np.zeros(all_positions.shape[:2])
        all_positions[numbers], all_weights[numbers] = positions, weights
        templates = tuple(template.index for template in self.templates)
        return PseudoLabels(all_positions, all_weights, prior, templates=templates)

    def _report(self, stage: str, fraction: float) -> None:
        if self.progress:
            self.progress(ProgressEvent(stage, fraction))

    def _cancelled(self) -> bool:
        return self.cancel is not None and self.cancel.cancelled
