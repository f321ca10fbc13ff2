"""Labels that a detector learns from: found by the embedding, looked at closely, found again by the detector itself.

A thousand images teach as well as ten thousand: in larger cohorts only a part is labelled, spread over all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.detector.detector import DetectorNetwork
from napari_landmark.detection.embedding.embedding import Embedding
from napari_landmark.detection.embedding.template_matching import (
    Template,
    describe_templates,
    match_cohort,
    refine,
)
from napari_landmark.detection.refinement.local_refinement import (
    LocalRefiner,
    detector_prior,
    embedding_prior,
    refine_positions,
)
from napari_landmark.learning.batches import load_batch
from napari_landmark.learning.device import Device
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

MAX_PSEUDO_LABELLED = 1000
_LEAST_TRUST = 0.05


@dataclass(frozen=True)
class PseudoLabels:
    """Where landmarks are in the images of a cohort, and how far each is to be trusted.

    Parameters
    ----------
    positions : (n_images, n, d) float array
        On the working canvas; NaN in images that were not looked at.
    weights : (n_images, n) float array
        Trust, 0..1.
    prior : float
        Typical error in canvas pixels, within which it pays to look closely.
    support : (n_images, n) float array or None
        Of a close look, NaN in images that were not looked at; None before one.
    """

    positions: np.ndarray
    weights: np.ndarray
    prior: float
    support: np.ndarray | None = None

    @property
    def numbers(self) -> np.ndarray:
        """Of the images that were looked at."""
        return np.flatnonzero(~np.isnan(self.positions[..., 0]).all(1))


@dataclass(frozen=True)
class PseudoLabeller:
    """Finds the templates' landmarks in a cohort.

    Every method returns None once `cancel` is set.
    """

    cohort: Cohort
    templates: Sequence[Template]
    device: Device
    progress: Progress | None = None
    cancel: CancelToken | None = None

    def match(self, embedding: Embedding) -> PseudoLabels | None:
        """With the embedding of whole images; gross errors are searched again or lose their trust."""
        numbers = pseudo_labelled_images(len(self.cohort), [t.index for t in self.templates])
        descriptors = describe_templates(embedding, self.cohort, list(self.templates), self.device)
        matches = match_cohort(
            embedding,
            self.cohort,
            descriptors,
            numbers=numbers,
            device=self.device,
            progress=self.progress,
            cancel=self.cancel,
        )
        if self._stopped():
            return None
        found = refine(matches, embedding, self.cohort, descriptors, numbers=numbers, device=self.device)
        return self._scattered(numbers, *found, embedding_prior(embedding))

    def detect(self, detector: DetectorNetwork, numbers: Sequence[int]) -> PseudoLabels | None:
        """With a detector."""
        found = []
        for done, number in enumerate(numbers, 1):
            if self._stopped():
                return None
            image = load_batch(self.cohort, [int(number)], detector.config.downsampling, self.device)
            found.append(detector.vote(image, self.device).positions[0].cpu().numpy())
            self._report("finding the landmarks again", done / len(numbers))
        positions = np.stack(found)
        return self._scattered(numbers, positions, np.ones(positions.shape[:2]), detector_prior(detector))

    def look(self, look: LocalRefiner, places: PseudoLabels) -> PseudoLabels | None:
        """With a close-up, near known places; what has little support loses its trust."""
        positions, weights = places.positions.copy(), places.weights.copy()
        support = np.full(weights.shape, np.nan)
        for done, number in enumerate(places.numbers, 1):
            if self._stopped():
                return None
            found = refine_positions(
                look, self.cohort.working(int(number)), positions[number], self.device, prior=places.prior
            )
            positions[number], support[number] = found.positions, found.support
            weights[number] *= np.clip(found.support + _LEAST_TRUST, 0, 1)
            self._report("looking closely", done / len(places.numbers))
        return PseudoLabels(positions, weights, places.prior, support)

    def _scattered(
        self, numbers: Sequence[int], positions: np.ndarray, weights: np.ndarray, prior: float
    ) -> PseudoLabels:
        everywhere = np.full((len(self.cohort), *positions.shape[1:]), np.nan)
        trust = np.zeros(everywhere.shape[:2])
        everywhere[numbers], trust[numbers] = positions, weights
        return PseudoLabels(everywhere, trust, prior)

    def _report(self, stage: str, fraction: float) -> None:
        if self.progress:
            self.progress(ProgressEvent(stage, fraction))

    def _stopped(self) -> bool:
        return self.cancel is not None and self.cancel.cancelled


def pseudo_labelled_images(count: int, templates: Sequence[int]) -> list[int]:
    """Numbers of at most `MAX_PSEUDO_LABELLED` images spread over a cohort, and those of all templates."""
    spread = np.unique(np.linspace(0, count - 1, min(count, MAX_PSEUDO_LABELLED)).round().astype(int))
    return sorted({*spread.tolist(), *templates})
