"""What is minimized on one pair: the weighted loss of a candidate map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch

from napari_landmark.data.errors import InputError
from napari_landmark.registration.losses import LossWeights, loss_terms, weighted_sum
from napari_landmark.registration.networks.registration_network import Alignment
from napari_landmark.registration.pairwise.pair import PreparedPair


class Objective(NamedTuple):
    """Loss of a candidate map.

    Parameters
    ----------
    loss : scalar tensor
    terms : dict of str to scalar tensor
        Its terms before their weights.
    """

    loss: torch.Tensor
    terms: Mapping[str, torch.Tensor]

    @classmethod
    def of(
        cls, pair: PreparedPair, candidate: Alignment, weights: LossWeights, *, coarse: bool = True
    ) -> Objective | None:
        """Loss on the grid of a pair; None where no term can be computed.

        Parameters
        ----------
        coarse : bool
            See `loss_terms`.
        """
        terms = loss_terms(
            pair.warped(candidate), weights, weights.region_weights(pair.labels), coarse=coarse
        )
        return cls(weighted_sum(terms, weights), terms) if terms else None

    @property
    def value(self) -> float:
        """The loss as a number."""
        return float(self.loss.detach())

    def values(self) -> dict[str, float]:
        """The terms as numbers."""
        return {name: float(value.detach()) for name, value in self.terms.items()}

    def require_number(self) -> None:
        """Refuse images that cannot be compared.

        Raises
        ------
        InputError
            The loss is not a finite number.
        """
        if not bool(torch.isfinite(self.loss)):
            raise InputError(
                "the images cannot be compared: the loss is not a finite number; look at both images"
            )
