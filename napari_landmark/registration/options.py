"""Options of the training of a registration model, and of the registration of a single pair."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace

from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.learning.device import Device
from napari_landmark.learning.loop import Budget
from napari_landmark.registration.losses import LossWeights

WORKING_SIZE = {2: 384, 3: 128}
"""Longest side of the working grid of a training, by number of axes."""
PAIR_SIZE = {2: 384, 3: 384}
"""Longest side for one pair without a model, by number of axes; a volume may take a minute."""
ATLAS_SIZE = {2: 384, 3: 256}
"""Longest side where label maps of several images are carried to one: their votes make up for a coarser grid."""
PAIR_VALUES = 128_000_000
"""Most values of the probabilities of all regions of an image without a model: with more, label maps are compared."""
PAIR_WEIGHTS = {2: LossWeights(bending=16.0), 3: LossWeights(bending=0.2)}
"""Weights of the loss for one pair without a model, by number of axes: without training a picture must bend less,
a volume more."""


@dataclass(frozen=True)
class RegistrationOptions:
    """Options of a training.

    Parameters
    ----------
    minutes : float, optional
        Wall-clock budget. Without it `steps` are done, within `limit_minutes`.
    device : str
    seed : int
    weights : LossWeights
        Of the terms of the loss.
    steps : int
    limit_minutes : float, optional
    warped_labels : bool
        Train the segmenter with label maps that are warped by the registration to images without one, too.

    Raises
    ------
    InputError
        A value out of its range.
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
        """Budget of the training."""
        limit = self.minutes or self.limit_minutes
        return Budget(None if self.minutes else self.steps, limit * 60 if limit else None)

    def describe(self) -> str:
        """Budget in words, for the user."""
        if self.minutes:
            return f"for {self.minutes:g} minutes"
        most = f", {self.limit_minutes:g} minutes at most" if self.limit_minutes else ""
        return f"for {self.steps} steps{most}"

    def to_json(self) -> dict:
        """Plain values for the description of the model."""
        return {**asdict(replace(self, weights=LossWeights())), "weights": self.weights.to_json()}


def default_registration_options(
    device: Device, *, seed: int = 0, minutes: float | None = None, weights: LossWeights | None = None
) -> RegistrationOptions:
    """Default options for a device."""
    options = RegistrationOptions(minutes, str(device.torch_device), seed, weights or LossWeights())
    if device.torch_device.type == "cpu":
        return replace(options, limit_minutes=18.0)
    return replace(options, steps=4000, limit_minutes=30.0)


@dataclass(frozen=True)
class PairOptions:
    """Options of the registration of one pair.

    Parameters
    ----------
    steps : int, optional
        Steps of the instance optimization; None for the default, which is smaller with a model than without one.
        0 returns the prediction of the model.
    weights : LossWeights, optional
        By default those that the model was trained with, or `PAIR_WEIGHTS` without a model.
    device : str
    working_size : int, optional
        Longest side of the working grid without a model.
    any_rotation : bool, optional
        Search all rotations for the initialization. None searches them for volumes only: heads and limbs are scanned
        in any position, radiographs are taken upright.
    """

    steps: int | None = None
    weights: LossWeights | None = None
    device: str = "auto"
    working_size: int | None = None
    any_rotation: bool | None = None
