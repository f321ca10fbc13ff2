"""Errors in annotated images that were held out: what a model that learned from some annotations makes of the others.

A model has learned the annotated images of its training by heart. So a patch detector is trained once more for a
shorter time, with half of them, and the other half tells how far off it is. It knows less than the one that is used:
errors measured so are on the safe side, by what twice as many annotations are worth.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.detector.detector import DetectorNetwork
from napari_landmark.detection.detector.patch_detector import (
    PatchDetector,
    detect_in_patches,
    patch_detector_config,
)
from napari_landmark.detection.detector.patch_detector_training import train_patch_detector
from napari_landmark.detection.detector.pseudo_labels import PseudoLabels
from napari_landmark.detection.embedding.template_matching import Template
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.detection.training.transfer import Transfer
from napari_landmark.learning.loop import Budget
from napari_landmark.learning.seeding import seeded
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

FEWEST_ANNOTATED = 6
"""Annotated images, with the template, from which on some are held out."""
_MOST_HELD = 30
_MOST_TEMPLATES = 3  # matched in the images held out
_STEPS_SHARE, _MOST_STEPS = 0.75, 800  # of those of the patch detector that is used
_STEPS_SHARE_OF_UPDATE = 0.3  # a person waits for an update


def held_out_errors(
    model: LandmarkModel,
    cohort: Cohort,
    labels: PseudoLabels,
    *,
    budget: Budget,
    seed: int,
    is_update: bool = False,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> NDArray[np.float64] | None:
    """Offsets of predictions from annotations that they did not learn from.

    Parameters
    ----------
    model : LandmarkModel
        After its training.
    cohort : Cohort
        As the images were drawn in the training.
    labels : PseudoLabels
        That its patch detector learned from: annotated images have the positions that were placed, the template first.
    budget : Budget
        Of that patch detector.
    seed : int
    is_update : bool
        Whether a quick update waits for it: fewer steps state larger errors.
    progress : Progress, optional
    cancel : CancelToken, optional

    Returns
    -------
    (k, n, d) array or None
        In pixels of the working grid, NaN for landmarks that were not placed; None with too few annotated images, for
        a model that was not trained to its end, or after a cancel.
    """
    annotated = labels.annotated
    if len(annotated) < FEWEST_ANNOTATED or model.patch_detector is None or model.refiner is None:
        return None
    held = annotated[1::2][:_MOST_HELD]
    learned = tuple(number for number in annotated if number not in held)
    patches = model.refiner.network
    config = patch_detector_config(labels.weights.shape[1], patches.config)
    with seeded(seed, model.device.torch_device):
        network = DetectorNetwork(config)
    network.pyramid.load_state_dict(patches.pyramid.state_dict())
    detector = PatchDetector(network, patches.config.window)
    history = train_patch_detector(
        detector,
        cohort,
        _without(labels, held, learned),
        device=model.device,
        generator=torch.Generator().manual_seed(seed),
        budget=_shorter(budget, _STEPS_SHARE_OF_UPDATE if is_update else _STEPS_SHARE),
        progress=progress and _renamed(progress),
        cancel=cancel,
    )
    if history.cancelled:
        return None
    marks = {
        number: np.where(labels.weights[number, :, None] > 0, labels.positions[number], np.nan)
        for number in annotated
    }
    templates = [Template(number, marks[number]) for number in learned[:_MOST_TEMPLATES]]
    transfer = Transfer(model, patches, cohort, templates)
    shown = np.isfinite(np.stack([template.positions for template in templates])).all(2).any(0)
    offsets = []
    for number in held:
        pixels = cohort.working(number)
        matched = transfer.to(pixels)
        local = detect_in_patches(detector, pixels, matched, model.device).positions
        found = local if model.patch_detector.is_alone else (matched + local) / 2
        offsets.append(np.where(shown[:, None], found - marks[number], np.nan))
    return np.stack(offsets)


def _without(labels: PseudoLabels, held: tuple[int, ...], learned: tuple[int, ...]) -> PseudoLabels:
    weights = labels.weights.copy()
    weights[list(held)] = 0
    return replace(labels, weights=weights, annotated=learned)


def _shorter(budget: Budget, share: float) -> Budget:
    steps = _MOST_STEPS if budget.steps is None else min(_MOST_STEPS, round(share * budget.steps))
    seconds = None if budget.seconds is None else share * budget.seconds
    return Budget(max(1, steps), seconds)


def _renamed(progress: Progress) -> Progress:
    """Progress of a measurement, without the loss: that curve is of the detector that is used."""

    def report(event: ProgressEvent) -> None:
        progress(ProgressEvent("measuring errors", event.fraction))

    return report
