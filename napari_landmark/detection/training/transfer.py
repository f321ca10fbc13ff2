"""Transfer of landmarks from annotated images to another by embedding and refinement alone, without any detector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.embedding.template_matching import (
    Template,
    describe_templates,
    match_templates,
)
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.detection.refinement.local_refinement import (
    build_local_refiner,
    embedding_prior,
    refine_positions,
)
from napari_landmark.detection.refinement.patch_embedding import PatchEmbedding


class Transfer:
    """Landmarks of images, as the embeddings find them in others: the way that a template's own landmarks go first.

    Parameters
    ----------
    model : LandmarkModel
        Gives the embedding and the device.
    patches : PatchEmbedding
    cohort : Cohort
        As the images were drawn in the training.
    images : sequence of Template
        That are transferred from.
    """

    def __init__(
        self, model: LandmarkModel, patches: PatchEmbedding, cohort: Cohort, images: Sequence[Template]
    ) -> None:
        self._embedding, self._device = model.embedding, model.device
        self._refiner = build_local_refiner(patches, cohort, images, model.device)
        self._descriptors = describe_templates(model.embedding, cohort, images, model.device)

    def to(self, pixels: NDArray[np.float32]) -> NDArray[np.float64]:
        """Positions (n, d) in an image on the working grid; finite also for landmarks that no image shows."""
        image = self._device.to(torch.from_numpy(np.ascontiguousarray(pixels))[None, None])
        coarse = match_templates(self._embedding, self._descriptors, self._embedding.embed(image)).positions
        prior = embedding_prior(self._embedding)
        return refine_positions(self._refiner, pixels, coarse, self._device, prior=prior).positions
