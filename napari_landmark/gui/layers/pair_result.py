"""A registered pair with everything that the viewer shows of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_landmark.gui.layers.pair_inputs import PairInputs
from napari_landmark.gui.layers.registration_views import Views
from napari_landmark.registration.pairwise.pair_measures import PairMeasures

if TYPE_CHECKING:
    from napari_landmark.registration.result import Registration


@dataclass(frozen=True, eq=False)
class PairResult:
    """Result of a registration in the viewer.

    Parameters
    ----------
    pair : PairInputs
    registration : Registration
    measures : PairMeasures
    views : Views
    guided : bool, optional
        Whether the landmarks guided the registration.
    cancelled : bool, optional
        Whether it was stopped early.
    """

    pair: PairInputs
    registration: Registration
    measures: PairMeasures
    views: Views
    guided: bool = False
    cancelled: bool = False
