"""Registration of one pair, with or without a model, by instance optimization."""

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
from napari_landmark.learning.threads import thread_limit
from napari_landmark.progress import CancelToken, Progress, ProgressEvent
from napari_landmark.registration.losses import LossWeights
from napari_landmark.registration.model import Prediction, RegistrationModel
from napari_landmark.registration.networks.registration_network import Alignment, compose_alignment
from napari_landmark.registration.options import PAIR_SIZE, PAIR_WEIGHTS, PairOptions
from napari_landmark.registration.pairwise.affine_initialization import (
    AffineInitialization,
    initialize_affine,
)
from napari_landmark.registration.pairwise.instance_optimization import best_initialization, optimize_instance
from napari_landmark.registration.pairwise.pair import PreparedPair
from napari_landmark.registration.result import Registration
from napari_landmark.registration.transform.from_working_grid import transform_from_displacement
from napari_landmark.registration.transform.grids import check_alike

_STEPS_ALONE, _STEPS_AFTER_MODEL = {2: 150, 3: 100}, 60


@thread_limit()
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
    """Register a moving to a fixed image.

    Initialized by the best of: the prediction of the model, the affine map from regions and landmarks that are known
    in both images, and, without a model or without such matches, an affine map by mutual information. Then the loss
    of the training is minimized on the pair itself. Label maps (labels that both maps have; a segmenter of the model
    predicts a missing map) and landmarks of both images guide the registration.

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
        After a cancel that of the last step.

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
        prediction = None
        size = options.working_size or PAIR_SIZE[dims]
        pair = PreparedPair.from_images(
            fixed, moving, working_size=size, device=choose_device(options.device)
        )
        pair.add_label_maps(maps)
        steps, weights, diffeomorphic = _STEPS_ALONE[dims], PAIR_WEIGHTS[dims], True
    else:
        prediction = model.predict(fixed, moving)
        pair = PreparedPair.from_tensors(
            prediction.fixed,
            prediction.moving,
            geometries=geometries,
            canvas=model.canvas,
            device=model.device,
        )
        pair.add_label_maps(maps, model_labels=model.labels, probabilities=prediction.probabilities)
        steps, weights = _STEPS_AFTER_MODEL, model.weights
        diffeomorphic = model.network.config.diffeomorphic
    pair.add_landmarks(fixed_landmarks, moving_landmarks)
    steps = steps if options.steps is None else options.steps
    weights = weights if options.weights is None else options.weights
    if prediction is not None and not steps:
        initial = prediction.alignment
    else:
        candidates = _initializations(
            pair,
            prediction,
            weights=weights,
            geometries=geometries,
            any_rotation=options.any_rotation,
            progress=progress,
            cancel=cancel,
        )
        initial = best_initialization(pair, candidates, weights)
    with keep_freed_memory():
        alignment, terms = optimize_instance(
            pair,
            initial,
            steps=steps,
            weights=weights,
            diffeomorphic=diffeomorphic,
            progress=progress,
            cancel=cancel,
        )
    if progress and not (cancel and cancel.cancelled):
        progress(ProgressEvent("registering", 1.0, 0.0, step=steps))
    displacement = alignment.displacement[0].cpu().numpy()
    transform = transform_from_displacement(
        displacement, fixed=fixed.geometry, moving=moving.geometry, canvas=pair.canvas
    )
    regions = (None, None) if prediction is None else prediction.region_arrays()
    return Registration(transform, time.monotonic() - started, terms, *regions)


def _initializations(
    pair: PreparedPair,
    prediction: Prediction | None,
    *,
    weights: LossWeights,
    geometries: tuple[Geometry, Geometry],
    any_rotation: bool | None,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> list[Alignment]:
    """Candidates, the most reliable first: the network, regions and landmarks, mutual information."""
    candidates = [] if prediction is None else [prediction.alignment]
    matched = pair.matched_affine(weights)
    if matched is not None:
        candidates.append(_affine_alignment(pair, *matched))
    if prediction is None or matched is None:
        if any_rotation is None:
            # Only volumes without a model may be in any position: those of a cohort are oriented alike.
            any_rotation = len(pair.shape) == 3 and prediction is None
        candidates.append(
            _by_mutual_information(
                pair, geometries, any_rotation=any_rotation, progress=progress, cancel=cancel
            )
        )
    return candidates


def _by_mutual_information(
    pair: PreparedPair,
    geometries: tuple[Geometry, Geometry],
    *,
    any_rotation: bool,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Alignment:
    """Affine initialization from the intensities alone."""
    fixed, moving = (image[0, 0].cpu().numpy() for image in (pair.fixed, pair.moving))
    dims = len(pair.shape)
    lengths = [
        transform.scale * geometry.mean_spacing
        for transform, geometry in zip(pair.canvas_transforms, geometries, strict=True)
        if geometry.mean_spacing is not None
    ]
    scale = lengths[0] / lengths[1] if len(lengths) == 2 else 1.0
    if np.ptp(fixed) == 0 or np.ptp(moving) == 0:
        found = AffineInitialization(np.eye(dims) * scale, np.zeros(dims))
    else:
        found = initialize_affine(
            fixed, moving, scale=scale, any_rotation=any_rotation, progress=progress, cancel=cancel
        )
    parts = (
        pair.device.to(torch.from_numpy(value.astype(np.float32)))[None]
        for value in (found.matrix, found.shift)
    )
    return _affine_alignment(pair, *parts)


def _affine_alignment(pair: PreparedPair, matrix: torch.Tensor, shift: torch.Tensor) -> Alignment:
    dims = len(pair.shape)
    velocity = torch.zeros(1, dims, *[n // 2 for n in pair.shape], device=matrix.device)
    return compose_alignment(matrix, shift, velocity, pair.shape)
