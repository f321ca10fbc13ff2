"""Trained landmark model: inference on one image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
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
from napari_landmark.detection.model.uncertainty import (
    detector_error,
    match_error,
    native_error,
    refinement_error,
)
from napari_landmark.detection.refinement.local_refinement import (
    LocalRefiner,
    embedding_prior,
    refine_positions,
)
from napari_landmark.detection.refinement.native_refinement import (
    NativeRefiner,
    read_native,
    refine_on_native_pixels,
)
from napari_landmark.learning.batches import downsample
from napari_landmark.learning.device import Device


@dataclass(frozen=True)
class Detection:
    """Predicted landmarks of one image, with d axes.

    Parameters
    ----------
    landmarks : LandmarkSet
        Predictions in native index coordinates in array axis order ([y, x] or [z, y, x]), with confidence 0..1 and
        expected error in native pixels. A landmark that no template shows is unplaced.
    heatmaps : (n_landmarks, *cells) float32 array or None
        Per landmark, 0..1 with the peak at 1; zeros for a landmark that no template shows. Their grid is coarser than
        the working grid.
    heatmap_matrix, heatmap_offset : (d, d) and (d,) float arrays
        Native index = matrix @ heatmap index + offset, both in pixels of their grid and array axis order.
    """

    landmarks: LandmarkSet
    heatmaps: np.ndarray | None
    heatmap_matrix: np.ndarray
    heatmap_offset: np.ndarray


@dataclass(frozen=True)
class _CoarsePrediction:
    """Prediction of a network that sees the whole image, before refinement; lengths in pixels of the working grid.

    Parameters
    ----------
    positions : (n_landmarks, d) float array
    confidence, error : (n_landmarks,) float arrays
        Confidence (not clipped) and expected error.
    heatmaps : (n_landmarks, *cells) tensor or None
        Not normalised.
    stride : int
        Pixels per cell of the heatmaps.
    prior : float
        Standard deviation of the true positions around these.
    """

    positions: np.ndarray
    confidence: np.ndarray
    error: np.ndarray
    heatmaps: torch.Tensor | None
    stride: int
    prior: float


class LandmarkModel:
    """Embedding with the templates' descriptors and, after a complete training, local refiner and detector.

    Parameters
    ----------
    schema : LandmarkSchema
    canvas : tuple of int
        Shape of the working grid that the networks were trained on, in array axis order.
    embedding : Embedding
    descriptors : Descriptors
        Of the templates.
    detector : DetectorNetwork or None
        None after a training that was cancelled early: the templates are matched by the embedding instead.
    refiner : LocalRefiner or None
        None after a training that was cancelled early: predictions are not refined.
    native_refiner : NativeRefiner or None
        Refines once more on native pixels; None where the templates have about as many as the working grid.
    device : Device
    record : dict
        Options, device, templates, data fingerprint and versions of the training.
    """

    def __init__(
        self,
        schema: LandmarkSchema,
        canvas: tuple[int, ...],
        embedding: Embedding,
        descriptors: Descriptors,
        detector: DetectorNetwork | None,
        *,
        refiner: LocalRefiner | None = None,
        native_refiner: NativeRefiner | None = None,
        device: Device,
        record: dict | None = None,
    ) -> None:
        self.schema, self.canvas, self.device = schema, tuple(canvas), device
        self.embedding = embedding.use_device(device).eval()
        self.descriptors, self.detector = descriptors, detector
        self.refiner, self.native_refiner = refiner, native_refiner
        self.record = record or {}
        if detector is not None:
            detector.eval()

    def detect(self, image: MedicalImage, *, heatmaps: bool = False) -> Detection:
        """Predict the landmarks of an image of any size and spacing.

        Parameters
        ----------
        heatmaps : bool
            Return heatmaps, too.

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
        pixels = resample(image, canvas_transform)
        return self.detect_working(pixels, canvas_transform, native=image, heatmaps=heatmaps)

    def detect_in_cohort(self, cohort: Cohort, number: int, *, heatmaps: bool = False) -> Detection:
        """Predict the landmarks of image `number` of a cohort.

        The cached image is used where the cohort has the model's working grid. A cohort of another working size, or
        whose median proportions changed, is read from its files, and so are images refined on their native pixels.
        """
        if tuple(cohort.canvas) != self.canvas:
            return self.detect(cohort.read(number), heatmaps=heatmaps)
        canvas_transform = cohort.canvas_transform(number)
        finer = self.native_refiner
        native = read_native(cohort, number) if finer and finer.suits(canvas_transform) else None
        return self.detect_working(cohort.working(number), canvas_transform, native=native, heatmaps=heatmaps)

    def detect_working(
        self,
        pixels: np.ndarray,
        canvas_transform: CanvasTransform,
        *,
        native: MedicalImage | None = None,
        heatmaps: bool = False,
    ) -> Detection:
        """Predict the landmarks of an image that was resampled to the working grid.

        Parameters
        ----------
        pixels : (*canvas) float32 array
            Intensities 0..1.
        canvas_transform : CanvasTransform
            From the working grid to the native image.
        native : MedicalImage, optional
            The native image; without it predictions are refined on the working grid alone.
        """
        image = self.device.to(torch.from_numpy(np.ascontiguousarray(pixels))[None, None])
        if self.detector is None:
            coarse = self._match(image, heatmaps=heatmaps)
        else:
            coarse = self._detect(self.detector, image)
        positions, error = coarse.positions, coarse.error
        absent = self.descriptors.positions[..., 0].isnan().all(0).cpu().numpy()  # no template shows these
        if self.refiner is not None:
            refined = refine_positions(self.refiner, pixels, positions, self.device, prior=coarse.prior)
            positions = refined.between(positions)
            consensus = np.where(absent, np.nan, refined.consensus)
            error = refinement_error(error, consensus=consensus, typical=self.refiner.typical)
        finer = self.native_refiner
        if finer is not None and native is not None and finer.suits(canvas_transform):
            found = refine_on_native_pixels(finer, native, canvas_transform, positions, self.device)
            positions = found.between(positions)
            error = native_error(error, consensus=np.where(absent, np.nan, found.consensus))
        positions = np.where(absent[:, None], np.nan, positions)
        landmarks = LandmarkSet.from_array(
            self.schema,
            canvas_transform.to_native(positions),
            status=Status.PREDICTED,
            confidence=np.clip(coarse.confidence, 0, 1),
            expected_error=error * canvas_transform.scale,
        )
        stride = coarse.stride
        return Detection(
            landmarks,
            _normalised(coarse.heatmaps, absent) if heatmaps and coarse.heatmaps is not None else None,
            canvas_transform.matrix * stride,
            canvas_transform.matrix @ np.full(len(self.canvas), (stride - 1) / 2) + canvas_transform.offset,
        )

    def _match(self, image: torch.Tensor, *, heatmaps: bool) -> _CoarsePrediction:
        """Match the templates by the embedding in an image (1, 1, *canvas)."""
        maps = self.embedding.embed(image)
        positions, similarity, cycle, heat = match_templates(
            self.embedding, self.descriptors, maps, keep_heatmaps=heatmaps
        )
        error = match_error(similarity=similarity, cycle=cycle, canvas=self.canvas)
        stride = self.embedding.strides[-1]
        return _CoarsePrediction(positions, similarity, error, heat, stride, embedding_prior(self.embedding))

    def _detect(self, detector: DetectorNetwork, image: torch.Tensor) -> _CoarsePrediction:
        """Apply the detector to an image (1, 1, *canvas)."""
        config = detector.config
        votes = detector.vote(downsample(image, config.downsampling), self.device)
        error = detector_error(
            spread=votes.spread[0].cpu().numpy(), sigma=config.sigma * config.downsampling, canvas=self.canvas
        )
        return _CoarsePrediction(
            votes.positions[0].cpu().numpy(),
            votes.confidence[0].cpu().numpy(),
            error,
            votes.heatmaps[0],
            config.downsampling * config.finest_stride,
            detector_prior(detector),
        )

    def digest(self) -> str:
        """SHA-256 over schema names, working grid, weights and descriptors: equal for models that predict the same."""
        total = hashlib.sha256(json.dumps([self.schema.names, self.canvas]).encode())
        networks = [self.embedding, self.detector, self.refiner.network if self.refiner else None]
        parts: list[Mapping[str, torch.Tensor]] = [
            {} if network is None else network.state_dict() for network in networks
        ]
        parts.append({"positions": self.descriptors.positions})
        parts.append({f"vectors.{k}": vectors for k, vectors in enumerate(self.descriptors.vectors)})
        if self.refiner is not None:
            parts.append({f"close.{k}": v for k, v in enumerate(self.refiner.descriptors.vectors)})
        if self.native_refiner is not None:
            parts.append(
                {f"native.{k}": v for k, v in enumerate(self.native_refiner.refiner.descriptors.vectors)}
            )
        for tensors in parts:
            for name, value in sorted(tensors.items()):
                total.update(name.encode())
                total.update(value.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
        return total.hexdigest()


def _normalised(heatmaps: torch.Tensor, absent: np.ndarray) -> np.ndarray:
    """Heatmaps (n_landmarks, *cells) with the peak of each at 1; zeros where the landmark is absent."""
    heatmaps = heatmaps.clone()
    heatmaps[torch.from_numpy(absent)] = 0
    peak = heatmaps.flatten(1).amax(1).clamp(min=1e-9)
    return (heatmaps / peak.view(-1, *[1] * (heatmaps.ndim - 1))).float().cpu().numpy()
