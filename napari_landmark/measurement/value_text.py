"""Texts of measured values for tables that people read."""

from __future__ import annotations

from napari_landmark.data.measurement_language.definition import Measurement, Norm
from napari_landmark.measurement.evaluation import ErrorSource, MeasuredValue

_NO_ERROR = {
    ErrorSource.ALL: "",
    ErrorSource.PREDICTIONS: " *",
    ErrorSource.UNKNOWN: "",
}
_SPACING_SOURCES = {"file": "from the image file", "user": "as stated by the user", "unknown": "unknown"}


def number_text(value: float, measurement: Measurement) -> str:
    """A value with its unit, such as '82.4°' or '3.1 mm'."""
    number = f"{round(value, measurement.decimals) + 0.0:.{measurement.decimals}f}"
    gap = " " if measurement.unit not in ("", "°") else ""
    return f"{number}{gap}{measurement.unit}"


def value_text(measured: MeasuredValue) -> str:
    """Value with its unit; '-' where it is left out."""
    return "-" if measured.value is None else number_text(measured.value, measured.measurement)


def error_text(measured: MeasuredValue) -> str:
    """Half the 90% interval, such as '± 1.3'; with an asterisk where it is that of predicted landmarks only."""
    if measured.interval is None or measured.value is None:
        return ""
    half = measured.interval[1] - measured.value
    return f"± {half:.{measured.measurement.decimals}f}{_NO_ERROR[measured.error_source]}"


def norm_text(norm: Norm | None, measurement: Measurement) -> str:
    """Norm without its source, such as '82 ± 2' or '62 to 65'; empty without one."""
    if norm is None:
        return ""
    if norm.mean is None:
        return f"{norm.low:g} to {norm.high:g}"
    return f"{norm.mean:g}" if norm.sd is None else f"{norm.mean:g} ± {norm.sd:g}"


def deviation_text(measured: MeasuredValue) -> str:
    """Deviation from the norm: '+1.6 SD', 'in range', '+3.0 above the range'; empty without a norm."""
    if measured.deviation is not None:
        return f"{_signed(measured.deviation, 1)} SD"
    outside = measured.outside_range
    if outside is not None:
        decimals = measured.measurement.decimals
        if not outside:
            return "in the range"
        return f"{abs(outside):.{decimals}f} {'above' if outside > 0 else 'below'} the range"
    if measured.value is not None and measured.norm is not None and measured.norm.mean is not None:
        return _signed(measured.value - measured.norm.mean, measured.measurement.decimals)
    return ""


def _signed(value: float, decimals: int) -> str:
    """A number with its sign, none for a zero: '+1.6'."""
    rounded = round(value, decimals)
    return f"{rounded:+.{decimals}f}" if rounded else f"{0:.{decimals}f}"


def stars(measured: MeasuredValue) -> str:
    """One star for each whole standard deviation from the norm's mean, at most three; none for ranges."""
    return "" if measured.deviation is None else "*" * min(3, int(abs(measured.deviation)))


def class_text(measured: MeasuredValue) -> str:
    """Class of the value, with the others that its 90% interval reaches: 'class I (or class II)'."""
    name = measured.class_name
    others = [one.name for one in measured.possible_classes if one.name != name]
    return f"{name} (or {', '.join(others)})" if name and others else name


def norm_source_text(norm: Norm | None) -> str:
    """Source and population of a norm: 'Downs 1948; 20 white adolescents; age 12-17'; empty without one."""
    if norm is None:
        return ""
    sex = {"m": "male", "f": "female"}.get(norm.sex, "")
    parts = (norm.source, norm.population, f"age {norm.age}" if norm.age else "", sex)
    return "; ".join(part for part in parts if part)


def spacing_source_text(statement: str) -> str:
    """Where a spacing came from, in words, by `Geometry.spacing_statement`."""
    source, _, rest = statement.partition(" ")
    return f"{_SPACING_SOURCES.get(source, source)} {rest}".rstrip()


def left_out_texts(values: tuple[MeasuredValue, ...]) -> list[str]:
    """What was not computed, by reason: 'needs Gonion: FHI, ramus height'."""
    reasons: dict[str, list[str]] = {}
    for one in values:
        if one.left_out:
            reasons.setdefault(one.left_out, []).append(one.measurement.name)
    return [f"{reason}: {', '.join(names)}" for reason, names in reasons.items()]


def by_analysis(values: tuple[MeasuredValue, ...]) -> dict[str, list[MeasuredValue]]:
    """Computed values by the title of their analysis, in the order of the definitions; those of none last."""
    computed = [one for one in values if one.value is not None]
    groups: dict[str, list[MeasuredValue]] = {}
    for one in computed:
        for analysis in one.measurement.analyses:
            groups.setdefault(analysis, []).append(one)
    if others := [one for one in computed if not one.measurement.analyses]:
        groups["Other measurements" if groups else "Measurements"] = others
    return groups
