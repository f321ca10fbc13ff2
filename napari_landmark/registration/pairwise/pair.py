"""Prepared pair: two images on the registration grid with their regions and landmarks, as tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
from napari_landmark.registration.label_overlap import WarpedLabelMaps, label_centroids, most_common
from napari_landmark.registration.losses import LossWeights, PairTensors
from napari_landmark.registration.networks.registration_network import Alignment
from napari_landmark.registration.networks.segmenter import region_confidence
from napari_landmark.registration.options import PAIR_VALUES
from napari_landmark.registration.registration_grid import (
    DOWNSAMPLING,
    grid_positions,
    label_grid,
    label_probabilities,
    landmark_weight,
)
from napari_landmark.registration.transform.affine_from_points import affine_from_points, region_centroids
from napari_landmark.registration.transform.fields_torch import positions, warp

# By number of axes:
_GRID_STEP = {2: 32, 3: 16}  # sides of a grid without a network are multiples of it, see `downsampled`
_LEAST_REGION = 4  # pixels; a smaller region may be noise
_FINEST = {2: 2, 3: 1}  # pixels of the images along a cell, at least

LabelMaps = tuple[NDArray[np.integer] | None, NDArray[np.integer] | None]


@dataclass(frozen=True)
class MatchedRegions:
    """Regions of both images.

    Parameters
    ----------
    labels : tuple of int
        Of the regions, in order.
    fixed, moving : (1, labels, *grid) tensors
        Probabilities; 0 for a region without confidence.
    confidence : (1, labels) tensor
        Product of the confidence in both images, 0..1.
    """

    labels: tuple[int, ...]
    fixed: torch.Tensor
    moving: torch.Tensor
    confidence: torch.Tensor


@dataclass(frozen=True)
class MatchedLabelMaps:
    """Label maps of both images with so many labels that their probabilities would not fit into memory.

    Parameters
    ----------
    labels : tuple of int
        Of the regions, in order.
    fixed, moving : (*grid) tensors of int64
        Number of the region of each pixel, from 1 on; 0 for none.
    """

    labels: tuple[int, ...]
    fixed: torch.Tensor
    moving: torch.Tensor


@dataclass(frozen=True)
class MatchedLandmarks:
    """Landmarks of both images, matched by name.

    Parameters
    ----------
    fixed, moving : (1, landmarks, d) tensors
        Positions in pixels of the registration grid.
    weights : (1, landmarks) tensor
        0..1.
    """

    fixed: torch.Tensor
    moving: torch.Tensor
    weights: torch.Tensor


@dataclass
class PreparedPair:
    """Input of the loss of one pair; all tensors on one device.

    Parameters
    ----------
    canvas : tuple of int
        Shape of the working grid that both images were resampled to; the registration grid has half its sides.
    canvas_transforms : pair of CanvasTransform
        Of the fixed and the moving image.
    fixed, moving : (1, 1, *grid) tensors
    device : Device
    regions : MatchedRegions or None
    landmarks : MatchedLandmarks or None
    label_maps : MatchedLabelMaps or None
        Instead of `regions`.
    """

    canvas: tuple[int, ...]
    canvas_transforms: tuple[CanvasTransform, CanvasTransform]
    fixed: torch.Tensor
    moving: torch.Tensor
    device: Device
    regions: MatchedRegions | None = None
    landmarks: MatchedLandmarks | None = None
    label_maps: MatchedLabelMaps | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the registration grid."""
        return tuple(self.fixed.shape[2:])

    @property
    def labels(self) -> tuple[int, ...]:
        """Labels of the regions, in order."""
        known = self.regions or self.label_maps
        return () if known is None else known.labels

    @classmethod
    def from_images(
        cls, fixed: MedicalImage, moving: MedicalImage, *, working_size: int, device: Device
    ) -> PreparedPair:
        """Resample both images to a working grid of their own, whose longest side is `working_size`."""
        geometries, dims = (fixed.geometry, moving.geometry), fixed.geometry.ndim
        grid = working_canvas(
            geometries, working_size // DOWNSAMPLING, multiple=_GRID_STEP[dims], downsampling=_FINEST[dims]
        )
        canvas = tuple(n * DOWNSAMPLING for n in grid)
        transforms = _canvas_transforms(*geometries, canvas)
        # Drawn on the registration grid at once: the working grid of a volume would be eight times as large.
        small = [
            device.to(torch.from_numpy(resample(image, fit_canvas_transform(image.geometry, grid))))[
                None, None
            ]
            for image in (fixed, moving)
        ]
        return cls(canvas, transforms, small[0], small[1], device)

    @classmethod
    def from_tensors(
        cls,
        fixed: torch.Tensor,
        moving: torch.Tensor,
        *,
        geometries: tuple[Geometry, Geometry],
        canvas: tuple[int, ...],
        device: Device,
    ) -> PreparedPair:
        """Take images that are on the registration grid already, (1, 1, *grid) tensors."""
        return cls(canvas, _canvas_transforms(*geometries, canvas), fixed, moving, device)

    def add_label_maps(
        self,
        maps: LabelMaps,
        *,
        model_labels: Sequence[int] = (),
        probabilities: tuple[torch.Tensor | None, torch.Tensor | None] = (None, None),
    ) -> None:
        """Set the regions: from the label map of an image if it is given, else from the segmenter.

        Without a segmenter, and with more labels than `PAIR_VALUES` has room for, the label maps themselves are set.

        Parameters
        ----------
        maps : pair of integer arrays in the shapes of the images, or None
        model_labels : sequence of int
            Labels of the segmenter.
        probabilities : pair of (1 + labels, *grid) tensors, or None
            From the segmenter, background first.
        """
        labels = sorted((_values(maps[0]) & _values(maps[1])) | set(model_labels))
        if not labels:
            return
        fixed, moving = maps
        many = len(labels) * math.prod(self.shape) > PAIR_VALUES
        if many and fixed is not None and moving is not None and not model_labels:
            grids = [
                self.device.to(label_grid(label_map, labels, canvas_transform))
                for label_map, canvas_transform in zip((fixed, moving), self.canvas_transforms, strict=True)
            ]
            self.label_maps = MatchedLabelMaps(tuple(labels), *grids)
            return
        rows, confidences = [], []
        for label_map, predicted, canvas_transform in zip(
            maps, probabilities, self.canvas_transforms, strict=True
        ):
            if label_map is not None:
                rows.append(self.device.to(label_probabilities(label_map, labels, canvas_transform)[1:]))
                # A label that a map lacks may not have been drawn: no evidence about the region of the other image.
                present = _values(label_map)
                drawn = [float(label in present) for label in labels]
                confidences.append(torch.tensor(drawn, device=self.device.torch_device))
                continue
            regions = torch.zeros(len(labels), *self.shape, device=self.device.torch_device)
            confidence = torch.zeros(len(labels), device=self.device.torch_device)
            if predicted is not None:
                own = region_confidence(predicted)
                for number, label in enumerate(model_labels):
                    row = labels.index(label)
                    regions[row], confidence[row] = predicted[1 + number], own[number]
            rows.append(regions)
            confidences.append(confidence)
        both = (confidences[0] * confidences[1])[None]
        counts = (both > 0).float().view(1, -1, *[1] * len(self.shape))
        self.regions = MatchedRegions(tuple(labels), rows[0][None] * counts, rows[1][None] * counts, both)

    def add_landmarks(self, fixed: LandmarkSet | None, moving: LandmarkSet | None) -> None:
        """Set the landmarks that have a position in both images, matched by name."""
        if fixed is None or moving is None:
            return
        native: tuple[list[tuple[float, ...]], list[tuple[float, ...]]] = ([], [])
        weights = []
        for name, mark in fixed.items():
            other = moving.get(name)
            if mark.position is None or other is None or other.position is None:
                continue
            native[0].append(mark.position)
            native[1].append(other.position)
            weights.append(landmark_weight(mark) * landmark_weight(other))
        if not weights:
            return
        first, second = (
            self.device.to(torch.from_numpy(grid_positions(points, transform).astype(np.float32)))[None]
            for points, transform in zip(native, self.canvas_transforms, strict=True)
        )
        self.landmarks = MatchedLandmarks(first, second, self.device.to(torch.tensor([weights])))

    def matched_affine(self, weights: LossWeights) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Fit an affine map to the landmarks and the centroids of the regions, as `affine_from_points` does.

        None without matches of a weight above 0.
        """
        fixed, moving, weight = [], [], []
        if self.landmarks is not None and weights.landmarks:
            middle = (torch.tensor(self.shape, device=self.landmarks.fixed.device) - 1) / 2
            fixed.append(self.landmarks.fixed - middle)
            moving.append(self.landmarks.moving - middle)
            weight.append(self.landmarks.weights)
        if self.regions is not None:
            centroids_f, confidence_f = region_centroids(self.regions.fixed)
            centroids_m, confidence_m = region_centroids(self.regions.moving)
            fixed.append(centroids_f)
            moving.append(centroids_m)
            counts = (weights.region_weights(self.labels) > 0).float().to(confidence_f.device)
            weight.append(confidence_f * confidence_m * self.regions.confidence * counts)
        if self.label_maps is not None:
            count = len(self.labels)
            first, sizes_f = label_centroids(self.label_maps.fixed, count)
            second, sizes_m = label_centroids(self.label_maps.moving, count)
            counts = weights.region_weights(self.labels).to(sizes_f) > 0
            known = (torch.minimum(sizes_f, sizes_m) > _LEAST_REGION) & counts
            fixed.append(first[None])
            moving.append(second[None])
            weight.append(known[None].float())
        if not weight or float(torch.cat(weight, 1).sum()) <= 0:
            return None
        return affine_from_points(
            torch.cat(fixed, 1), torch.cat(moving, 1), torch.cat(weight, 1), half=max(self.shape) / 2
        )

    def downsampled(self, factor: int) -> PreparedPair:
        """The same pair on a grid with cells as long as `factor` of this one; its sides are multiples of it."""
        if factor == 1:
            return self
        regions, landmarks, label_maps = self.regions, self.landmarks, self.label_maps
        if label_maps is not None:
            small = [most_common(part, factor) for part in (label_maps.fixed, label_maps.moving)]
            label_maps = replace(label_maps, fixed=small[0], moving=small[1])
        if regions is not None:
            regions = replace(
                regions, fixed=downsample(regions.fixed, factor), moving=downsample(regions.moving, factor)
            )
        if landmarks is not None:
            fixed, moving = ((part + 0.5) / factor - 0.5 for part in (landmarks.fixed, landmarks.moving))
            landmarks = replace(landmarks, fixed=fixed, moving=moving)
        return replace(
            self,
            fixed=downsample(self.fixed, factor),
            moving=downsample(self.moving, factor),
            regions=regions,
            landmarks=landmarks,
            label_maps=label_maps,
        )

    def warped(self, alignment: Alignment) -> PairTensors:
        """Warp the pair by a candidate map: the input of the loss."""
        regions, landmarks, label_maps = self.regions, self.landmarks, self.label_maps
        parts = [self.moving] + ([] if regions is None else [regions.moving])
        warped = warp(torch.cat(parts, 1), alignment.displacement)
        distances = None
        if landmarks is not None:
            mapped = landmarks.fixed + sample(alignment.displacement, landmarks.fixed).transpose(1, 2)
            distances = (mapped - landmarks.moving).norm(dim=-1) / max(self.shape)
        return PairTensors(
            fixed=self.fixed,
            warped=warped[:, :1],
            # Second derivatives of a volume's finest grid would cost more than the images.
            displacement=alignment.coarse if len(self.shape) == 3 else alignment.smooth,
            fixed_regions=None if regions is None else regions.fixed,
            warped_regions=None if regions is None else warped[:, 1:],
            region_confidence=None if regions is None else regions.confidence,
            distances=distances,
            landmark_weights=None if landmarks is None else landmarks.weights,
            label_maps=None
            if label_maps is None
            else WarpedLabelMaps(label_maps.fixed, label_maps.moving, positions(alignment.displacement)[0]),
        )


def _canvas_transforms(
    fixed: Geometry, moving: Geometry, canvas: tuple[int, ...]
) -> tuple[CanvasTransform, CanvasTransform]:
    return fit_canvas_transform(fixed, canvas), fit_canvas_transform(moving, canvas)


def _values(labels: NDArray[np.integer] | None) -> set[int]:
    return set() if labels is None else {int(value) for value in np.unique(labels)} - {0}
