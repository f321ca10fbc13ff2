"""Options of a training: budget, device, seed, size of the batches."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.learning.device import Device
from napari_landmark.learning.loop import OVERTIME, Budget

# Parts of a wall-clock budget; the rest is for matching, predictions and the report.
_SHARES = {
    "self": 0.25,
    "cross": 0.08,
    "patch": 0.22,
    "detector": 0.19,
    "retrain": 0.14,
    "patch_detector": 0.06,
}

_POSE_SHARE = 0.15  # of a wall-clock budget, beyond it, where poses differ
# Parts of the steps that a stage does however long they take, up to OVERTIME times its minutes.
# Drawn hands, 3 minutes: 0.67 pixels with about these steps, 26 with a third of them.
_LEAST = {
    "self": 0.39,
    "cross": 0.15,
    "patch": 0.14,
    "detector": 0.19,
    "retrain": 0.12,
    "patch_detector": 0.12,
}

_FIRST_MINUTES, _LARGEST_FIRST = 2.0, 0.45
_WHOLE_IMAGES = ("self", "cross", "detector", "retrain")  # patches are of one size

# A step on a graphics card costs the time to launch it, whatever its batch: many images a step, and fewer steps.
_LARGEST_FACTOR = 8
_MEMORY_PER_BATCH = 0.9 * 2**30  # bytes of a card; a batch of 2-D images takes a third of it

_ENLARGED = ("self", "cross", "patch")
_OF_LABELS = ("retrain", "patch_detector")  # learn from annotations
_UPDATE_SHARES = {"retrain": 0.6, "patch_detector": 0.2}
_UPDATE_STEPS = {"retrain": 200, "patch_detector": 500}
_PER_LABELS, _LARGEST_LABEL_FACTOR = 50, 4.0
_MOST_DETECTOR_STEPS = 3  # times the default, however many minutes there are

FULL_CANVAS = 768 * 640
SMALLEST_SHARE = 0.5


@dataclass(frozen=True)
class TrainingOptions:
    """Options of a training.

    Parameters
    ----------
    minutes : float, optional
        Time to train, instead of a number of steps. Without it the number of steps is fixed, and the same seed on the
        same processor gives the same model; `limit_minutes` still acts on slow machines.
    device : str
    seed : int
    self_steps, cross_steps, patch_steps, detector_steps, retrain_steps, patch_detector_steps : int
        Steps of the stages where `minutes` is not given: embedding (each image with itself, across subjects), patch
        embedding, detector (first training, retraining), patch detector.
    limit_minutes : float, optional
        Time for the steps where `minutes` is not given: after its part of it, a stage ends early. For a working grid of
        `FULL_CANVAS` pixels; a smaller one gets its share, see `for_canvas`.
    batch_factor : int
        Multiplies the images or patches a step for embedding and patch embedding. Not for the detector: its
        pseudo-labels are wrong one by one and right on average, and shown often they would be learned by heart. 1 for
        volumes, see `for_canvas`.
    overtime : float
        Times `minutes` or `limit_minutes` that a training may take on a slow or busy machine: a stage that would end
        with too few steps to be of use goes on until it has done them.
    label_factor : float
        Multiplies the steps, and the part of `limit_minutes`, of the stages that learn from annotations; see
        `for_labels`.
    is_update : bool
        Whether the training goes on from a model: see `for_update`.
    """

    minutes: float | None = None
    device: str = "auto"
    seed: int = 0
    self_steps: int = 600
    cross_steps: int = 150
    patch_steps: int = 2600
    detector_steps: int = 500
    retrain_steps: int = 400
    patch_detector_steps: int = 600
    limit_minutes: float | None = None
    batch_factor: int = 1
    overtime: float = OVERTIME
    label_factor: float = 1.0
    is_update: bool = False

    def __post_init__(self) -> None:
        for name in ("minutes", "limit_minutes"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InputError(
                    f"{name.replace('_', ' ')} {value}: must be a number above 0",
                    code=ErrorCode.INVALID_OPTION,
                    option=name,
                )
        if not (self.overtime >= 1 and math.isfinite(self.overtime)):
            raise InputError(
                f"overtime {self.overtime}: must be 1 or more",
                code=ErrorCode.INVALID_OPTION,
                option="overtime",
            )

    def for_canvas(self, canvas: tuple[int, ...]) -> TrainingOptions:
        """Adapt steps, limit and batches to a working grid.

        Small images need less time a step, and get more steps in less time. Volumes and images larger than
        `FULL_CANVAS` need more memory, and get smaller batches for as many more steps.
        """
        size = math.prod(canvas)
        factor = 1 if len(canvas) == 3 else max(1, int(self.batch_factor * min(1.0, FULL_CANVAS / size)))
        more = {stage: self.batch_factor / factor for stage in _ENLARGED}
        limit = self.limit_minutes
        if limit is not None:
            share = min(1.0, max(SMALLEST_SHARE, size / FULL_CANVAS))
            limit *= share
            more |= {stage: more.get(stage, 1) / share for stage in _WHOLE_IMAGES}
        steps = {f"{stage}_steps": round(getattr(self, f"{stage}_steps") * by) for stage, by in more.items()}
        return replace(self, limit_minutes=limit, batch_factor=factor, **steps)

    def for_labels(self, count: int) -> TrainingOptions:
        """Adapt to a number of annotated images: many are worth more steps of the stages that learn from them.

        Twice as many with 50, four times as many from 150 on. An update stays short.
        """
        if self.is_update:
            return self
        return replace(self, label_factor=min(_LARGEST_LABEL_FACTOR, 1 + max(0, count - 1) / _PER_LABELS))

    def for_update(self) -> TrainingOptions:
        """Options of a training that goes on from a model: the stages that learn from annotations alone."""
        steps: dict[str, Any] = {f"{stage}_steps": _UPDATE_STEPS.get(stage, 0) for stage in _SHARES}
        return replace(self, is_update=True, limit_minutes=None, label_factor=1.0, **steps)

    def with_batch_factor(self, factor: int) -> TrainingOptions:
        """The same training with smaller batches of the stages that have enlarged ones, and as many more steps."""
        more = self.batch_factor / factor
        steps = {f"{stage}_steps": round(getattr(self, f"{stage}_steps") * more) for stage in _ENLARGED}
        return replace(self, batch_factor=factor, **steps)

    def describe(self) -> str:
        """The budget in words."""
        if self.minutes:
            return f"for {self.minutes:g} minutes{self._at_most(self.minutes)}"
        shares = _UPDATE_SHARES if self.is_update else _SHARES
        steps = f"for {' + '.join(str(self.budget(stage).steps) for stage in shares)} steps"
        if self.is_update:
            return f"{steps}, from the last model"
        if self.batch_factor > 1:
            steps += f", the first three of {self.batch_factor} times as many images"
        if not self.limit_minutes:
            return steps
        return f"{steps}, {self.limit_minutes:.1f} minutes at most{self._at_most(self.limit_minutes)}"

    def _at_most(self, minutes: float) -> str:
        if self.overtime == 1:
            return ""
        return f" (on a slow machine longer, until enough is learned: up to {self.overtime * minutes:.3g})"

    def budget(self, stage: str) -> Budget:
        """Budget of stage `self`, `cross`, `patch`, `detector`, `retrain` or `patch_detector`."""
        limit = self.minutes or self.limit_minutes
        # A person's minutes are divided; the time that acts on slow machines grows with the steps.
        factor = self.label_factor if stage in _OF_LABELS else 1.0
        steps = round(getattr(self, f"{stage}_steps") * factor)
        if not limit:
            return Budget(steps)
        share = _UPDATE_SHARES.get(stage, 0.0) if self.is_update else _share(stage, limit)
        seconds = limit * 60 * share * (1.0 if self.minutes else factor)
        least = math.ceil(_LEAST[stage] * steps)
        most = steps if not self.minutes else None if stage in _ENLARGED else _MOST_DETECTOR_STEPS * steps
        return Budget(most, seconds, least, self.overtime * seconds)

    @property
    def pose_seconds(self) -> float | None:
        """Limit of the search for poses; none where steps alone limit the training."""
        limit = self.minutes or self.limit_minutes
        return limit * 60 * _POSE_SHARE if limit else None


def describe_budget(options: TrainingOptions, canvas: tuple[int, ...], *, annotated: int = 1) -> str:
    """The budget of a training on a working grid, with a number of annotated images, in words."""
    if len(canvas) == 3:
        limit = options.minutes or options.limit_minutes
        most = f", {limit:g} minutes at most" if limit else ""
        return f"by alignment of the template with up to 20 volumes{most}, and detection in all"
    return options.for_canvas(canvas).for_labels(annotated).describe()


def default_options(device: Device, *, seed: int = 0, minutes: float | None = None) -> TrainingOptions:
    """Defaults for a device: 19.5 minutes at most, and larger batches on a graphics card with memory for them."""
    name = str(device.torch_device)
    factor = min(_LARGEST_FACTOR, int(device.memory() // _MEMORY_PER_BATCH))
    if factor < 2:
        return TrainingOptions(minutes, name, seed, limit_minutes=19.5)
    patch_steps = max(900, TrainingOptions.patch_steps // factor)
    return TrainingOptions(
        minutes, name, seed, 500, 120, patch_steps, limit_minutes=19.5, batch_factor=factor
    )


def _share(stage: str, minutes: float) -> float:
    """Part of a wall-clock budget; in a short one the embedding gets more, on which all other stages depend."""
    others = sum(_SHARES.values()) - _SHARES["self"]
    first = max(_SHARES["self"], min(_LARGEST_FIRST, _FIRST_MINUTES / minutes))
    if stage == "self":
        return first
    return _SHARES[stage] * (1 - (first - _SHARES["self"]) / others)
