"""Two images on the registration grid, with all that is known of both: regions, landmarks, how far to trust them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from napari_landmark.data.cohort.cohort import working_canvas
from napari_landmark.data.cohort.working_grid import CanvasTransform, fit_canvas_transform, resample
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.learning.batches import downsample
from napari_landmark.learning.device import Device
from napari_landmark.learning.interpolation import sample
from napari_landmark.registration.losses import LossWeights, Scene
from napari_landmark.registration.networks.registration_network import Alignment
from napari_landmark.registration.networks.segmenter import region_trust
from napari_landmark.registration.pairwise.affine_from_points import affine_from_points, region_centroids
from napari_landmark.registration.training.dataset import DOWNSAMPLING, label_probabilities
from napari_landmark.registration.transform.fields_torch import warp

LabelMaps = tuple[NDArray[np.integer] | None, NDArray[np.integer] | None]


@dataclass
class PreparedPair:
    """What the objective of a pair is computed from; all tensors on one device.

    Parameters
    ----------
    canvas : tuple of int
        Working shape both images were placed on; the grid has half its sides.
    canvas_transforms : pair of CanvasTransform
        Of the fixed and the moving image.
    fixed, moving : (1, 1, *grid) tensors
    device : Device
    labels : tuple of int
        Of the regions, in order.
    fixed_regions, moving_regions : (1, labels, *grid) tensors or None
    trust : (1, labels) tensor or None
    points, wanted : (1, landmarks, d) tensors or None
        Landmarks of the fixed and of the moving image, in cells.
    point_trust : (1, landmarks) tensor or None
    """

    canvas: tuple[int, ...]
    canvas_transforms: tuple[CanvasTransform, CanvasTransform]
    fixed: torch.Tensor
    moving: torch.Tensor
    device: Device
    labels: tuple[int, ...] = field(default=())
    fixed_regions: torch.Tensor | None = None
    moving_regions: torch.Tensor | None = None
    trust: torch.Tensor | None = None
    points: torch.Tensor | None = None
    wanted: torch.Tensor | None = None
    point_trust: torch.Tensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the grid."""
        return tuple(self.fixed.shape[2:])

    @classmethod
    def of_images(
        cls, fixed: MedicalImage, moving: MedicalImage, *, working_size: int, device: Device
    ) -> PreparedPair:
        """Both images on a canvas of their own."""
        geometries = [fixed.geometry, moving.geometry]
        canvas = working_canvas(geometries, working_size)
        canvas_transforms = tuple(fit_canvas_transform(geometry, canvas) for geometry in geometries)
        drawn = [
            device.to(torch.from_numpy(resample(image, canvas_transform))[None, None])
            for image, canvas_transform in zip((fixed, moving), canvas_transforms, strict=True)
        ]
        return cls(canvas, canvas_transforms, *(downsample(image, DOWNSAMPLING) for image in drawn), device)

    @classmethod
    def on_canvas(
        cls,
        fixed: torch.Tensor,
        moving: torch.Tensor,
        geometries: Sequence[Geometry],
        canvas: tuple[int, ...],
        device: Device,
    ) -> PreparedPair:
        """Images that were placed and shrunk already."""
        canvas_transforms = tuple(fit_canvas_transform(geometry, canvas) for geometry in geometries)
        return cls(canvas, canvas_transforms, fixed, moving, device)

    def add_label_maps(
        self,
        maps: LabelMaps,
        *,
        model_labels: Sequence[int] = (),
        scores: Sequence[torch.Tensor | None] = (None, None),
    ) -> None:
        """Regions of both images: from a person's map where there is one, else from a segmenter.

        Parameters
        ----------
        maps : pair of integer arrays in the images' shapes, or None
        model_labels : sequence of int
            Those of the segmenter.
        scores : pair of (1 + labels, *grid) tensors, or None
            What the segmenter says, background first.
        """
        labels = sorted((_values(maps[0]) & _values(maps[1])) | set(model_labels))
        if not labels:
            return
        rows, trusts = [], []
        for given, said, canvas_transform in zip(maps, scores, self.canvas_transforms, strict=True):
            if given is not None:
                rows.append(self.device.to(label_probabilities(given, labels, canvas_transform)[1:]))
                # A label that a map lacks may not have been drawn: it says nothing about the other image's.
                present = _values(given)
                drawn = [float(label in present) for label in labels]
                trusts.append(torch.tensor(drawn, device=self.device.torch_device))
                continue
            known = torch.zeros(len(labels), *self.shape, device=self.device.torch_device)
            sure = torch.zeros(len(labels), device=self.device.torch_device)
            if said is not None:
                own = region_trust(said)
                for at, label in enumerate(model_labels):
                    row = labels.index(label)
                    known[row], sure[row] = said[1 + at], own[at]
            rows.append(known)
            trusts.append(sure)
        self.labels = tuple(labels)
        self.trust = (trusts[0] * trusts[1])[None]
        counts = (self.trust > 0).float().view(1, -1, *[1] * len(self.shape))
        self.fixed_regions, self.moving_regions = rows[0][None] * counts, rows[1][None] * counts

    def add_landmarks(self, fixed: LandmarkSet | None, moving: LandmarkSet | None) -> None:
        """Landmarks that have a position in both images, matched by name."""
        if fixed is None or moving is None:
            return
        rows = []
        for name, mark in fixed.items():
            other = moving.get(name)
            if mark.position is None or other is None or other.position is None:
                continue
            sure = [
                1.0 if m.status.is_manual or m.confidence is None else m.confidence for m in (mark, other)
            ]
            rows.append((mark.position, other.position, sure[0] * sure[1]))
        if not rows:
            return
        cells = [
            (canvas_transform.to_working([row[i] for row in rows]) + 0.5) / DOWNSAMPLING - 0.5
            for i, canvas_transform in enumerate(self.canvas_transforms)
        ]
        self.points, self.wanted = (
            self.device.to(torch.from_numpy(c.astype(np.float32)))[None] for c in cells
        )
        self.point_trust = self.device.to(torch.tensor([[row[2] for row in rows]]))

    def matched_affine(self, weights: LossWeights) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The affine map that landmarks and the centroids of regions tell; None where there are none that count."""
        here, there, weight = [], [], []
        if self.points is not None and weights.landmarks:
            middle = (torch.tensor(self.shape, device=self.points.device) - 1) / 2
            here.append(self.points - middle)
            there.append(self.wanted - middle)
            weight.append(self.point_trust)
        if self.fixed_regions is not None:
            centroids, sure = region_centroids(self.fixed_regions)
            others, also = region_centroids(self.moving_regions)
            here.append(centroids)
            there.append(others)
            counts = (weights.region_weights(self.labels) > 0).float().to(sure.device)
            weight.append(sure * also * self.trust * counts)
        if not weight or float(torch.cat(weight, 1).sum()) <= 0:
            return None
        parts = (torch.cat(part, 1) for part in (here, there, weight))
        return affine_from_points(*parts, half=max(self.shape) / 2)

    def scene(self, alignment: Alignment) -> Scene:
        """The pair under a candidate map."""
        parts = [self.moving] + ([] if self.moving_regions is None else [self.moving_regions])
        warped = warp(torch.cat(parts, 1), alignment.displacement)
        distances = None
        if self.points is not None:
            moved = self.points + sample(alignment.displacement, self.points).transpose(1, 2)
            distances = (moved - self.wanted).norm(dim=-1) / max(self.shape)
        return Scene(
            self.fixed,
            warped[:, :1],
            alignment.smooth,
            self.fixed_regions,
            None if self.moving_regions is None else warped[:, 1:],
            self.trust,
            distances,
            self.point_trust,
        )


def _values(labels: NDArray[np.integer] | None) -> set[int]:
    return set() if labels is None else {int(value) for value in np.unique(labels)} - {0}
