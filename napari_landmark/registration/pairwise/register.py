"""Registering one pair: from a model or from nothing, by optimising the objective on the pair itself."""

from __future__ import annotations

import time

import numpy as np
import torch
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.learning.device import choose_device
from napari_landmark.learning.malloc import keep_freed_memory
from napari_landmark.progress import CancelToken, Progress, ProgressEvent
from napari_landmark.registration.losses import LossWeights
from napari_landmark.registration.model import Prediction, RegistrationModel
from napari_landmark.registration.networks.registration_network import Alignment, finish_alignment
from napari_landmark.registration.options import PAIR_SIZE, PAIR_WEIGHTS, PairOptions
from napari_landmark.registration.pairwise.affine_initialization import (
    AffineInitialization,
    initialize_affine,
)
from napari_landmark.registration.pairwise.instance_optimization import best_start, optimize_instance
from napari_landmark.registration.pairwise.pair import PreparedPair
from napari_landmark.registration.pairwise.result import Registration, canvas_transform
from napari_landmark.registration.transform.grids import check_alike

_STEPS_ALONE, _STEPS_AFTER_MODEL = {2: 150, 3: 50}, 60


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

    It starts from what the model's network says, from the affine map that regions and landmarks known in both images
    tell, or, without a model or without these, from one found by SimpleITK: whichever is best. Then the objective of
    the training is optimised on the pair itself. Whatever is known of both images helps: label maps (a label counts
    where both maps have it; a model's segmenter fills in for a map that is not given), and landmarks.

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
    geometries, dims = (fixed.geometry, moving.geometry), fixed.geometry.ndim
    maps = (fixed_labels, moving_labels)
    if model is None:
        answer = None
        size = options.working_size or PAIR_SIZE[dims]
        pair = PreparedPair.of_images(fixed, moving, working_size=size, device=choose_device(options.device))
        pair.add_label_maps(maps)
        steps, weights, diffeomorphic = _STEPS_ALONE[dims], PAIR_WEIGHTS[dims], True
    else:
        answer = model.predict(fixed, moving)
        pair = PreparedPair.on_canvas(answer.fixed, answer.moving, geometries, model.canvas, model.device)
        pair.add_label_maps(
            maps, model_labels=model.labels, scores=(answer.fixed_scores, answer.moving_scores)
        )
        steps, weights = _STEPS_AFTER_MODEL, model.weights
        diffeomorphic = model.network.config.diffeomorphic
    pair.add_landmarks(fixed_landmarks, moving_landmarks)
    steps = steps if options.steps is None else options.steps
    weights = weights if options.weights is None else options.weights
    if answer is not None and not steps:
        start = answer.alignment
    else:
        start = best_start(
            pair, _starts(pair, answer, weights, geometries, options, progress, cancel), weights
        )
    with keep_freed_memory():
        alignment, terms = optimize_instance(
            pair,
            start,
            steps=steps,
            weights=weights,
            diffeomorphic=diffeomorphic,
            progress=progress,
            cancel=cancel,
        )
    if progress and not (cancel and cancel.cancelled):
        progress(ProgressEvent("registering", 1.0, 0.0, step=steps))
    displacement = alignment.displacement[0].cpu().numpy()
    transform = canvas_transform(displacement, *geometries, pair.canvas)
    return Registration(transform, time.monotonic() - started, terms, *_regions(answer))


def _starts(
    pair: PreparedPair,
    answer: Prediction | None,
    weights: LossWeights,
    geometries: tuple[Geometry, Geometry],
    options: PairOptions,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> list[Alignment]:
    """Where to start, the most trusted first: the network, regions and landmarks, SimpleITK."""
    starts = [] if answer is None else [answer.alignment]
    matched = pair.matched_affine(weights)
    if matched is not None:
        starts.append(_without_velocity(pair, *matched))
    if answer is None or matched is None:
        # Only volumes without a model are scanned in any position: a cohort's lie alike.
        turned = (
            len(pair.shape) == 3 and answer is None if options.any_rotation is None else options.any_rotation
        )
        starts.append(_classical(pair, geometries, turned, progress, cancel))
    return starts


def _classical(
    pair: PreparedPair,
    geometries: tuple[Geometry, Geometry],
    any_rotation: bool,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Alignment:
    """An affine start from the images alone."""
    arrays = [image[0, 0].cpu().numpy() for image in (pair.fixed, pair.moving)]
    dims, scale = len(pair.shape), 1.0
    if all(geometry.has_spacing for geometry in geometries):
        units = [p.scale * g.mean_spacing for p, g in zip(pair.canvas_transforms, geometries, strict=True)]
        scale = units[0] / units[1]
    if any(np.ptp(array) == 0 for array in arrays):
        found = AffineInitialization(np.eye(dims) * scale, np.zeros(dims))
    else:
        found = initialize_affine(
            *arrays, scale=scale, any_rotation=any_rotation, progress=progress, cancel=cancel
        )
    parts = (
        pair.device.to(torch.from_numpy(value.astype(np.float32)))[None]
        for value in (found.matrix, found.shift)
    )
    return _without_velocity(pair, *parts)


def _without_velocity(pair: PreparedPair, matrix: torch.Tensor, shift: torch.Tensor) -> Alignment:
    dims = len(pair.shape)
    velocity = torch.zeros(1, dims, *[n // 2 for n in pair.shape], device=matrix.device)
    return finish_alignment(matrix, shift, velocity, pair.shape)


def _regions(answer: Prediction | None) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
    """What a model's segmenter says of both images."""
    if answer is None:
        return None, None
    scores = (answer.fixed_scores, answer.moving_scores)
    return tuple(None if said is None else said[1:].cpu().numpy() for said in scores)
