"""Sides of the body: names that change when an image is a mirror image, and whether mirror images are expected."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.composed_name import composed_name

# A word of its own, at underscores as at spaces: "left condyle", "condyle_R", "L.tip".
_SIDE = re.compile(r"(?<![^\W_])(left|right|l|r|links|rechts|li|re)(?![^\W_])", re.IGNORECASE)
_OTHER = {"left": "right", "l": "r", "links": "rechts", "li": "re"}
_OTHER |= {right: left for left, right in _OTHER.items()}


class Mirroring(StrEnum):
    """Meaning of a mirror image in a cohort."""

    SAME = "same"
    """Landmarks keep their names: a left hand has the same joints as a right one."""
    SWAPPED = "swapped"
    """Landmarks get the names of the other side."""
    NEVER = "never"
    """Images are never mirrored: an image that resembles a mirror image is something else."""


@dataclass(frozen=True)
class Sides:
    """Names of landmarks in mirror images.

    Parameters
    ----------
    mirroring : Mirroring
    pairs : tuple of pair of str
        Names of the left and the right one of two landmarks.

    Raises
    ------
    InputError
        A name is in two pairs.
    """

    mirroring: Mirroring = Mirroring.SAME
    pairs: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        pairs = tuple((composed_name(first), composed_name(second)) for first, second in self.pairs)
        names = [name for pair in pairs for name in pair]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"landmark {twice!r} is in two pairs of sides: keep one of them")
        object.__setattr__(self, "mirroring", Mirroring(self.mirroring))
        object.__setattr__(self, "pairs", pairs)

    @classmethod
    def of_names(cls, names: Sequence[str], mirroring: Mirroring = Mirroring.SAME) -> Sides:
        """Pairs of names that differ in nothing but a word for the side, as in 'left condyle', 'condyle_R'."""
        known = set(names)
        pairs: list[tuple[str, str]] = []
        for name in names:
            other = _SIDE.sub(_exchange, name)
            if (
                other != name
                and other in known
                and other not in {second for pair in pairs for second in pair}
            ):
                pairs.append((name, other))
        unique = [pair for k, pair in enumerate(pairs) if pair[::-1] not in pairs[:k]]
        return cls(mirroring, tuple(unique))

    def rows(self, names: Sequence[str], *, mirrored: bool) -> NDArray[np.int64]:
        """(n,) row of the landmark of the template whose position each name has in an image.

        The names' own rows but in mirror images with `Mirroring.SWAPPED`. A pair whose names are not both in `names`
        stays as it is.
        """
        rows = np.arange(len(names))
        if mirrored and self.mirroring is Mirroring.SWAPPED:
            at = {name: row for row, name in enumerate(names)}
            for first, second in self.pairs:
                if first in at and second in at:
                    rows[at[first]], rows[at[second]] = at[second], at[first]
        return rows

    def renamed(self, names: Mapping[str, str]) -> Sides:
        """The same with old names of landmarks replaced by new ones."""
        pairs = tuple((names.get(first, first), names.get(second, second)) for first, second in self.pairs)
        return Sides(self.mirroring, pairs)

    def to_json(self) -> dict[str, Any]:
        """Object for a JSON file."""
        return {"mirrored": str(self.mirroring), "pairs": [list(pair) for pair in self.pairs]}

    @classmethod
    def from_json(cls, data: object) -> Sides:
        """Sides from the object of `to_json`; InputError for anything else."""
        try:
            if not isinstance(data, Mapping):
                raise TypeError
            pairs = tuple((first, second) for first, second in data["pairs"])
            if not all(isinstance(name, str) for pair in pairs for name in pair):
                raise TypeError
            return cls(Mirroring(data["mirrored"]), pairs)
        except InputError:
            raise
        except (LookupError, TypeError, ValueError):
            raise InputError(
                "sides were expected: an object with 'mirrored' (same, swapped or never) and 'pairs' of names"
            ) from None


def _exchange(match: re.Match[str]) -> str:
    word = match.group()
    other = _OTHER[word.lower()]
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[0].isupper() else other
