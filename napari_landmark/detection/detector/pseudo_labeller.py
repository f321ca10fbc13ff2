"""Search for pseudo-labels in a cohort: by matching the templates, by a detector, and by refinement of both.

Completely annotated images that are no template are not searched: their annotation is the label.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property

import numpy as np

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.detector.detector import DetectorNetwork, detector_prior
from napari_landmark.detection.detector.outlier_screening import screen_outliers
from napari_landmark.detection.detector.pseudo_labels import PseudoLabels, pseudo_labelled_images
from napari_landmark.detection.embedding.feature_extractor import FeatureExtractor
from napari_landmark.detection.embedding.template_matching import (
    Descriptors,
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

LEAST_WEIGHT = 0.05
"""Of a pseudo-label without any consensus."""
_BATCH = 4  # images


@dataclass(frozen=True)
class PseudoLabeller:
    """Searches for the templates' landmarks in a cohort.

    Every method returns None once `cancel` is set.

    Parameters
    ----------
    cohort : Cohort
    templates : sequence of Template
        Annotated images that are matched in the others.
    device : Device
    progress : Progress, optional
    cancel : CancelToken, optional
    annotated : sequence of Template
        All annotated images; by default the templates.
    aside : collection of int
        Images in which nothing is searched: of unknown pose, or of something else.
    """

    cohort: Cohort
    templates: Sequence[Template]
    device: Device
    progress: Progress | None = None
    cancel: CancelToken | None = None
    _: KW_ONLY
    annotated: Sequence[Template] = ()
    aside: Collection[int] = ()

    def match(
        self, extractor: FeatureExtractor, descriptors: Descriptors | None = None
    ) -> PseudoLabels | None:
        """Match the templates in whole images, and screen the matches by the shape model.

        `descriptors` are those of the templates by that extractor, computed where they are not given.
        """
        if descriptors is None:
            descriptors = describe_templates(extractor, self.cohort, self.templates, self.device)
        spread = pseudo_labelled_images(len(self.cohort), self._annotated_numbers)
        numbers = [number for number in spread if number not in self.aside]
        searched = [number for number in numbers if number not in self._labels]
        matches = []
        for start in range(0, len(searched), _BATCH):
            if self._cancelled():
                return None
            batch = searched[start : start + _BATCH]
            maps = extractor.embed(load_batch(self.cohort, batch, 1, self.device))
            matches += [
                match_templates(extractor, descriptors, [m[k : k + 1] for m in maps])
                for k in range(len(batch))
            ]
            self._report("matching template", (start + _BATCH) / (len(searched) + _BATCH))
        if self._cancelled():
            return None
        found = dict(zip(searched, matches, strict=True))
        some = matches[0].cycle_error
        positions, weights = screen_outliers(
            np.stack([found[n].positions if n in found else self._labels[n] for n in numbers]),
            np.stack(
                [cycle_weight(found[n].cycle_error) if n in found else np.ones_like(some) for n in numbers]
            ),
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
            if number in self._labels:
                found.append(self._labels[number])
            else:
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
            if int(number) in self._labels:
                continue
            image = self.cohort.working(int(number))
            found = refine_positions(refiner, image, positions[number], self.device, prior=labels.prior)
            positions[number], consensus[number] = found.positions, found.consensus
            weights[number] *= np.clip(found.consensus + LEAST_WEIGHT, 0, 1)
            self._report("refining positions", done / len(labels.numbers))
        return replace(labels, positions=positions, weights=weights, consensus=consensus)

    def _of_cohort(
        self, numbers: Sequence[int], positions: np.ndarray, weights: np.ndarray, prior: float
    ) -> PseudoLabels:
        """Rows of the images of these numbers as pseudo-labels of the whole cohort."""
        all_positions = np.full((len(self.cohort), *positions.shape[1:]), np.nan)
        all_weights = np.zeros(all_positions.shape[:2])
        all_positions[numbers], all_weights[numbers] = positions, weights
        return PseudoLabels(all_positions, all_weights, prior, annotated=self._annotated_numbers)

    @property
    def _annotated_numbers(self) -> tuple[int, ...]:
        return tuple(image.index for image in self.annotated or self.templates)

    @cached_property
    def _labels(self) -> dict[int, np.ndarray]:
        """Positions in the completely annotated images that are no template, by number of the image."""
        templates = {template.index for template in self.templates}
        return {
            image.index: image.positions
            for image in self.annotated
            if image.index not in templates and not np.isnan(image.positions).any()
        }

    def _report(self, stage: str, fraction: float) -> None:
        if self.progress:
            self.progress(ProgressEvent(stage, fraction))

    def _cancelled(self) -> bool:
        return self.cancel is not None and self.cancel.cancelled
