"""Instance optimization: minimization of the loss on one pair, from the best of several initializations.

A velocity of a volume is found on coarser grids, and what it leaves by `optimize_finely` on finer ones: bending energy
carries along what has no structure of its own, which composed steps do not, and these follow what it does not let.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F

from napari_landmark.progress import CancelToken, Progress, ProgressEvent
from napari_landmark.registration.losses import LossWeights
from napari_landmark.registration.networks.registration_network import Alignment, compose_alignment
from napari_landmark.registration.pairwise.coarse_to_fine import (
    affine_on_grid,
    step_direction,
    steps_by_level,
)
from napari_landmark.registration.pairwise.fine_optimization import optimize_finely
from napari_landmark.registration.pairwise.objective import Objective
from napari_landmark.registration.pairwise.pair import PreparedPair
from napari_landmark.registration.transform.fields_torch import resize_field

_LEARNING_RATE = 0.1  # cells per step, for the velocity
_AFFINE_RATE = 2e-3
_STEP, _MOMENTUM = 0.5, 0.7  # cells; of the steps in a volume
_LEVELS = {2: {1: 1.0}, 3: {4: 4 / 7, 2: 3 / 7}}
"""Share of these steps by downsampling of the grid: a step on 4 is 64 times as fast in a volume."""
_FINE_PART = {2: 0.0, 3: 0.3}  # of all steps, that are composed
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
    """Minimize the loss: of pictures by Adam over affine map and velocity, of volumes from coarse to fine.

    Parameters
    ----------
    diffeomorphic : bool
        Whether the velocity is integrated; it is a displacement otherwise.

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
    alignment: Alignment = initial
    terms: Mapping[str, float] = {}
    done, started = 0, time.monotonic()
    fine = round(steps * _FINE_PART[len(pair.shape)])
    # Images of a volume are compared on coarser grids anyway; regions that do not overlap must attract each other.
    coarse_part = _COARSE_PART if len(pair.shape) == 2 or pair.regions is not None else 0
    for level, count in steps_by_level(pair.shape, steps - fine, shares=_LEVELS[len(pair.shape)]):
        small = pair.downsampled(level)
        before = _on_grid(alignment, small.shape)
        parameters = [part.detach().clone().float().requires_grad_() for part in before]
        matrix, shift, velocity = parameters
        descend = _Adam(*parameters) if len(pair.shape) == 2 else _SmoothDescent(velocity)
        for step in range(done, done + count):
            if cancel and cancel.cancelled:
                break
            for part in parameters:
                part.grad = None
            candidate = compose_alignment(matrix, shift, velocity, small.shape, diffeomorphic=diffeomorphic)
            coarse = step < coarse_part * steps
            found = Objective.of(small, candidate, weights, coarse=coarse)
            if found is None:
                return initial, {}
            if step == 0:
                found.require_number()
            found.loss.backward()
            if velocity.grad is not None:
                velocity.grad = _smoothed(torch.nan_to_num(velocity.grad))
            descend((step - done) / count)
            terms = found.values()
            if progress and step % 5 == 0:
                left = (time.monotonic() - started) / (step + 1) * (steps - step - 1)
                progress(ProgressEvent("registering", step / steps, left, found.value, step))
        done += count
        with torch.no_grad():
            # Only the change comes from a coarser grid, which would lose the detail of the initialization.
            change = resize_field(velocity - before[2], tuple(alignment.velocity.shape[2:]))
            alignment = compose_alignment(
                *affine_on_grid(matrix, shift, old=small.shape, new=pair.shape),
                alignment.velocity + change,
                pair.shape,
                diffeomorphic=diffeomorphic,
            )
    if fine and not (cancel and cancel.cancelled):
        alignment, last = optimize_finely(
            pair,
            alignment,
            steps=fine,
            weights=weights,
            progress=progress and _second_part(progress, steps - fine, steps),
            cancel=cancel,
        )
        terms = last or terms
    return alignment, terms


def _second_part(progress: Progress, before: int, steps: int) -> Progress:
    """Progress of the last steps as part of all of them."""

    def report(event: ProgressEvent) -> None:
        fraction = (before + event.fraction * (steps - before)) / steps
        progress(replace(event, fraction=fraction, step=before + event.step))

    return report


class _Adam:
    """Steps of Adam for a picture, which normalizes the gradient of each cell: steps are in cells."""

    def __init__(self, matrix: torch.Tensor, shift: torch.Tensor, velocity: torch.Tensor) -> None:
        self._rates = (_AFFINE_RATE, _LEARNING_RATE, _LEARNING_RATE)
        self._optimizer = torch.optim.Adam([{"params": [part]} for part in (matrix, shift, velocity)])

    def __call__(self, done: float) -> None:
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * min(1.0, 3 * (1 - done))
        self._optimizer.step()


class _SmoothDescent:
    """Steps along the gradient with momentum for a volume, whose affine map stays that of its initialization."""

    def __init__(self, velocity: torch.Tensor) -> None:
        self._velocity, self._speed = velocity, torch.zeros_like(velocity)

    @torch.no_grad()
    def __call__(self, done: float) -> None:
        gradient = self._velocity.grad
        if gradient is None:
            return
        self._speed = _MOMENTUM * self._speed + (1 - _MOMENTUM) * step_direction(gradient)
        self._velocity -= _STEP * min(1.0, 2 * (1 - done)) * self._speed


def _on_grid(alignment: Alignment, shape: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Affine map and velocity of an alignment on a grid of another size over the same area."""
    old = tuple(alignment.smooth.shape[2:])
    cells = tuple(
        round(n * new / side) for n, new, side in zip(alignment.velocity.shape[2:], shape, old, strict=True)
    )
    matrix, shift = affine_on_grid(alignment.matrix, alignment.shift, old=old, new=shape)
    return matrix, shift, resize_field(alignment.velocity, cells)


def _smoothed(gradient: torch.Tensor) -> torch.Tensor:
    """A gradient without its finest detail, which makes the field irregular."""
    pool = {2: F.avg_pool2d, 3: F.avg_pool3d}[gradient.ndim - 2]
    for _ in range(2):
        gradient = pool(gradient, 3, stride=1, padding=1, count_include_pad=False)
    return gradient
