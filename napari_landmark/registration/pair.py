"""Registering one pair: from a model or from nothing, by optimising the objective on the pair itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from napari_landmark.data.cohort import working_canvas
from napari_landmark.data.errors import InputError
from napari_landmark.data.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.placement import Placement, fit_placement, place
from napari_landmark.learning.batches import shrink_images
from napari_landmark.learning.device import Device, choose_device
from napari_landmark.learning.memory import freed_memory_kept
from napari_landmark.learning.progress import CancelToken, Progress, ProgressEvent
from napari_landmark.learning.sampling import sample
from napari_landmark.registration.field import warp
from napari_landmark.registration.grids import check_alike
from napari_landmark.registration.labelled_cohort import SHRINK, label_probabilities
from napari_landmark.registration.model import RegistrationModel
from napari_landmark.registration.network import Alignment, finish_alignment
from napari_landmark.registration.objective import ObjectiveWeights, Scene, objective_terms, total
from napari_landmark.registration.options import PAIR_SIZE, PAIR_WEIGHTS, PairOptions
from napari_landmark.registration.registration import Registration, canvas_transform
from napari_landmark.registration.segmenter import region_trust
from napari_landmark.registration.start import AffineStart, affine_start

_STEPS_ALONE, _STEPS_AFTER_MODEL = {2: 150, 3: 50}, 30
_LEARNING_RATE = 0.1  # cells per step, for the velocity
_AFFINE_RATE = 2e-3


def register_pair(
    fixed: MedicalImage,
    moving: MedicalImage,
    *,
    model: RegistrationModel | None = None,
    fixed_labels: NDArray[np.integer] | None = None,
    moving_labels: NDArray[np.integer] | None = None,
    fixed_landmarks: LandmarkSet | None = None,
    moving_landmarks: LandmarkSet | None = None,
    options: PairOptions = PairOptions(),
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Registration:
    """Find where every point of the fixed image lies in the moving image.

    Without a model the start is an affine map found by SimpleITK; with one it is what the network says. Then the
    objective of the training is optimised on the pair itself. Whatever is known of both images helps: label maps
    (a label counts where both maps have it; a model's segmenter fills in for a map that is not given), and landmarks.

    Parameters
    ----------
    fixed, moving : MedicalImage
        Of any size and spacing.
    fixed_labels, moving_labels : integer arrays of the images' shapes, optional
    fixed_landmarks, moving_landmarks : LandmarkSet, optional
        In native index coordinates of their images.

    Returns
    -------
    Registration
        After a cancel: as far as it came.

    Raises
    ------
    InputError
        A picture with a volume, or a label map of another size than its image.
    """
    check_alike(fixed.geometry, moving.geometry)
    for image, labels in ((fixed, fixed_labels), (moving, moving_labels)):
        if labels is not None and labels.shape != image.array.shape:
            raise InputError(
                f"{image.name}: its label map has the shape {labels.shape}, the image {image.array.shape}: "
                "both must agree"
            )
    started = time.monotonic()
    device = choose_device(options.device) if model is None else model.device
    if progress:
        progress(ProgressEvent("finding the start", 0.0))
    ready = _prepare(fixed, moving, model, fixed_labels, moving_labels, options, device)
    ready.add_landmarks(fixed_landmarks, moving_landmarks)
    steps = options.steps
    if steps is None:
        steps = _STEPS_ALONE[fixed.geometry.ndim] if model is None else _STEPS_AFTER_MODEL
    weights = options.weights
    if weights is None:
        weights = PAIR_WEIGHTS[fixed.geometry.ndim] if model is None else model.weights
    with freed_memory_kept():
        alignment, terms = _optimise(ready, steps, weights, progress, cancel)
    if progress and not (cancel and cancel.cancelled):
        progress(ProgressEvent("registering", 1.0, 0.0, step=steps))
    displacement = alignment.displacement[0].cpu().numpy()
    transform = canvas_transform(displacement, fixed.geometry, moving.geometry, ready.canvas)
    said = ready.said if model is not None else (None, None)
    return Registration(transform, time.monotonic() - started, terms, *said)


@dataclass
class _Pair:
    """A pair on the registration grid, with everything known about it."""

    canvas: tuple[int, ...]
    placements: tuple[Placement, Placement]
    fixed: torch.Tensor
    moving: torch.Tensor
    start: Alignment
    device: Device
    diffeomorphic: bool = True
    labels: tuple[int, ...] = ()
    fixed_regions: torch.Tensor | None = None
    moving_regions: torch.Tensor | None = None
    trust: torch.Tensor | None = None
    said: tuple[NDArray | None, NDArray | None] = (None, None)
    points: torch.Tensor | None = None
    wanted: torch.Tensor | None = None
    point_trust: torch.Tensor | None = None

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
                1.0 if m.status.by_person or m.confidence is None else m.confidence for m in (mark, other)
            ]
            rows.append((mark.position, other.position, sure[0] * sure[1]))
        if not rows:
            return
        cells = [
            (placement.to_working([row[i] for row in rows]) + 0.5) / SHRINK - 0.5
            for i, placement in enumerate(self.placements)
        ]
        self.points, self.wanted = (
            self.device.to(torch.from_numpy(c.astype(np.float32)))[None] for c in cells
        )
        self.point_trust = self.device.to(torch.tensor([[row[2] for row in rows]]))

    def scene(self, alignment: Alignment) -> Scene:
        """The pair under a candidate map."""
        parts = [self.moving] + ([] if self.moving_regions is None else [self.moving_regions])
        warped = warp(torch.cat(parts, 1), alignment.displacement)
        distances = None
        if self.points is not None:
            moved = self.points + sample(alignment.displacement, self.points).transpose(1, 2)
            distances = (moved - self.wanted).norm(dim=-1) / max(self.fixed.shape[2:])
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


def _prepare(
    fixed: MedicalImage,
    moving: MedicalImage,
    model: RegistrationModel | None,
    fixed_labels: NDArray[np.integer] | None,
    moving_labels: NDArray[np.integer] | None,
    options: PairOptions,
    device: Device,
) -> _Pair:
    geometries = [fixed.geometry, moving.geometry]
    if model is None:
        size = options.working_size or PAIR_SIZE[fixed.geometry.ndim]
        canvas = working_canvas(geometries, size)
        placements = tuple(fit_placement(geometry, canvas) for geometry in geometries)
        drawn = [
            device.to(torch.from_numpy(place(image, placement))[None, None])
            for image, placement in zip((fixed, moving), placements, strict=True)
        ]
        small = [shrink_images(image, SHRINK) for image in drawn]
        start = _classical(small, placements, geometries, options, device)
        ready = _Pair(canvas, placements, *small, start, device)
        said: list[torch.Tensor | None] = [None, None]
        labels = sorted(_values(fixed_labels) & _values(moving_labels))
    else:
        answer = model.predict(fixed, moving)
        canvas = model.canvas
        placements = tuple(fit_placement(geometry, canvas) for geometry in geometries)
        ready = _Pair(canvas, placements, answer.fixed, answer.moving, answer.alignment, device)
        ready.diffeomorphic = model.network.config.diffeomorphic
        said = [answer.fixed_scores, answer.moving_scores]
        ready.said = tuple(None if s is None else s[1:].cpu().numpy() for s in said)
        both = _values(fixed_labels) & _values(moving_labels)
        labels = sorted(both | set(model.labels) if model.labels else both)
    _add_regions(ready, labels, model, said, (fixed_labels, moving_labels))
    return ready


def _add_regions(
    ready: _Pair,
    labels: list[int],
    model: RegistrationModel | None,
    said: list[torch.Tensor | None],
    maps: tuple[NDArray[np.integer] | None, NDArray[np.integer] | None],
) -> None:
    """Regions of both images: from a person's map where there is one, else from the segmenter."""
    if not labels:
        return
    rows, trusts = [], []
    for scores, given, placement in zip(said, maps, ready.placements, strict=True):
        if given is not None:
            rows.append(ready.device.to(label_probabilities(given, labels, placement)[1:]))
            # A label that a map lacks may not have been drawn: it says nothing about the other image's.
            drawn = [float(label in _values(given)) for label in labels]
            trusts.append(torch.tensor(drawn, device=ready.device.torch_device))
            continue
        known = torch.zeros(len(labels), *ready.fixed.shape[2:], device=ready.device.torch_device)
        sure = torch.zeros(len(labels), device=ready.device.torch_device)
        if scores is not None and model is not None:
            own = region_trust(scores)
            for row, label in enumerate(labels):
                if label in model.labels:
                    at = model.labels.index(label)
                    known[row], sure[row] = scores[1 + at], own[at]
        rows.append(known)
        trusts.append(sure)
    ready.labels = tuple(labels)
    ready.trust = (trusts[0] * trusts[1])[None]
    counts = (ready.trust > 0).float().view(1, -1, *[1] * (ready.fixed.ndim - 2))
    ready.fixed_regions, ready.moving_regions = rows[0][None] * counts, rows[1][None] * counts


def _values(labels: NDArray[np.integer] | None) -> set[int]:
    return set() if labels is None else {int(value) for value in np.unique(labels)} - {0}


def _classical(
    small: list[torch.Tensor],
    placements: tuple[Placement, ...],
    geometries: list,
    options: PairOptions,
    device: Device,
) -> Alignment:
    """An affine start without a model."""
    arrays = [image[0, 0].cpu().numpy() for image in small]
    scale = 1.0
    if all(geometry.has_spacing for geometry in geometries):
        units = [p.scale * g.mean_spacing for p, g in zip(placements, geometries, strict=True)]
        scale = units[0] / units[1]
    turned = options.any_rotation if options.any_rotation is not None else arrays[0].ndim == 3
    constant = any(np.ptp(array) == 0 for array in arrays)
    found = (
        AffineStart(np.eye(arrays[0].ndim) * scale, np.zeros(arrays[0].ndim))
        if constant
        else affine_start(*arrays, scale=scale, any_rotation=turned)
    )
    matrix, shift = (
        device.to(torch.from_numpy(value.astype(np.float32)))[None] for value in (found.matrix, found.shift)
    )
    shape = arrays[0].shape
    velocity = torch.zeros(1, len(shape), *[n // 2 for n in shape], device=device.torch_device)
    return finish_alignment(matrix, shift, velocity, shape)


def _optimise(
    ready: _Pair,
    steps: int,
    weights: ObjectiveWeights,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> tuple[Alignment, Mapping[str, float]]:
    """Adam on affine map and velocity; keeps the start where nothing can be compared."""
    shape = tuple(ready.fixed.shape[2:])
    matrix, shift, velocity = (
        part.detach().clone().float().requires_grad_()
        for part in (ready.start.matrix, ready.start.shift, ready.start.velocity)
    )
    optimizer = torch.optim.Adam(
        [
            {"params": [velocity], "lr": _LEARNING_RATE},
            {"params": [matrix], "lr": _AFFINE_RATE},
            {"params": [shift], "lr": _LEARNING_RATE},
        ]
    )
    region_weights = weights.region_weights(ready.labels)
    terms: dict[str, torch.Tensor] = {}
    started = time.monotonic()
    for step in range(steps):
        if cancel and cancel.cancelled:
            break
        optimizer.zero_grad(set_to_none=True)
        alignment = finish_alignment(matrix, shift, velocity, shape, diffeomorphic=ready.diffeomorphic)
        terms = objective_terms(ready.scene(alignment), weights, region_weights)
        if not terms:
            break
        loss = total(terms, weights)
        loss.backward()
        # The gradient of a place, not of a share of a mean: steps are cells whatever the size of the grid.
        velocity.grad = _smoothed(torch.nan_to_num(velocity.grad))
        factor = min(1.0, 3 * (1 - step / steps))
        for group, rate in zip(
            optimizer.param_groups, (_LEARNING_RATE, _AFFINE_RATE, _LEARNING_RATE), strict=True
        ):
            group["lr"] = rate * factor
        optimizer.step()
        if progress and step % 5 == 0:
            left = (time.monotonic() - started) / (step + 1) * (steps - step - 1)
            progress(ProgressEvent("registering", step / steps, left, float(loss.detach()), step))
    with torch.no_grad():
        alignment = finish_alignment(matrix, shift, velocity, shape, diffeomorphic=ready.diffeomorphic)
        if ready.start.velocity.shape == velocity.shape and not steps:
            alignment = ready.start
    return alignment, {name: float(value.detach()) for name, value in terms.items()}


def _smoothed(gradient: torch.Tensor) -> torch.Tensor:
    """A gradient without its finest detail, which would only crumple the field."""
    pool = {2: F.avg_pool2d, 3: F.avg_pool3d}[gradient.ndim - 2]
    for _ in range(2):
        gradient = pool(gradient, 3, stride=1, padding=1, count_include_pad=False)
    return gradient
