"""Instance optimization: minimization of the loss on one pair, from the best of several initializations."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F

from napari_landmark.progress import CancelToken, Progress, ProgressEvent
from napari_landmark.registration.losses import LossWeights
from napari_landmark.registration.networks.registration_network import Alignment, compose_alignment
from napari_landmark.registration.pairwise.objective import Objective
from napari_landmark.registration.pairwise.pair import PreparedPair
from napari_landmark.registration.pairwise.volume_optimization import optimize_volume

_LEARNING_RATE = 0.1  # cells per step, for the velocity
_AFFINE_RATE = 2e-3
_COARSE_PART = 1 / 2  # of the steps; after that the loss uses only the finest scale


@torch.no_grad()
def best_initialization(
    pair: PreparedPair, candidates: Sequence[Alignment], weights: LossWeights
) -> Alignment:
    """Select the candidate with the lowest loss; the first of equals."""

    def loss(candidate: Alignment) -> float:
        found = Objective.of(pair, candidate, weights)
        value = 0.0 if found is None else found.value
        return value if value == value else float("inf")

    return candidates[0] if len(candidates) == 1 else min(candidates, key=loss)


def optimize_instance(
    pair: PreparedPair,
    initial: Alignment,
    *,
    steps: int,
    weights: LossWeights,
    diffeomorphic: bool = True,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> tuple[Alignment, Mapping[str, float]]:
    """Minimize the loss: of pictures over affine map and velocity, of volumes by `optimize_volume`.

    Parameters
    ----------
    diffeomorphic : bool
        Whether the velocity of pictures is integrated; it is the displacement otherwise.

    Returns
    -------
    alignment : Alignment
        `initial` if no term of the loss can be computed; after a cancel that of the last step.
    terms : dict of str to float
        Last value of every term of the loss; empty without any step.

    Raises
    ------
    InputError
        The loss is not a finite number from the start.
    """
    if not steps:
        return initial, {}
    if len(pair.shape) == 3:
        return optimize_volume(pair, initial, steps=steps, weights=weights, progress=progress, cancel=cancel)
    parts = (initial.matrix, initial.shift, initial.velocity)
    matrix, shift, velocity = (part.detach().clone().float().requires_grad_() for part in parts)
    rates = (_AFFINE_RATE, _LEARNING_RATE, _LEARNING_RATE)
    # Adam normalizes the gradient of each cell: steps are in cells.
    optimizer = torch.optim.Adam([{"params": [part]} for part in (matrix, shift, velocity)])
    terms: Mapping[str, float] = {}
    started = time.monotonic()
    for step in range(steps):
        if cancel and cancel.cancelled:
            break
        optimizer.zero_grad()
        candidate = compose_alignment(matrix, shift, velocity, pair.shape, diffeomorphic=diffeomorphic)
        found = Objective.of(pair, candidate, weights, coarse=step < _COARSE_PART * steps)
        if found is None:
            return initial, {}
        if step == 0:
            found.require_number()
        found.loss.backward()
        if velocity.grad is not None:
            velocity.grad = _smoothed(torch.nan_to_num(velocity.grad))
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * min(1.0, 3 * (1 - step / steps))
        optimizer.step()
        terms = found.values()
        if progress and step % 5 == 0:
            left = (time.monotonic() - started) / (step + 1) * (steps - step - 1)
            progress(ProgressEvent("registering", step / steps, left, found.value, step))
    with torch.no_grad():
        return compose_alignment(matrix, shift, velocity, pair.shape, diffeomorphic=diffeomorphic), terms


def _smoothed(gradient: torch.Tensor) -> torch.Tensor:
    """A gradient without its finest detail, which makes the field irregular."""
    for _ in range(2):
        gradient = F.avg_pool2d(gradient, 3, stride=1, padding=1, count_include_pad=False)
    return gradient
