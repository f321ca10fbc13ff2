"""How a registration model is trained, and how a single pair is registered."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace

from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.learning.device import Device
from napari_landmark.learning.loop import Budget
from napari_landmark.registration.losses import LossWeights

WORKING_SIZE = {2: 384, 3: 128}
"""Longest side of the canvas of a training by number of axes."""
PAIR_SIZE = {2: 384, 3: 192}
"""The same for one pair without a model, where volumes may take a minute."""
PAIR_WEIGHTS = {2: LossWeights(bending=16.0), 3: LossWeights()}
"""The objective for one pair without a model: nobody taught it what belongs together, so a picture must bend less."""


@dataclass(frozen=True)
class RegistrationOptions:
    """How a training runs.

    Parameters
    ----------
    minutes : float, optional
        Wall-clock budget. Without it `steps` are done, within `limit_minutes`.
    device : str
    seed : int
    weights : LossWeights
        Terms of the objective; a weight of 0 switches a term off.
    steps : int
    limit_minutes : float, optional
    warped_labels : bool
        Teach the segmenter with label maps that the registration carries to images without.
    """

    minutes: float | None = None
    device: str = "auto"
    seed: int = 0
    weights: LossWeights = field(default_factory=LossWeights)
    steps: int = 1000
    limit_minutes: float | None = None
    warped_labels: bool = False

    def __post_init__(self) -> None:
        for name in ("minutes", "limit_minutes"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InputError(
                    f"{name.replace('_', ' ')} {value}: must be a number above 0",
                    code=ErrorCode.INVALID_OPTION,
                    option=name,
                )
        for name, least in (("steps", 1), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(
                    f"{name} {value!r}: must be a whole number from {least} on",
                    code=ErrorCode.INVALID_OPTION,
                    option=name,
                )
        if not isinstance(self.warped_labels, bool):
            raise InputError(f"warped_labels {self.warped_labels!r}: must be true or false")

    def budget(self) -> Budget:
        """Of the training."""
        limit = self.minutes or self.limit_minutes
        return Budget(None if self.minutes else self.steps, limit * 60 if limit else None)

    def describe(self) -> str:
        """The budget in words."""
        if self.minutes:
            return f"for {self.minutes:g} minutes"
        most = f", {self.limit_minutes:g} minutes at most" if self.limit_minutes else ""
        return f"for {self.steps} steps{most}"

    def to_json(self) -> dict:
        """Plain values for the model's sidecar."""
        return {**asdict(replace(self, weights=LossWeights())), "weights": self.weights.to_json()}


def default_registration_options(
    device: Device, *, seed: int = 0, minutes: float | None = None, weights: LossWeights | None = None
) -> RegistrationOptions:
    """A good default for a device."""
    options = RegistrationOptions(minutes, str(device.torch_device), seed, weights or LossWeights())
    if device.torch_device.type == "cpu":
        return replace(options, limit_minutes=18.0)
    return replace(options, steps=4000, limit_minutes=30.0)


@dataclass(frozen=True)
class PairOptions:
    """How one pair is registered.

    Parameters
    ----------
    steps : int, optional
        Optimisation steps on the pair itself; None chooses: enough to start from nothing without a model,
        few with one. 0 takes the model's word.
    weights : LossWeights, optional
        Those that the model was trained with if not given, the defaults without a model.
    device : str
    working_size : int, optional
        Longest side of the grid where there is no model.
    any_rotation : bool, optional
        Search all rotations for the start. None searches them for volumes only: heads and limbs are scanned in any
        position, radiographs are taken upright.
    """

    steps: int | None = None
    weights: LossWeights | None = None
    device: str = "auto"
    working_size: int | None = None
    any_rotation: bool | None = None
