"""Composed steps on the finer grids of a pair of volumes: they follow what is left of its registration.

As greedy does it (Yushkevich et al., 2016): a step is the smoothed gradient of the loss, the map so far is applied
after it, and the displacement is smoothed a little. What regularizes are the steps and not the whole displacement,
which can grow as far as it must.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import torch

from napari_landmark.progress import CancelToken, Progress, ProgressEvent
from napari_landmark.registration.losses import LossWeights, box_mean
from napari_landmark.registration.networks.registration_network import Alignment
from napari_landmark.registration.pairwise.coarse_to_fine import (
    affine_on_grid,
    step_direction,
    steps_by_level,
)
from napari_landmark.registration.pairwise.objective import Objective
from napari_landmark.registration.pairwise.pair import PreparedPair
from napari_landmark.registration.transform.fields_torch import affine_after_field, compose, resize_field

_LEVELS = {2: 2 / 3, 1: 1 / 3}
"""Share of the steps by downsampling of the grid: a step on 2 is eight times as fast."""
_STEP = 0.5  # cells
_WINDOWS = (3, 3, 3)  # cells: means over these one after the other are nearly a Gaussian of 1.4 cells
_RELAXATION = 0.375  # of the displacement to its mean over 3 cells: as smooth as a Gaussian of half a cell


def optimize_finely(
    pair: PreparedPair,
    initial: Alignment,
    *,
    steps: int,
    weights: LossWeights,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> tuple[Alignment, Mapping[str, float]]:
    """Minimize the loss over the smooth part of a map; its affine part stays.

    Returns
    -------
    alignment : Alignment
        Its velocity is a displacement. `initial` if no term of the loss can be computed; after a cancel that of the
        last step.
    terms : dict of str to float
        Last value of every term of the loss.

    Raises
    ------
    InputError
        The loss is not a finite number from the start.
    """
    levels = steps_by_level(pair.shape, steps, shares=_LEVELS)
    effort, spent, started = sum(count / level**3 for level, count in levels), 0.0, time.monotonic()
    # Images are compared on coarser grids anyway; regions that do not overlap must attract each other.
    coarse = pair.regions is not None
    change = torch.zeros(1, 3, *(n // levels[0][0] for n in pair.shape)).to(initial.smooth)
    terms: Mapping[str, float] = {}
    done = 0
    for level, count in levels:
        small = pair.downsampled(level)
        change = resize_field(change, small.shape)
        start = _Start(initial, small.shape)
        for step in range(count):
            if cancel and cancel.cancelled:
                break
            change = change.detach().requires_grad_()
            found = Objective.of(small, start.after(change), weights, coarse=coarse and done < steps // 2)
            if found is None:
                return initial, {}
            if not done:
                found.require_number()
            (gradient,) = torch.autograd.grad(found.loss, change)
            change = _stepped(change.detach(), gradient, done=step / count)
            terms = found.values()
            if progress and done % 5 == 0:
                left = (time.monotonic() - started) * (effort / max(spent, 1 / 8) - 1)
                progress(ProgressEvent("registering", spent / effort, left, found.value, done))
            done += 1
            spent += 1 / level**3
    with torch.no_grad():
        return _Start(initial, pair.shape).after(resize_field(change.detach(), pair.shape)), terms


class _Start:
    """Initialization on the grid of a level, which a change is applied before.

    Parameters
    ----------
    initial : Alignment
    shape : sequence of int
    """

    def __init__(self, initial: Alignment, shape: Sequence[int]) -> None:
        old = initial.smooth.shape[2:]
        self._matrix, self._shift = affine_on_grid(initial.matrix, initial.shift, old=old, new=shape)
        # Only the change comes from a coarser grid, which would lose the detail of the initialization.
        smooth = initial.smooth.detach()
        self._smooth = resize_field(smooth, tuple(shape)) if bool(smooth.any()) else None

    def after(self, change: torch.Tensor) -> Alignment:
        """The whole map with a change (1, 3, *shape) in cells."""
        smooth = change if self._smooth is None else compose(change, self._smooth)
        coarse = resize_field(smooth, tuple(n // 2 for n in smooth.shape[2:]))
        displacement = affine_after_field(smooth, self._matrix, self._shift)
        return Alignment(self._matrix, self._shift, coarse, displacement, smooth, coarse)


@torch.no_grad()
def _stepped(change: torch.Tensor, gradient: torch.Tensor, *, done: float) -> torch.Tensor:
    """The change after one step against the gradient, by which the steepest cells move by `_STEP`.

    Parameters
    ----------
    done : float
        Part of the steps of the level.
    """
    gradient = torch.nan_to_num(gradient)
    for window in _WINDOWS:
        gradient = box_mean(gradient, window)
    step = -_STEP * min(1.0, 2 * (1 - done)) * step_direction(gradient)
    moved = compose(step, change)
    return torch.lerp(moved, box_mean(moved, 3), _RELAXATION)
