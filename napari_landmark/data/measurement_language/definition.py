"""Definitions of measurements: quantity, norms, classes, source; and the definitions of a study together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.composed_name import composed_name
from napari_landmark.data.landmarks import did_you_mean
from napari_landmark.data.measurement_language.expression import (
    AngleRange,
    Expression,
    Kind,
    Sort,
    finite,
    parse_geometry,
    parse_quantity,
    shown,
)

_MOST = 2_000
_NORM_KEYS = ("mean", "sd", "range", "source", "population", "age", "sex")
_LIMIT_KEYS = ("name", "from", "to", "above", "below")
_ABOUT_KEYS = ("name", "analyses", "text", "source", "unit", "norms", "classes", "decimals")


class Dimension(StrEnum):
    """Dimension of a quantity."""

    ANGLE = "angle"
    LENGTH = "length"
    NUMBER = "number"
    """A ratio."""


@dataclass(frozen=True)
class Norm:
    """Published norm of a measurement.

    Parameters
    ----------
    mean, sd : float, optional
        Mean and standard deviation. A norm has both, a mean alone, or a range.
    low, high : float, optional
        Published range, both ends included; deviations from it are not in standard deviations.
    source : str
        Author and year.
    population, age, sex : str
        Whom it was measured in; sex 'm', 'f' or empty for both.
    """

    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    source: str = ""
    population: str = ""
    age: str = ""
    sex: str = ""

    @property
    def ends(self) -> tuple[float, float] | None:
        """Ends of the range, or the mean minus and plus one standard deviation; None of an empty norm."""
        if self.low is not None and self.high is not None:
            return self.low, self.high
        if self.mean is None:
            return None
        spread = self.sd or 0.0
        return self.mean - spread, self.mean + spread

    def to_json(self) -> dict[str, Any]:
        """Object for a JSON file."""
        made: dict[str, Any] = {}
        if self.mean is not None:
            made["mean"] = self.mean
        if self.sd is not None:
            made["sd"] = self.sd
        if self.low is not None:
            made["range"] = [self.low, self.high]
        texts = {key: getattr(self, key) for key in ("source", "population", "age", "sex")}
        return {**made, **{key: text for key, text in texts.items() if text}}

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Norm from the object of `to_json`; InputError for anything else."""
        if not isinstance(data, Mapping):
            raise InputError(f"a norm is {shown(data)}: expected an object with 'mean' and 'sd', or 'range'")
        if unknown := [key for key in data if key not in _NORM_KEYS]:
            raise InputError(f"a norm has the unknown key {unknown[0]!r}: known are {', '.join(_NORM_KEYS)}")
        mean, sd = (finite(data[key], key) if key in data else None for key in ("mean", "sd"))
        low = high = None
        if "range" in data:
            ends = data["range"]
            if not isinstance(ends, list) or len(ends) != 2:
                raise InputError(f"'range' of a norm is {shown(ends)}: expected two numbers")
            low, high = (finite(end, "'range'") for end in ends)
            if low > high:
                raise InputError(f"'range' of a norm is {shown(ends)}: give the lower end first")
        if sd is not None and (sd <= 0 or mean is None):
            raise InputError("'sd' of a norm needs a 'mean', and is above 0")
        if (mean is None) == (low is None):
            raise InputError("a norm has 'mean' (and 'sd'), or 'range'")
        texts = {
            key: text(data.get(key, ""), f"{key!r} of a norm")
            for key in ("source", "population", "age", "sex")
        }
        if texts["sex"] not in ("", "m", "f"):
            raise InputError(f"'sex' of a norm is {texts['sex']!r}: expected 'm', 'f' or nothing")
        return cls(mean, sd, low, high, **texts)


