"""Trained landmark model of volumes: annotated volumes that are aligned with each other one.

Several templates vote, as in MALPACA (Zhang et al., PLoS ONE 2022).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.fine_grid import FineGrid, fine_grids
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
_CONFIDENCE_POWER = 8  # of a landmark's correlation, as the weight of an atlas
_LEAST_CORRELATION = 0.01


class TemplateAtlas(NamedTuple):
    """Atlas of one template.

    Parameters
    ----------
    atlas : Atlas
    typical_agreement : float
        Its median agreement with the training volumes.
    matrix : (3, 3) tensor
        Linear part of the affine map from the atlas of the first template.
    shift : (3,) tensor
        Of that map: position in this atlas of the centre of the first.
    """

    atlas: Atlas
    typical_agreement: float
    matrix: torch.Tensor
    shift: torch.Tensor

    @classmethod
    def first(cls, atlas: Atlas, typical_agreement: float) -> TemplateAtlas:
        """The atlas of the first template."""
        return cls(atlas, typical_agreement, torch.eye(3), atlas.centre)

    def resembles(self, alignment: Alignment) -> bool:
        """Whether the agreement of an alignment of the atlas is that of a pose that was found."""
        return (
            alignment.agreement >= LEAST_AGREEMENT * self.typical_agreement
            and alignment.overlap >= _LEAST_OVERLAP
        )


class VolumeModel:
    """Atlases of a cohort of volumes.

    Parameters
    ----------
    schema : LandmarkSchema
    canvas : tuple of int
        Shape of the working grid of the cohort.
    templates : sequence of TemplateAtlas
        With cells of one length.
    has_spacing : bool
        Whether lengths in the atlases are mm; voxels otherwise.
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
        templates: Sequence[TemplateAtlas],
        *,
        has_spacing: bool,
        typical_spread: torch.Tensor,
        device: Device,
        record: dict[str, Any] | None = None,
    ) -> None:
        self.schema, self.canvas, self.device = schema, tuple(canvas), device
        self.templates, self.has_spacing = tuple(templates), has_spacing
        self.typical_spread = typical_spread
        self.record = record or {}

    def detect(self, image: MedicalImage, *, heatmaps: bool = False) -> Detection:
        """Predict the landmarks of a volume of any size, spacing and pose.

        Raises
        ------
        InputError
            A picture; or its spacing is not known and that of the template is.
        PoseNotFoundError
        """
        target, transform, finer = self.prepare(image)
        found = self._align(target, finer, image.name)
        weights = torch.stack([one.correlation for _, one in found]).clamp(min=_LEAST_CORRELATION)
        weights = weights.nan_to_num(0.0) ** _CONFIDENCE_POWER
        weights = weights / weights.sum(0)

        def vote(values: list[torch.Tensor]) -> torch.Tensor:
            """Weighted mean (n, ...) over the atlases; NaN where none has the landmark."""
            stacked = torch.stack(values)
            given = weights.view(*weights.shape, *[1] * (stacked.ndim - 2))
            return (stacked.nan_to_num(0.0) * given).sum(0)

        positions = vote([one.landmarks for _, one in found])
        correlation, spread = (
            vote([getattr(one, name) for _, one in found]) for name in ("correlation", "spread")
        )
        positions = torch.where(target.contains(positions)[:, None], positions, torch.nan)
        cells = vote([torch.full_like(one.spread, one.cell / target.cell) for _, one in found])
        error = alignment_error(spread.double().numpy(), typical=self.typical_spread.numpy()) * cells.numpy()
        landmarks = LandmarkSet.from_array(
            self.schema,
            transform.to_native(positions.double().numpy() / target.cell),
            status=Status.PREDICTED,
            confidence=correlation.clamp(0, 1).double().numpy(),
            expected_error=error * transform.scale,
        )
        factor = math.ceil(max(target.shape) / _HEATMAP_SIDE)
        maps = None
        if heatmaps:
            template, best = max(found, key=lambda one: one[1].agreement)
            maps = alignment_heatmaps(template.atlas, target, best, factor=factor).numpy()
        middle = np.full(len(self.canvas), (factor - 1) / 2)
        return Detection(
            landmarks,
            maps,
            transform.matrix * factor,
            transform.matrix @ middle + transform.offset,
            self._pose(*found[0], target),
            float(np.nanmean(error)),
        )

    def _align(
        self, target: Pyramid, finer: Sequence[FineGrid], name: str
    ) -> list[tuple[TemplateAtlas, Alignment]]:
        """Templates that resemble a volume, with their alignments."""
        aligned = [(template, align(template.atlas, target, finer=finer)) for template in self.templates]
        found = [(template, one) for template, one in aligned if template.resembles(one)]
        if not found:
            template, best = max(aligned, key=lambda one: one[1].agreement)
            raise PoseNotFoundError(
                f"{name}: resembles the template in no pose (correlation {best.agreement:.2f}, "
                f"usual {template.typical_agreement:.2f}); place its landmarks by hand"
            )
        return found

    def _pose(self, template: TemplateAtlas, alignment: Alignment, target: Pyramid) -> Pose:
        """Similarity nearest to an alignment, from the working grid of the first template to that of the volume."""
        first, cells = self.templates[0].atlas, np.vstack([np.zeros(3), np.eye(3)])
        grids = [fit_canvas_transform(Geometry(tuple(v.shape)), self.canvas) for v in (first.volume, target)]
        centre = (np.asarray(self.canvas) - 1) / 2
        source = grids[0].to_native(centre + cells) * first.volume.cell
        points = torch.from_numpy(source).float()
        points = (points - first.centre) @ template.matrix.T + template.shift
        points = (points - template.atlas.centre) @ alignment.matrix.T + alignment.shift
        found = grids[1].to_working(points.double().numpy() / target.cell)
        affine = (found[1:] - found[0]).T
        u, _, vt = np.linalg.svd(affine)
        scale = abs(np.linalg.det(affine)) ** (1 / 3)
        return Pose(scale * u @ vt, (found[0] - centre) / max(self.canvas))

    def detect_in_cohort(self, cohort: Cohort, number: int, *, heatmaps: bool = False) -> Detection:
        """Predict the landmarks of volume `number` of a cohort, read from its file."""
        return self.detect(cohort.read(number), heatmaps=heatmaps)

    def prepare(self, image: MedicalImage) -> tuple[Pyramid, CanvasTransform, tuple[FineGrid, ...]]:
        """A volume on cells as long as the atlases', the transform from these to the native volume, and finer grids.

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
        atlas = self.templates[0].atlas
        cell = atlas.volume.cell
        transform = isotropic_transform(image.geometry, cell)
        finer = fine_grids(image, transform, cell=cell, cells=[one.cell for one in atlas.finer])
        return Pyramid(resample(image, transform), cell), transform, finer

    def digest(self) -> str:
        """SHA-256 over schema names, atlases and typical values: equal for models that predict the same."""
        total = hashlib.sha256(json.dumps([self.schema.names, self.canvas, self.has_spacing]).encode())
        tensors = [self.typical_spread]
        for atlas, agreement, matrix, shift in self.templates:
            total.update(json.dumps([atlas.volume.cell, round(agreement, 6)]).encode())
            tensors += [atlas.volume.level(1), atlas.landmarks, matrix, shift]
            tensors += [part for fine in atlas.finer for part in (fine.cubes, fine.centres)]
        for tensor in tensors:
            total.update(tensor.float().contiguous().numpy().tobytes())
        return total.hexdigest()
