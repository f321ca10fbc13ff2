"""Tables of the agreement of readers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from napari_landmark.agreement.agreement import AXES, LandmarkAgreement, ValueAgreement
from napari_landmark.agreement.intraclass_correlation import IntraclassCorrelation
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.files.csv_table import guarded_name, number_cell, table_text

_ICC_TITLES = tuple(f"{icc}{part}" for icc in ("icc_2_1", "icc_3_1") for part in ("", "_low", "_high"))


def write_agreement_tables(
    folder: Path,
    landmarks: Mapping[str, LandmarkAgreement],
    *,
    unit: str,
    measurements: Mapping[str, ValueAgreement] | None = None,
) -> list[Path]:
    """Write the tables of landmarks, of their coordinates and of measurements; returns their paths.

    Parameters
    ----------
    folder : Path
    landmarks : mapping of str to LandmarkAgreement
    unit : str
        Unit of the landmarks, 'mm' or 'px'.
    measurements : mapping of str to ValueAgreement, optional
        Each in its own unit.
    """
    tables = {"landmarks.csv": _landmarks(landmarks, unit), "coordinates.csv": _coordinates(landmarks, unit)}
    if measurements:
        tables["measurements.csv"] = _values("measurement", "", measurements)
    for name, rows in tables.items():
        atomic_write(folder / name, table_text(rows))
    return [folder / name for name in tables]


def _landmarks(landmarks: Mapping[str, LandmarkAgreement], unit: str) -> Iterable[list[str]]:
    """A row for each landmark and pair of readers."""
    axes = AXES[: max((len(found.axes) for found in landmarks.values()), default=2)]
    region = f"ellipse_{'area' if len(axes) == 2 else 'volume'}_{unit}{len(axes)}"
    yield [
        "landmark",
        "first",
        "second",
        "n",
        *(f"bias_{axis}_{unit}" for axis in axes),
        *(f"{what}_distance_{unit}" for what in ("mean", "median", "p95")),
        f"dahlberg_{unit}",
        *(f"ellipse_half_axis_{number}_{unit}" for number in range(1, len(axes) + 1)),
        *(["ellipse_angle_degrees"] if len(axes) == 2 else []),
        region,
    ]
    for name, found in landmarks.items():
        for (first, second), pair in found.pairs.items():
            half = [""] * len(axes)
            angle, measure = "", ""
            if pair.ellipse is not None:
                half = [_number(value) for value in pair.ellipse.half_axes.tolist()]
                angle, measure = _number(pair.ellipse.angle), _number(pair.ellipse.measure)
            yield [
                *map(guarded_name, (name, first, second)),
                str(pair.n),
                *(_number(value) for value in pair.bias[::-1].tolist()),
                *map(_number, (pair.mean_distance, pair.median_distance, pair.percentile_95, pair.dahlberg)),
                *half,
                *([angle] if len(axes) == 2 else []),
                measure,
            ]


def _coordinates(landmarks: Mapping[str, LandmarkAgreement], unit: str) -> Iterable[list[str]]:
    values = {f"{name} {axis}": found.axes[axis] for name, found in landmarks.items() for axis in found.axes}
    yield from _values("coordinate", f"_{unit}", values)


def _values(title: str, unit: str, values: Mapping[str, ValueAgreement]) -> Iterable[list[str]]:
    """A row for each value over all readers, followed by one for each pair of readers."""
    yield [
        title,
        "first",
        "second",
        "n",
        f"bias{unit}",
        f"bias_low{unit}",
        f"bias_high{unit}",
        f"sd{unit}",
        f"limit_low{unit}",
        f"limit_high{unit}",
        f"dahlberg{unit}",
        *_ICC_TITLES,
    ]
    for name, found in values.items():
        iccs = [cell for icc in (found.agreement, found.consistency) for cell in _icc_cells(icc)]
        of_all = [guarded_name(name), "all", "", str(found.n), *[""] * 6, _number(found.dahlberg), *iccs]
        yield of_all
        for (first, second), pair in found.pairs.items():
            limits = (pair.bias, pair.bias_low, pair.bias_high, pair.sd, pair.lower, pair.upper)
            yield [
                *map(guarded_name, (name, first, second)),
                str(pair.n),
                *map(_number, limits),
                _number(pair.dahlberg),
                *[""] * len(_ICC_TITLES),
            ]


def _icc_cells(icc: IntraclassCorrelation | None) -> list[str]:
    return ["", "", ""] if icc is None else [_number(value) for value in (icc.value, icc.lower, icc.upper)]


def _number(value: float | None) -> str:
    return number_cell(value, digits=6)
