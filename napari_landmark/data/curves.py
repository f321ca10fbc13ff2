"""Curves: chains of semilandmarks between two landmarks, spaced evenly along a drawn line."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.composed_name import composed_name

_MOST_POINTS = 500


@dataclass(frozen=True)
class Curve:
    """Chain of semilandmarks from one landmark to another.

    Its semilandmarks are landmarks of the schema, named ``NAME[1]`` to ``NAME[count]`` from the start on, so that
    whatever works with landmarks works with them.

    Parameters
    ----------
    name : str
        Name of the curve; its letters are composed (Unicode NFC).
    start, end : str
        Names of the landmarks at both ends; the same one for a closed outline.
    count : int
        Number of semilandmarks between them, 1 to 500.

    Raises
    ------
    InputError
        The name is no line of text, or the count is out of range.
    """

    name: str
    start: str
    end: str
    count: int

    def __post_init__(self) -> None:
        for field in ("name", "start", "end"):
            value = getattr(self, field)
            if not isinstance(value, str) or not value or value != value.strip() or not value.isprintable():
                raise InputError(f"curve {self.name!r}: its {field} is {value!r}: give one line of text")
            object.__setattr__(self, field, composed_name(value))
        if (
            not isinstance(self.count, int)
            or isinstance(self.count, bool)
            or not 1 <= self.count <= _MOST_POINTS
        ):
            raise InputError(
                f"curve {self.name!r}: {self.count!r} semilandmarks: give a number from 1 to {_MOST_POINTS}"
            )

    @property
    def semilandmarks(self) -> tuple[str, ...]:
        """Names of the semilandmarks, from the start on.

        Examples
        --------
        >>> Curve("border", "gonion", "menton", 2).semilandmarks
        ('border[1]', 'border[2]')
        """
        return tuple(f"{self.name}[{number}]" for number in range(1, self.count + 1))

    @property
    def chain(self) -> tuple[str, ...]:
        """Names of the start, the semilandmarks and the end."""
        return (self.start, *self.semilandmarks, self.end)

    @property
    def is_closed(self) -> bool:
        """Whether it ends where it starts."""
        return self.start == self.end

    def renamed(self, names: Mapping[str, str]) -> Curve:
        """The same with new names of the landmarks at its ends."""
        return Curve(self.name, names.get(self.start, self.start), names.get(self.end, self.end), self.count)

    def to_json(self) -> dict[str, Any]:
        """Object for a JSON file."""
        return {"name": self.name, "from": self.start, "to": self.end, "points": self.count}


def curves_from_json(data: Mapping[str, Any]) -> tuple[Curve, ...]:
    """Curves from the entry 'curves' of a schema, empty without; InputError for anything else."""
    rows = data.get("curves", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError("'curves' must be a list of objects with 'name', 'from', 'to' and 'points'")
    curves = []
    for row in rows:
        try:
            curves.append(Curve(row["name"], row["from"], row["to"], row["points"]))
        except KeyError as error:
            raise InputError(
                f"curve {str(row.get('name', ''))[:40]!r}: has no {error}: give 'name', 'from', 'to' and 'points'"
            ) from None
    return tuple(curves)


def check_curves(curves: Iterable[Curve], names: Collection[str]) -> None:
    """Refuse (InputError) curves with landmarks that are not among the names, and two of one name."""
    known, seen = set(names), set()
    for curve in curves:
        if curve.name in seen:
            raise InputError(f"curve {curve.name!r} is there twice: rename one of them")
        seen.add(curve.name)
        for name in curve.chain:
            if name not in known:
                raise InputError(
                    f"curve {curve.name!r}: needs the landmark {name!r}, which is not there: add it"
                )


def curves_among(curves: Iterable[Curve], names: Collection[str]) -> tuple[Curve, ...]:
    """The curves whose landmarks all are among the names."""
    known = set(names)
    return tuple(curve for curve in curves if known.issuperset(curve.chain))


def curves_last(names: Iterable[str], curves: Iterable[Curve]) -> tuple[str, ...]:
    """Names of the landmarks of no curve, followed by the semilandmarks of each curve: the order of TPS files."""
    sliding = [name for curve in curves for name in curve.semilandmarks]
    return (*(name for name in names if name not in set(sliding)), *sliding)


def sliders(curves: Iterable[Curve], names: Sequence[str]) -> list[tuple[int, int, int]]:
    """Rows of each semilandmark with its neighbours: (before, slide, after), counted from 0.

    The table of sliding semilandmarks that programs of geometric morphometrics take, which count from 1.
    """
    rows = {name: row for row, name in enumerate(names)}
    return [
        (rows[before], rows[slide], rows[after])
        for curve in curves
        for before, slide, after in zip(curve.chain, curve.chain[1:], curve.chain[2:], strict=False)
    ]


def resample_curve(
    path: ArrayLike, *, start: ArrayLike, end: ArrayLike, count: int, spacing: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """Place semilandmarks at equal distances along a drawn line.

    The line runs from the start through the drawn points to the end; where it was drawn the other way round, it is
    turned. Lengths are those in millimetres where the spacing is given, so that pixels that are not square do not
    matter.

    Parameters
    ----------
    path : (m, d) array_like
        Drawn points, index coordinates; consecutive ones may coincide.
    start, end : (d,) array_like
        Positions of the landmarks at the ends.
    count : int
        Number of semilandmarks.
    spacing : sequence of float, optional
        Millimetres per pixel along each axis.

    Returns
    -------
    (count, d) array
        Index coordinates, from the start on, neither start nor end included.

    Raises
    ------
    InputError
        The line has no length, or a point is not finite.
    """
    drawn = np.asarray(path, dtype=np.float64)
    ends = np.array([start, end], dtype=np.float64)
    drawn = drawn.reshape(-1, ends.shape[1])
    steps = np.ones(ends.shape[1]) if spacing is None else np.asarray(spacing, dtype=np.float64)
    if not (np.isfinite(drawn).all() and np.isfinite(ends).all()):
        raise InputError("the line has a point without a position: draw it again")

    def length(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float(np.linalg.norm((a - b) * steps))

    if len(drawn):
        as_drawn = length(ends[0], drawn[0]) + length(ends[1], drawn[-1])
        turned = length(ends[0], drawn[-1]) + length(ends[1], drawn[0])
        if turned < as_drawn:
            drawn = drawn[::-1]
    line = np.concatenate([ends[:1], drawn, ends[1:]])
    parts = np.linalg.norm(np.diff(line, axis=0) * steps, axis=1)
    along = np.concatenate([[0.0], np.cumsum(parts)])
    if not along[-1] > 0:
        raise InputError("the line has no length: draw it from one landmark to the other")
    places = along[-1] * np.arange(1, count + 1) / (count + 1)
    kept = np.concatenate([[True], parts > 0])  # interpolation needs growing lengths
    return np.stack(
        [np.interp(places, along[kept], line[kept, axis]) for axis in range(line.shape[1])], axis=1
    )
