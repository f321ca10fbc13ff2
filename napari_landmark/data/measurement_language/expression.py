"""Expressions of the measurement language: points, lines and quantities that are constructed from landmarks.

An expression is a tree of a closed list of kinds (`Kind`), read from JSON. A name stands for a landmark, or for a
construction or measurement that is defined beside it. Nothing is executed: `measurement.evaluation` knows one
function for each kind.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.composed_name import composed_name
from napari_landmark.data.landmarks import did_you_mean

LARGEST_DEPTH = 24
"""Levels of nesting in an expression, including those of the constructions and measurements that it names."""
LARGEST_SIZE = 2_000
"""Parts of one expression."""
_LARGEST_PAIRS = 64  # lines or points of one side of a maximum over pairs


class Sort(StrEnum):
    """What an expression denotes."""

    POINT = "point"
    LINE = "line"
    QUANTITY = "quantity"


class Kind(StrEnum):
    """Kinds of expressions; the value is the key in JSON."""

    LANDMARK = "landmark"
    MIDPOINT = "midpoint"
    CIRCLE_CENTRE = "circle_centre"
    PROJECTION = "projection"
    INTERSECTION = "intersection"
    LINE = "line"
    PERPENDICULAR = "perpendicular"
    CONSTRUCTION = "construction"
    ANGLE = "angle"
    DISTANCE = "distance"
    SIGNED_DISTANCE = "signed_distance"
    RATIO = "ratio"
    SUM = "sum"
    COMBINATION = "combination"
    MAXIMUM = "maximum"
    MAXIMUM_OVER_PAIRS = "maximum_over_pairs"
    MEASUREMENT = "measurement"


class AngleRange(StrEnum):
    """Range of an angle."""

    FULL = "0-180"
    """Between the directions of two lines."""
    ACUTE = "0-90"
    """Between two lines whose directions do not matter."""
    SIGNED = "signed"
    """From the direction of the first to that of the second line, counterclockwise positive; pictures only."""


POINTS = (Kind.MIDPOINT, Kind.CIRCLE_CENTRE, Kind.PROJECTION, Kind.INTERSECTION)
LINES = (Kind.LINE, Kind.PERPENDICULAR)
QUANTITIES = (
    Kind.ANGLE,
    Kind.DISTANCE,
    Kind.SIGNED_DISTANCE,
    Kind.RATIO,
    Kind.SUM,
    Kind.COMBINATION,
    Kind.MAXIMUM,
    Kind.MAXIMUM_OVER_PAIRS,
    Kind.MEASUREMENT,
)


@dataclass(frozen=True)
class Expression:
    """Point, line or quantity.

    Parameters
    ----------
    kind : Kind
    sort : Sort
    operands : tuple of Expression
        What it is constructed from, in the order of the JSON list. Of a MAXIMUM_OVER_PAIRS those of 'from', then
        those of 'to'; of a CONSTRUCTION or a MEASUREMENT the one that the name stands for.
    name : str
        Name of the landmark, construction or measurement.
    angles : AngleRange
        Range of an ANGLE, and of a MAXIMUM_OVER_PAIRS of lines.
    weights : tuple of float
        Of a COMBINATION, one for each operand.
    constant : float
        Of a COMBINATION, added to the weighted sum.
    denominator_above : float, optional
        Of a RATIO: it is undefined unless the denominator is above it.
    n_from : int
        Of a MAXIMUM_OVER_PAIRS: number of the operands that are 'from'; equal to all of them without 'to'.
    """

    kind: Kind
    sort: Sort
    operands: tuple[Expression, ...] = ()
    name: str = ""
    angles: AngleRange = AngleRange.FULL
    weights: tuple[float, ...] = ()
    constant: float = 0.0
    denominator_above: float | None = None
    n_from: int = 0

    def parts(self) -> Iterator[Expression]:
        """The expression and all that it is constructed from."""
        yield self
        for operand in self.operands:
            yield from operand.parts()

    def renamed(self, names: Mapping[str, str]) -> Expression:
        """The same with old names of landmarks replaced by new ones."""
        operands = tuple(operand.renamed(names) for operand in self.operands)
        name = names.get(self.name, self.name) if self.kind is Kind.LANDMARK else self.name
        return Expression(
            self.kind,
            self.sort,
            operands,
            name,
            self.angles,
            self.weights,
            self.constant,
            self.denominator_above,
            self.n_from,
        )

    def pairs(self) -> list[tuple[Expression, Expression]]:
        """Pairs of a MAXIMUM_OVER_PAIRS.

        All pairs of 'from' without 'to'; else each of 'from' with those at the same and at later places of 'to'.
        """
        first, second = self.operands[: self.n_from], self.operands[self.n_from :]
        if not second:
            return [(a, b) for k, a in enumerate(first) for b in first[k + 1 :]]
        return [(a, b) for k, a in enumerate(first) for b in second[k:]]

    def to_json(self) -> Any:
        """Value for a JSON file."""
        kind, operands = self.kind, [operand.to_json() for operand in self.operands]
        if kind is Kind.LANDMARK:
            return self.name
        if kind in (Kind.CONSTRUCTION, Kind.MEASUREMENT):
            return {str(kind): self.name}
        if kind is Kind.COMBINATION:
            pairs = [[weight, operand] for weight, operand in zip(self.weights, operands, strict=True)]
            return {str(kind): pairs, **({"constant": self.constant} if self.constant else {})}
        made: dict[str, Any] = {str(kind): operands}
        if kind is Kind.MAXIMUM_OVER_PAIRS:
            made = {str(kind): {"from": operands[: self.n_from]}}
            if operands[self.n_from :]:
                made[str(kind)]["to"] = operands[self.n_from :]
        if self.angles is not AngleRange.FULL:
            made["range"] = str(self.angles)
        if self.denominator_above is not None:
            made["denominator_above"] = self.denominator_above
        return made

    @property
    def depth(self) -> int:
        """Levels of nesting."""
        return 1 + max((operand.depth for operand in self.operands), default=0)


def parse_quantity(
    data: object, constructions: Mapping[str, Expression], measurements: Mapping[str, Expression]
) -> Expression:
    """Quantity from a value of JSON.

    Parameters
    ----------
    data : object
    constructions, measurements : mapping of str to Expression
        What may be named: those that are defined before it, so that none can refer to itself.

    Raises
    ------
    InputError
        It is none of the language; the message tells the part and what was expected, without a file or a name.
    """
    return _Parser(constructions, measurements).quantity(data, 1)


def parse_geometry(data: object, constructions: Mapping[str, Expression]) -> Expression:
    """Point or line from a value of JSON.

    Parameters
    ----------
    data : object
    constructions : mapping of str to Expression
        Those that are defined before it.

    Raises
    ------
    InputError
        It is none of the language; the message tells the part and what was expected, without a file or a name.
    """
    return _Parser(constructions).geometry(data, 1)


class _Parser:
    """Parser of one expression, which counts its parts."""

    def __init__(
        self, constructions: Mapping[str, Expression], measurements: Mapping[str, Expression] | None = None
    ) -> None:
        self._constructions, self._measurements = constructions, measurements or {}
        self._count = 0

    def quantity(self, data: object, depth: int) -> Expression:
        self._enter(depth)
        kind, value, options = _single_key(data, QUANTITIES, "a quantity")
        if kind is Kind.MEASUREMENT:
            _no_more(options, kind)
            return self._named(kind, value, self._measurements, depth)
        if kind is Kind.COMBINATION:
            return self._combination(value, options, depth)
        if kind is Kind.MAXIMUM_OVER_PAIRS:
            return self._maximum_over_pairs(value, options, depth)
        values = _list(value, kind)
        if kind in (Kind.SUM, Kind.MAXIMUM, Kind.RATIO):
            above = None
            if kind is Kind.RATIO:
                _expect(len(values) == 2, kind, "two quantities")
                if "denominator_above" in options:
                    above = finite(options.pop("denominator_above"), "denominator_above")
            else:
                _expect(len(values) >= 2, kind, "two quantities or more")
            _no_more(options, kind)
            operands = tuple(self.quantity(item, depth + 1) for item in values)
            return Expression(kind, Sort.QUANTITY, operands, denominator_above=above)
        return self._from_geometry(kind, values, options, depth)

    def _from_geometry(
        self, kind: Kind, values: list[Any], options: dict[str, Any], depth: int
    ) -> Expression:
        angles = _angle_range(options) if kind is Kind.ANGLE else AngleRange.FULL
        _no_more(options, kind)
        operands = tuple(self.geometry(item, depth + 1) for item in values)
        sorts = tuple(operand.sort for operand in operands)
        point, line = Sort.POINT, Sort.LINE
        if kind is Kind.ANGLE:
            fits = sorts in ((line, line), (point, point, point))
            _expect(fits, kind, "three points (the second is the vertex) or two lines")
            _expect(
                angles is AngleRange.FULL or len(operands) == 2,
                kind,
                "two lines with 'range'; three points need none",
            )
        else:
            _expect(sorts in ((point, point), (point, line)), kind, "two points, or a point and a line")
        return Expression(kind, Sort.QUANTITY, operands, angles=angles)

    def _combination(self, value: object, options: dict[str, Any], depth: int) -> Expression:
        constant = finite(options.pop("constant", 0.0), "constant")
        _no_more(options, Kind.COMBINATION)
        rows = _list(value, Kind.COMBINATION)
        fits = bool(rows) and all(isinstance(row, list) and len(row) == 2 for row in rows)
        _expect(fits, Kind.COMBINATION, "pairs of a weight and a quantity, such as [[1, ...], [-1, ...]]")
        weights = tuple(finite(row[0], "a weight") for row in rows)
        operands = tuple(self.quantity(row[1], depth + 1) for row in rows)
        return Expression(Kind.COMBINATION, Sort.QUANTITY, operands, weights=weights, constant=constant)

    def _maximum_over_pairs(self, value: object, options: dict[str, Any], depth: int) -> Expression:
        kind = Kind.MAXIMUM_OVER_PAIRS
        angles = _angle_range(options)
        _no_more(options, kind)
        if not isinstance(value, Mapping) or not set(value) <= {"from", "to"} or "from" not in value:
            raise InputError(f"'{kind}': expected an object with the lists 'from' and, for two groups, 'to'")
        first = [self.geometry(item, depth + 1) for item in _list(value["from"], kind)]
        second = [self.geometry(item, depth + 1) for item in _list(value.get("to", []), kind)]
        _expect(
            max(len(first), len(second)) <= _LARGEST_PAIRS, kind, f"at most {_LARGEST_PAIRS} lines or points"
        )
        sorts = {operand.sort for operand in (*first, *second)}
        _expect(len(sorts) <= 1, kind, "lines alone or points alone")
        made = Expression(kind, Sort.QUANTITY, (*first, *second), angles=angles, n_from=len(first))
        _expect(bool(made.pairs()), kind, "at least one pair")
        return made

    def geometry(self, data: object, depth: int) -> Expression:
        """Point or line: a name, a list of two points (the line through them), or an object."""
        self._enter(depth)
        if isinstance(data, str):
            return Expression(Kind.LANDMARK, Sort.POINT, name=_name(data, Kind.LANDMARK))
        if isinstance(data, list):
            data = {"line": data}
        kind, value, options = _single_key(data, (*POINTS, *LINES, Kind.CONSTRUCTION), "a point or a line")
        _no_more(options, kind)
        if kind is Kind.CONSTRUCTION:
            return self._named(kind, value, self._constructions, depth)
        operands = tuple(self.geometry(item, depth + 1) for item in _list(value, kind))
        sorts = tuple(operand.sort for operand in operands)
        point, line = Sort.POINT, Sort.LINE
        if kind is Kind.MIDPOINT:
            _expect(sorts == (point, point), kind, "two points")
        elif kind is Kind.CIRCLE_CENTRE:
            _expect(len(sorts) >= 3 and set(sorts) == {point}, kind, "three points or more")
        elif kind is Kind.LINE:
            _expect(sorts == (point, point), kind, "two points; the line goes from the first to the second")
        elif kind is Kind.INTERSECTION:
            _expect(sorts == (line, line), kind, "two lines")
        else:
            _expect(sorts == (point, line), kind, "a point and a line")
        return Expression(kind, Sort.LINE if kind in LINES else Sort.POINT, operands)

    def _named(self, kind: Kind, value: object, known: Mapping[str, Expression], depth: int) -> Expression:
        """What a name stands for; it counts with all its parts, so that names of names stay small."""
        name = _name(value, kind)
        if name not in known:
            raise InputError(
                f"{kind} {name!r} is not defined before it{did_you_mean(name, known)}: define it, or move it up"
            )
        meant = known[name]
        self._enter(depth + meant.depth, sum(1 for _ in meant.parts()))
        return Expression(kind, meant.sort, (meant,), name)

    def _enter(self, depth: int, count: int = 1) -> None:
        self._count += count
        if depth > LARGEST_DEPTH:
            raise InputError(
                f"is nested deeper than {LARGEST_DEPTH} levels: name parts of it as constructions"
            )
        if self._count > LARGEST_SIZE:
            raise InputError(f"has more than {LARGEST_SIZE} parts: split it into several measurements")


def _single_key(data: object, kinds: tuple[Kind, ...], expected: str) -> tuple[Kind, Any, dict[str, Any]]:
    """Kind, its value, and the other keys of an object that has the key of exactly one kind."""
    known = ", ".join(map(str, kinds))
    if not isinstance(data, Mapping):
        raise InputError(f"{shown(data)} is not {expected}: expected an object with one of {known}")
    found = [kind for kind in kinds if kind in data]
    if len(found) != 1:
        given = ", ".join(map(str, data)) or "nothing"
        raise InputError(f"{expected} has exactly one of the keys {known}; here are {given[:80]}")
    return found[0], data[found[0]], {key: value for key, value in data.items() if key != found[0]}


def _angle_range(options: dict[str, Any]) -> AngleRange:
    given = options.pop("range", AngleRange.FULL)
    if given not in tuple(AngleRange):
        raise InputError(f"'range' is {shown(given)}: expected one of {', '.join(AngleRange)}")
    return AngleRange(given)


def _no_more(options: Mapping[str, Any], kind: Kind) -> None:
    if options:
        raise InputError(f"'{kind}': unknown key {next(iter(options))!r}: remove it")


def _list(value: object, kind: Kind) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(f"'{kind}': expected a list, not {shown(value)}")
    return value


def _name(value: object, kind: Kind) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"'{kind}': expected a name, not {shown(value)}")
    return composed_name(value)


def finite(value: object, what: str) -> float:
    """A finite number of JSON; InputError for anything else."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    except OverflowError:  # an integer of hundreds of digits
        pass
    raise InputError(f"{what} is {shown(value)}: expected a number")


def _expect(fits: bool, kind: Kind, wanted: str) -> None:
    if not fits:
        raise InputError(f"'{kind}': expected {wanted}")


def shown(value: object) -> str:
    """A value of JSON in a message, shortened."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
