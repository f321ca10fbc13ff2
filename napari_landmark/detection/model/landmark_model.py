"""What a training leaves: everything needed to find the landmarks in a new image."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import torch

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.working_grid import CanvasTransform, fit_canvas_transform, resample
from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.detection.detector.detector import DetectorNetwork, detector_prior
from napari_landmark.detection.embedding.embedding import Embedding
from napari_landmark.detection.embedding.template_matching import Descriptors, match_templates
from napari_landmark.detection.model.uncertainty import detector_error, match_error, refinement_error
from napari_landmark.detection.refinement.local_refinement import (
    LocalRefiner,
    embedding_prior,
    refine_positions,
)
from napari_landmark.learning.batches import downsample
from napari_landmark.learning.device import Device


@dataclass(frozen=True)
class Detection:
    """Landmarks found in one image.

    Parameters
    ----------
    landmarks : LandmarkSet
        In native index coordinates; confidence 0..1, expected error in native pixels.
    heatmaps : (n, *shape) float32 array or None
        Per landmark, 0..1 with the peak at 1, on a grid of the working canvas.
    heatmap_matrix, heatmap_offset : (d, d) and (d,) arrays
        Native index = matrix @ heatmap index + offset.
    """

    landmarks: LandmarkSet
    heatmaps: np.ndarray | None
    heatmap_matrix: np.ndarray
    heatmap_offset: np.ndarray


@dataclass(frozen=True)
class _Found:
    """What one network says about one image, on the working canvas."""

    positions: np.ndarray
    confidence: np.ndarray
    error: np.ndarray
    heat: torch.Tensor | None
    stride: int
    prior: float


class LandmarkModel:
    """An embedding with the templates' vectors and, after a complete training, a detector.

    Parameters
    ----------
    schema : LandmarkSchema
    canvas : tuple of int
        Working shape the networks were trained on.
    embedding : Embedding
    descriptors : Descriptors
        Of the templates.
    detector : DetectorNetwork or None
        Without one (training was cancelled early) positions come from the embedding alone.
    look : LocalRefiner or None
        Without one (training was cancelled early) positions stay as they were found in the whole image.
    device : Device
    record : dict
        How it was trained: configuration, seed, versions, data fingerprint.
    """

    def __init__(
        self,
        schema: LandmarkSchema,
        canvas: tuple[int, ...],
        embedding: Embedding,
        descriptors: Descriptors,
        detector: DetectorNetwork | None,
        *,
        look: LocalRefiner | None = None,
        device: Device,
        record: dict | None = None,
    ) -> None:
        self.schema, self.canvas, self.device = schema, tuple(canvas), device
        self.embedding, self.descriptors, self.detector = (
            embedding.use_device(device).eval(),
            descriptors,
            detector,
        )
        self.look = look
        self.record = record or {}
        if detector is not None:
            detector.eval()

    def detect(self, image: MedicalImage, *, heatmaps: bool = False) -> Detection:
        """Find the landmarks in an image of any size and spacing.

        Raises
        ------
        InputError
            The image has another number of dimensions than the cohort.
        """
        if image.geometry.ndim != len(self.canvas):
            kind = {2: "2-D images", 3: "volumes"}[len(self.canvas)]
            raise InputError(
                f"{image.name}: has {image.geometry.ndim} dimensions, the model was trained on {kind}"
            )
        canvas_transform = fit_canvas_transform(image.geometry, self.canvas)
        return self.detect_working(resample(image, canvas_transform), canvas_transform, heatmaps=heatmaps)

    def detect_in_cohort(self, cohort: Cohort, number: int, *, heatmaps: bool = False) -> Detection:
        """Find the landmarks in an image of a cohort, on the canvas that the model was trained on.

        A cohort that is drawn at another size, or whose median proportions changed, is read from its files.
        """
        if tuple(cohort.canvas) != self.canvas:
            return self.detect(cohort.read(number), heatmaps=heatmaps)
        return self.detect_working(cohort.working(number), cohort.canvas_transform(number), heatmaps=heatmaps)

    def detect_working(
        self, canvas: np.ndarray, canvas_transform: CanvasTransform, *, heatmaps: bool = False
    ) -> Detection:
        """Find the landmarks in an image that lies on the working canvas already."""
        pixels = self.device.to(torch.from_numpy(np.ascontiguousarray(canvas))[None, None])
        if self.detector is None:
            found = self._matched(pixels, heatmaps)
        else:
            found = self._detected(pixels)
        positions, error, heat, stride = found.positions, found.error, found.heat, found.stride
        unknown = self.descriptors.positions[..., 0].isnan().all(0).cpu().numpy()  # no template shows these
        if self.look is not None:
            closer = refine_positions(self.look, canvas, positions, self.device, prior=found.prior)
            positions = closer.between(positions)
            support = np.where(unknown, np.nan, closer.consensus)
            error = refinement_error(error, support=support, typical=self.look.typical)
        positions = np.where(unknown[:, None], np.nan, positions)
        landmarks = LandmarkSet.from_array(
            self.schema,
            canvas_transform.to_native(positions),
            status=Status.PREDICTED,
            confidence=np.clip(found.confidence, 0, 1),
            expected_error=error * canvas_transform.scale,
        )
        picture = None
        if heatmaps:
            heat = heat.clone()
            heat[torch.from_numpy(unknown)] = 0
            peak = heat.flatten(1).amax(1).clamp(min=1e-9)
            picture = (heat / peak.view(-1, *[1] * (heat.ndim - 1))).float().cpu().numpy()
        return Detection(
            landmarks,
            picture,
            canvas_transform.matrix * stride,
            canvas_transform.matrix @ np.full(len(self.canvas), (stride - 1) / 2) + canvas_transform.offset,
        )

    def _matched(self, pixels: torch.Tensor, heatmaps: bool) -> _Found:
        """What the embedding says about an image (1, 1, *canvas)."""
        maps = self.embedding.embed(pixels)
        positions, similarity, cycle, heat = match_templates(
            self.embedding, self.descriptors, maps, keep_heatmaps=heatmaps
        )
        error = match_error(similarity=similarity, cycle=cycle, canvas=self.canvas)
        stride = self.embedding.strides[-1]
        return _Found(positions, similarity, error, heat, stride, embedding_prior(self.embedding))

    def _detected(self, pixels: torch.Tensor) -> _Found:
        """What the detector says about an image (1, 1, *canvas)."""
        config = self.detector.config
        votes = self.detector.vote(downsample(pixels, config.downsampling), self.device)
        error = detector_error(
            spread=votes.spread[0].cpu().numpy(), sigma=config.sigma * config.downsampling, canvas=self.canvas
        )
        return _Found(
            votes.positions[0].cpu().numpy(),
            votes.confidence[0].cpu().numpy(),
            error,
            votes.heatmaps[0],
            config.downsampling * config.finest_stride,
            detector_prior(self.detector),
        )

    def digest(self) -> str:
        """SHA-256 over the weights, the templates and the names: the same for a model that finds the same."""
        total = hashlib.sha256(json.dumps([self.schema.names, self.canvas]).encode())
        networks = [self.embedding, self.detector, self.look.network if self.look else None]
        parts = [{} if network is None else network.state_dict() for network in networks]
        parts.append({"positions": self.descriptors.positions})
        parts.append({f"vectors.{k}": vectors for k, vectors in enumerate(self.descriptors.vectors)})
        if self.look is not None:
            parts.append({f"close.{k}": v for k, v in enumerate(self.look.descriptors.vectors)})
        for tensors in parts:
            for name, value in sorted(tensors.items()):
                total.update(name.encode())
                total.update(value.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
        return total.hexdigest()
