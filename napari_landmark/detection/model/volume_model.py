"""Trained landmark model of volumes: an annotated volume that is aligned with each other one."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import numpy as np
import torch

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.isotropic_grid import isotropic_transform
from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.cohort.working_grid import CanvasTransform, fit_canvas_transform, resample
from napari_landmark.data.errors import InputError, UnknownSpacingError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.detection.model.detection import Detection
from napari_landmark.detection.model.predictor import PoseNotFoundError
from napari_landmark.detection.model.uncertainty import alignment_error
from napari_landmark.detection.volumes.alignment import Alignment, align
from napari_landmark.detection.volumes.atlas import Atlas
from napari_landmark.detection.volumes.heatmaps import alignment_heatmaps
from napari_landmark.detection.volumes.pyramid import Pyramid
from napari_landmark.learning.device import Device

LEAST_AGREEMENT = 0.75
"""Agreement, relative to that of most training volumes, below which a pose is wrong."""
_LEAST_OVERLAP = 0.4
_HEATMAP_SIDE = 64  # cells of the longest side


class VolumeModel:
    """Atlas of a cohort of volumes.

    Parameters
    ----------
    schema : LandmarkSchema
    canvas : tuple of int
        Shape of the working grid of the cohort.
    atlas : Atlas
    has_spacing : bool
        Whether lengths in the atlas are mm; voxels otherwise.
    typical_agreement : float
        Median agreement of the atlas with the training volumes.
    typical_spread : (n,) tensor
        Mean scatter of the matches around each landmark over the training volumes, see `Alignment`.
    device : Device
        Alignment runs on the processor, whatever it is.
    record : dict
        Options, device, templates, data fingerprint and versions of the training.
    """

    def __init__(
        self,
        schema: LandmarkSchema,
        canvas: tuple[int, ...],
        atlas: Atlas,
        *,
        has_spacing: bool,
        typical_agreement: float,
        typical_spread: torch.Tensor,
        device: Device,
        record: dict[str, Any] | None = None,
    ) -> None:
        self.schema, self.canvas, self.device = schema, tuple(canvas), device
        self.atlas, self.has_spacing = atlas, has_spacing
        self.typical_agreement, self.typical_spread = typical_agreement, typical_spread
        self.record = record or {}

    def detect(self, image: MedicalImage, *, heatmaps: bool = False) -> Detection:
        """Predict the landmarks of a volume of any size, spacing and pose.

        Raises
        ------
        InputError
            A picture; or its spacing is not known and that of the template is.
        PoseNotFoundError
        """
        target, transform = self.prepare(image)
        alignment = align(self.atlas, target)
        self._check_pose(alignment, image.name)
        positions = alignment.landmarks
        positions = torch.where(target.contains(positions)[:, None], positions, torch.nan)
        error = alignment_error(alignment.spread.double().numpy(), typical=self.typical_spread.numpy())
        landmarks = LandmarkSet.from_array(
            self.schema,
            transform.to_native(positions.double().numpy() / target.cell),
            status=Status.PREDICTED,
            confidence=alignment.correlation.clamp(0, 1).double().numpy(),
            expected_error=error * transform.scale,
        )
        factor = math.ceil(max(target.shape) / _HEATMAP_SIDE)
        maps = alignment_heatmaps(self.atlas, target, alignment, factor=factor).numpy() if heatmaps else None
        middle = np.full(len(self.canvas), (factor - 1) / 2)
        return Detection(
            landmarks,
            maps,
            transform.matrix * factor,
            transform.matrix @ middle + transform.offset,
            self._pose(alignment, target),
            float(np.nanmean(error)),
        )

    def _pose(self, alignment: Alignment, target: Pyramid) -> Pose:
        """Similarity nearest to the affine map of an alignment, between the working grids of template and volume."""
        volume, cells = self.atlas.volume, np.vstack([np.zeros(3), np.eye(3)])
        grids = [fit_canvas_transform(Geometry(tuple(v.shape)), self.canvas) for v in (volume, target)]
        centre = (np.asarray(self.canvas) - 1) / 2
        source = grids[0].to_native(centre + cells) * volume.cell
        matrix, shift, middle = (
            tensor.double().numpy() for tensor in (alignment.matrix, alignment.shift, self.atlas.centre)
        )
        found = grids[1].to_working(((source - middle) @ matrix.T + shift) / target.cell)
        affine = (found[1:] - found[0]).T
        u, _, vt = np.linalg.svd(affine)
        scale = abs(np.linalg.det(affine)) ** (1 / 3)
        return Pose(scale * u @ vt, (found[0] - centre) / max(self.canvas))

    def detect_in_cohort(self, cohort: Cohort, number: int, *, heatmaps: bool = False) -> Detection:
        """Predict the landmarks of volume `number` of a cohort, read from its file."""
        return self.detect(cohort.read(number), heatmaps=heatmaps)

    def prepare(self, image: MedicalImage) -> tuple[Pyramid, CanvasTransform]:
        """A volume on cells as long as the atlas', and the transform from these to the native volume.

        Raises
        ------
        InputError
            See `detect`.
        """
        if image.geometry.ndim != len(self.canvas):
            raise InputError(
                f"{image.name}: has {image.geometry.ndim} dimensions, the model was trained on volumes"
            )
        if self.has_spacing and not image.geometry.has_spacing:
            raise UnknownSpacingError(f"{image.name}: its spacing is not known, that of the template is")
        cell = self.atlas.volume.cell
        transform = isotropic_transform(image.geometry, cell)
        return Pyramid(resample(image, transform), cell), transform

    def digest(self) -> str:
        """SHA-256 over schema names, atlas and typical values: equal for models that predict the same."""
        total = hashlib.sha256(json.dumps([self.schema.names, self.canvas, self.has_spacing]).encode())
        total.update(json.dumps([self.atlas.volume.cell, round(self.typical_agreement, 6)]).encode())
        for tensor in (self.atlas.volume.level(1), self.atlas.landmarks, self.typical_spread):
            total.update(tensor.float().contiguous().numpy().tobytes())
        return total.hexdigest()

    def _check_pose(self, alignment: Alignment, name: str) -> None:
        usual = self.typical_agreement
        if alignment.agreement < LEAST_AGREEMENT * usual or alignment.overlap < _LEAST_OVERLAP:
            raise PoseNotFoundError(
                f"{name}: resembles the template in no pose (correlation {alignment.agreement:.2f}, "
                f"usual {usual:.2f}); place its landmarks by hand"
            )