@dataclass(frozen=True)
class ValueClass:
    """Class of values between limits, such as 'class II' above 5.7 degrees.

    Parameters
    ----------
    name : str
    low, high : float
        Limits; minus or plus infinity without one.
    low_included, high_included : bool
        Whether a value at the limit is in the class ('from' and 'to' in JSON) or not ('above' and 'below').
    """

    name: str
    low: float = -math.inf
    high: float = math.inf
    low_included: bool = False
    high_included: bool = False

    def holds(self, value: float) -> bool:
        """Whether a value is in the class."""
        above = value >= self.low if self.low_included else value > self.low
        return above and (value <= self.high if self.high_included else value < self.high)

    def overlaps(self, other: ValueClass) -> bool:
        """Whether a value can be in both."""
        first, second = sorted((self, other), key=lambda one: (one.low, not one.low_included))
        if second.low == first.high:
            return first.high_included and second.low_included
        return second.low < first.high

    def to_json(self) -> dict[str, Any]:
        """Object for a JSON file."""
        made: dict[str, Any] = {"name": self.name}
        if math.isfinite(self.low):
            made["from" if self.low_included else "above"] = self.low
        if math.isfinite(self.high):
            made["to" if self.high_included else "below"] = self.high
        return made

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Class from the object of `to_json`; InputError for anything else."""
        if not isinstance(data, Mapping):
            raise InputError(f"a class is {shown(data)}: expected an object with 'name' and limits")
        if unknown := [key for key in data if key not in _LIMIT_KEYS]:
            raise InputError(
                f"a class has the unknown key {unknown[0]!r}: known are {', '.join(_LIMIT_KEYS)}"
            )
        name = text(data.get("name"), "'name' of a class")
        if not name:
            raise InputError("a class has no 'name'")
        if {"from", "above"} <= set(data) or {"to", "below"} <= set(data):
            raise InputError(f"class {name!r} has two lower or two upper limits: keep one")
        limits = {
            key: finite(data[key], f"{key!r} of class {name!r}") for key in _LIMIT_KEYS[1:] if key in data
        }
        low = limits.get("from", limits.get("above", -math.inf))
        high = limits.get("to", limits.get("below", math.inf))
        made = cls(name, low, high, "from" in limits, "to" in limits)
        if not limits or low > high or (low == high and not (made.low_included and made.high_included)):
            raise InputError(f"class {name!r}: its limits hold no value: the lower one is 'from' or 'above'")
        return made


@dataclass(frozen=True)
class Construction:
    """Named point or line, to be used in measurements and drawn in reports.

    Parameters
    ----------
    name : str
    expression : Expression
    """

    name: str
    expression: Expression


@dataclass(frozen=True)
class Measurement:
    """Definition of a measurement.

    Parameters
    ----------
    name : str
        Unique, such as 'SNA'.
    expression : Expression
        A quantity.
    dimension : Dimension
        Follows from the expression.
    analyses : tuple of str
        Analyses that it belongs to, such as 'Steiner'; tables are grouped by them.
    text : str
        Definition in words.
    source : str
        Author and year of the definition.
    norms : tuple of Norm
        Several where they depend on sex.
    classes : tuple of ValueClass
        They do not overlap; values between them have none.
    percent : bool
        Whether a ratio is given in percent, as are its norms and classes.
    decimals : int
        Digits behind the decimal point in tables for people.
    """

    name: str
    expression: Expression
    dimension: Dimension
    analyses: tuple[str, ...] = ()
    text: str = ""
    source: str = ""
    norms: tuple[Norm, ...] = ()
    classes: tuple[ValueClass, ...] = ()
    percent: bool = False
    decimals: int = 1

    @property
    def unit(self) -> str:
        """Unit of the values: '°', 'mm', '%' or nothing."""
        if self.dimension is Dimension.NUMBER:
            return "%" if self.percent else ""
        return "°" if self.dimension is Dimension.ANGLE else "mm"

    @property
    def landmarks(self) -> tuple[str, ...]:
        """Names of the landmarks it is measured from, each once."""
        return landmark_names(self.expression)

    @property
    def needs_spacing(self) -> bool:
        """Whether it cannot be computed from pixels: it is a length, or compares one with a limit in mm."""
        return self.dimension is Dimension.LENGTH or any(
            part.denominator_above is not None and dimension_of(part.operands[1]) is Dimension.LENGTH
            for part in self.expression.parts()
        )

    @property
    def needs_side(self) -> bool:
        """Whether its sign depends on which way the subject looks."""
        return any(
            part.kind is Kind.SIGNED_DISTANCE or part.angles is AngleRange.SIGNED
            for part in self.expression.parts()
        )

    @property
    def planar(self) -> str:
        """Part of it that is defined in pictures only, such as 'a signed angle'; empty without one."""
        for part in self.expression.parts():
            if part.kind is Kind.SIGNED_DISTANCE:
                return "a signed distance"
            if part.angles is AngleRange.SIGNED:
                return "a signed angle"
            if part.kind is Kind.INTERSECTION:
                return "an intersection of lines"
            if part.kind is Kind.CIRCLE_CENTRE and len(part.operands) > 3:
                return "a circle through more than three points"
        return ""

    def norm_for(self, sex: str = "") -> Norm | None:
        """Norm for a person; None without one, and where it depends on the sex and that is unknown."""
        return next((norm for norm in self.norms if not norm.sex or norm.sex == sex), None)

    def class_of(self, value: float) -> ValueClass | None:
        """Class of a value; None between the limits of all."""
        return next((one for one in self.classes if one.holds(value)), None)

    def to_json(self) -> dict[str, Any]:
        """Object for a JSON file."""
        made: dict[str, Any] = {"name": self.name}
        texts = {"text": self.text, "source": self.source}
        made |= {"analyses": list(self.analyses)} if self.analyses else {}
        made |= {key: value for key, value in texts.items() if value}
        made |= self.expression.to_json()
        if self.percent:
            made["unit"] = "%"
        if self.decimals != _usual_decimals(self.dimension, self.percent):
            made["decimals"] = self.decimals
        if self.norms:
            made["norms"] = [norm.to_json() for norm in self.norms]
        if self.classes:
            made["classes"] = [one.to_json() for one in self.classes]
        return made


@dataclass(frozen=True)
class MeasurementSchema:
    """Measurements of a study, with the constructions that they use.

    Parameters
    ----------
    measurements : tuple of Measurement
        Each may name those before it.
    constructions : tuple of Construction
        Each may name those before it.
    facing : tuple of two str, optional
        Landmarks that tell which way the subject looks: the second one is in front of the first. Needed by
        measurements with a sign.
    """

    measurements: tuple[Measurement, ...] = ()
    constructions: tuple[Construction, ...] = ()
    facing: tuple[str, str] | None = None

    def __bool__(self) -> bool:
        return bool(self.measurements)

    def __len__(self) -> int:
        return len(self.measurements)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the measurements."""
        return tuple(one.name for one in self.measurements)

    @property
    def _definitions(self) -> tuple[Construction | Measurement, ...]:
        """Constructions, then measurements."""
        return *self.constructions, *self.measurements

    def measurement(self, name: str) -> Measurement:
        """The measurement of a name; InputError with a similar one where there is none."""
        found = next((one for one in self.measurements if one.name == composed_name(name)), None)
        if found is None:
            raise InputError(
                f"unknown measurement {name!r}{did_you_mean(name, self.names)} (there are {len(self)})"
            )
        return found

    def check_landmarks(self, names: Sequence[str]) -> None:
        """Refuse landmarks that are not among the given names.

        Raises
        ------
        InputError
            With the measurement, the landmark and a similar name.
        """
        known = set(names)
        for one in self._definitions:
            for name in landmark_names(one.expression):
                if name not in known:
                    raise InputError(f"{one.name}: unknown landmark {name!r}{did_you_mean(name, names)}")
        for name in self.facing or ():
            if name not in known:
                raise InputError(f"'facing': unknown landmark {name!r}{did_you_mean(name, names)}")

    def renamed(self, names: Mapping[str, str]) -> MeasurementSchema:
        """The same with old names of landmarks replaced by new ones."""
        data = self.to_json()
        rows = [*data.get("constructions", []), *data.get("measurements", [])]
        for row, one in zip(rows, self._definitions, strict=True):
            row.update(one.expression.renamed(names).to_json())
        if self.facing is not None:
            data["facing"] = [names.get(name, name) for name in self.facing]
        return MeasurementSchema.from_json(data)

    def merged(self, other: MeasurementSchema) -> MeasurementSchema:
        """These measurements, followed by those of another schema whose names are new.

        Raises
        ------
        InputError
            A name stands for another expression there, which would change what others are measured by.
        """
        data, added = self.to_json(), other.to_json()
        known = {(type(one), one.name): one.expression for one in self._definitions}
        for one in other._definitions:
            if known.get((type(one), one.name), one.expression) != one.expression:
                raise InputError(f"{one.name}: is defined otherwise in both: rename one of them")
        for key in ("constructions", "measurements"):
            taken = {row["name"] for row in data.get(key, [])}
            rows = [*data.get(key, []), *(row for row in added.get(key, []) if row["name"] not in taken)]
            data[key] = rows
        if self.facing is None and other.facing is not None:
            data["facing"] = list(other.facing)
        return MeasurementSchema.from_json(data)

    def to_json(self) -> dict[str, Any]:
        """Keys of a schema file or of ``study.json``; empty without measurements."""
        made: dict[str, Any] = {}
        if self.facing is not None:
            made["facing"] = list(self.facing)
        if self.constructions:
            made["constructions"] = [
                {"name": one.name, **one.expression.to_json()} for one in self.constructions
            ]
        if self.measurements:
            made["measurements"] = [one.to_json() for one in self.measurements]
        return made

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MeasurementSchema:
        """Measurements from an object with the keys 'measurements', 'constructions' and 'facing'; others are ignored.

        Raises
        ------
        InputError
            With the name of the measurement, or its number where it has none, and what was expected.
        """
        facing = data.get("facing")
        if facing is not None:
            if (
                not isinstance(facing, list)
                or len(facing) != 2
                or not all(isinstance(name, str) for name in facing)
            ):
                raise InputError(
                    f"'facing' is {shown(facing)}: expected two landmarks, the one behind and the other in front"
                )
            facing = (composed_name(facing[0]), composed_name(facing[1]))
        known: dict[str, Expression] = {}
        constructions = []
        for name, row in _rows(data, "constructions", "construction"):
            try:
                rest = {key: value for key, value in row.items() if key != "name"}
                known[name] = parse_geometry(rest, known)
            except InputError as error:
                raise error.prefixed(name) from None
            constructions.append(Construction(name, known[name]))
        quantities: dict[str, Expression] = {}
        measurements = []
        for name, row in _rows(data, "measurements", "measurement"):
            try:
                measurement = _measurement(name, row, known, quantities)
                if measurement.needs_side and facing is None:
                    raise InputError(
                        "has a sign, which needs the side that the subject looks to: give 'facing' with two "
                        "landmarks, the one behind and the one in front"
                    )
            except InputError as error:
                raise error.prefixed(name) from None
            quantities[name] = measurement.expression
            measurements.append(measurement)
        return cls(tuple(measurements), tuple(constructions), facing)


