"""What a model knows of poses: the error that is usual, whether borders are cut, and the names of sides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_landmark.data.errors import InputError
from napari_landmark.data.sides import Mirroring, Sides

_UNUSUAL = 3.0  # times the usual error: 97% of wrong images and one of 250 ordinary ones are beyond


@dataclass(frozen=True)
class PoseOptions:
    """Search for poses at detection.

    Parameters
    ----------
    usual_error : float or None
        Median over the training images of the mean expected error, in pixels of the working grid; None where it is not
        known, and no pose is searched.
    sides : Sides
    usual_match_error : float or None
        The same of the embedding's matches alone, by which poses are compared first; None where it is not known.
    """

    usual_error: float | None = None
    sides: Sides = field(default_factory=Sides)
    usual_match_error: float | None = None

    @property
    def mirror(self) -> bool:
        """Whether mirror images are expected."""
        return self.sides.mirroring is not Mirroring.NEVER

    def is_unusual(self, error: float) -> bool:
        """Whether a mean expected error, in pixels of the working grid, says that something is wrong with the image."""
        return self.usual_error is not None and not error <= _UNUSUAL * self.usual_error

    def to_json(self) -> dict[str, Any]:
        """Plain values for the model's sidecar."""
        error, match = (
            None if value is None else round(value, 4) for value in (self.usual_error, self.usual_match_error)
        )
        return {"usual_error": error, "usual_match_error": match, "sides": self.sides.to_json()}

    @classmethod
    def from_json(cls, data: object) -> PoseOptions:
        """Options from the object of `to_json`; InputError, TypeError or LookupError for anything else."""
        if not isinstance(data, Mapping):
            raise TypeError("'pose' is no object")
        error, match = data["usual_error"], data.get("usual_match_error")  # older models have no second one
        return cls(_checked(error), Sides.from_json(data["sides"]), _checked(match))


def _checked(error: object) -> float | None:
    if error is None:
        return None
    if not (isinstance(error, int | float) and math.isfinite(error) and error > 0):
        raise InputError(f"a usual error of {error!r:.40}")
    return float(error)
