"""How well a pair lies over each other before and after it was registered, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

import numpy as np

from napari_landmark.gui.jobs.pair_inputs import PairInputs
from napari_landmark.registration.pairwise.header_alignment import header_alignment
from napari_landmark.registration.pairwise.measures import correlation, landmark_errors, warped_dice
from napari_landmark.registration.transform.transform import Transform


@dataclass(frozen=True)
class PairNumbers:
    """Measures of one pair; each as (before, after).

    Parameters
    ----------
    similarity : tuple of float or None
        Correlation of the grey values, 1 where they agree up to brightness and contrast; None for a constant image.
    dice : mapping of int to tuple
        Overlap of each label that an image has.
    errors : mapping of str to tuple
        Distance of each landmark that both images have, in `unit`.
    unit : str
        'mm' or 'px'.
    folding_percent : float
        Part of the fixed image in which the transform folds.
    """

    similarity: tuple[float | None, float | None]
    dice: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    errors: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    unit: str = "px"
    folding_percent: float = 0.0

    @property
    def mean_dice(self) -> tuple[float, float] | None:
        """Of all labels."""
        return _mean(self.dice)

    @property
    def mean_error(self) -> tuple[float, float] | None:
        """Of all landmarks."""
        return _mean(self.errors)


def measure(transform: Transform, pair: PairInputs) -> PairNumbers:
    """The numbers of a pair; before means the images as they lie in the world."""
    before = header_alignment(pair.fixed.geometry, pair.moving.geometry)
    both = (before, transform)
    overlap, errors, unit = {}, {}, "px"
    if pair.fixed_labels is not None and pair.moving_labels is not None:
        first, last = (warped_dice(t, pair.fixed_labels, pair.moving_labels) for t in both)
        overlap = {label: (first.get(label, 0.0), last[label]) for label in last}
    if pair.fixed_landmarks is not None and pair.moving_landmarks is not None:
        found = [landmark_errors(t, pair.fixed_landmarks, pair.moving_landmarks) for t in both]
        unit = "px" if found[1].mm is None else "mm"
        first, last = ((e.px if unit == "px" else e.mm) or {} for e in found)
        errors = {name: (first[name], last[name]) for name in last}
    similar = tuple(correlation(t, pair.fixed, pair.moving) for t in both)
    return PairNumbers(similar, overlap, errors, unit, transform.folding_percent())


def numbers_text(numbers: PairNumbers, *, guided: bool = False) -> str:
    """A table of the numbers as rich text.

    Parameters
    ----------
    guided : bool, optional
        The landmarks guided the registration, so that their distance says little; the text says so.
    """
    rows = [("Similarity", *("–" if value is None else f"{value:.3f}" for value in numbers.similarity))]
    if numbers.mean_dice is not None:
        rows.append(("Overlap (Dice), mean", *(f"{value:.3f}" for value in numbers.mean_dice)))
        rows += [
            (f"&nbsp;&nbsp;label {label}", *(f"{value:.3f}" for value in both))
            for label, both in numbers.dice.items()
        ]
    if numbers.mean_error is not None:
        rows.append(
            (
                f"Distance, {len(numbers.errors)} points",
                *(f"{value:.2f} {numbers.unit}" for value in numbers.mean_error),
            )
        )
        worst = max(numbers.errors, key=lambda name: numbers.errors[name][1])
        rows.append(
            (
                f"&nbsp;&nbsp;largest: {escape(worst)}",
                *(f"{value:.2f} {numbers.unit}" for value in numbers.errors[worst]),
            )
        )
    rows.append(("Folding", "", f"{numbers.folding_percent:.2g}%"))
    lines = "".join(
        f"<tr><td>{title}&nbsp;&nbsp;</td><td align='right'>{before}&nbsp;&nbsp;</td>"
        f"<td align='right'><b>{after}</b></td></tr>"
        for title, before, after in rows
    )
    note = "<br><small>The points guided the registration.</small>" if guided and numbers.errors else ""
    return f"<table><tr><td></td><td align='right'>before&nbsp;&nbsp;</td><td>after</td></tr>{lines}</table>{note}"


def _mean(values: Mapping) -> tuple[float, float] | None:
    if not values:
        return None
    before, after = np.mean(list(values.values()), axis=0)
    return float(before), float(after)