def landmark_names(expression: Expression) -> tuple[str, ...]:
    """Names of the landmarks of an expression, each once."""
    return tuple(dict.fromkeys(part.name for part in expression.parts() if part.kind is Kind.LANDMARK))


def dimension_of(expression: Expression) -> Dimension:
    """Dimension of a quantity; InputError where it mixes angles, lengths and ratios."""
    kind = expression.kind
    if kind is Kind.ANGLE:
        return Dimension.ANGLE
    if kind in (Kind.DISTANCE, Kind.SIGNED_DISTANCE):
        return Dimension.LENGTH
    if kind is Kind.MAXIMUM_OVER_PAIRS:
        return Dimension.ANGLE if expression.operands[0].sort is Sort.LINE else Dimension.LENGTH
    found = list(dict.fromkeys(dimension_of(operand) for operand in expression.operands))
    if len(found) > 1:
        raise InputError(f"'{kind}': mixes {found[0]} and {found[1]}: its parts must have one dimension")
    return Dimension.NUMBER if kind is Kind.RATIO else found[0]


def text(value: object, what: str) -> str:
    """One line of text from a value of JSON; InputError for anything else."""
    if not isinstance(value, str) or not value.isprintable():
        raise InputError(f"{what} is {shown(value)}: expected one line of text")
    return value.strip()


def _measurement(
    name: str,
    row: Mapping[str, Any],
    constructions: Mapping[str, Expression],
    measurements: Mapping[str, Expression],
) -> Measurement:
    quantity = {key: value for key, value in row.items() if key not in _ABOUT_KEYS}
    expression = parse_quantity(quantity, constructions, measurements)
    dimension = dimension_of(expression)
    unit = text(row.get("unit", ""), "'unit'")
    percent = unit == "%" and dimension is Dimension.NUMBER
    if unit and not percent:
        raise InputError(
            f"'unit' is {unit!r}: only '%' of a ratio can be chosen; angles are in degrees, lengths in mm"
        )
    norms = tuple(map(Norm.from_json, _list_of(row, "norms")))
    classes = tuple(map(ValueClass.from_json, _list_of(row, "classes")))
    for number, one in enumerate(classes):
        for other in classes[:number]:
            if one.overlaps(other):
                raise InputError(f"classes {other.name!r} and {one.name!r} overlap: change their limits")
    decimals = row.get("decimals", _usual_decimals(dimension, percent))
    if isinstance(decimals, bool) or not isinstance(decimals, int) or not 0 <= decimals <= 6:
        raise InputError(f"'decimals' is {shown(decimals)}: expected 0 to 6")
    texts = {key: text(row.get(key, ""), repr(key)) for key in ("text", "source")}
    analyses = tuple(text(one, "an analysis") for one in _list_of(row, "analyses"))
    return Measurement(
        name,
        expression,
        dimension,
        analyses,
        texts["text"],
        texts["source"],
        norms,
        classes,
        percent,
        decimals,
    )


def _usual_decimals(dimension: Dimension, percent: bool) -> int:
    return 3 if dimension is Dimension.NUMBER and not percent else 1


def _rows(data: Mapping[str, Any], key: str, what: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Objects of a list with their names, each of which is there once."""
    rows = _list_of(data, key)
    if len(rows) > _MOST:
        raise InputError(f"{len(rows)} {key}: at most {_MOST} are possible")
    seen: set[str] = set()
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise InputError(f"{what} {number} is {shown(row)}: expected an object with 'name'")
        name = composed_name(text(row.get("name"), f"'name' of {what} {number}"))
        if not name:
            raise InputError(f"{what} {number} has no 'name'")
        if name in seen:
            raise InputError(f"{name}: this {what} is there twice: rename one of them")
        seen.add(name)
        yield name, row


def _list_of(data: Mapping[str, Any], key: str) -> list[Any]:
    rows = data.get(key, [])
    if not isinstance(rows, list):
        raise InputError(f"{key!r} is {shown(rows)}: expected a list")
    return rows
