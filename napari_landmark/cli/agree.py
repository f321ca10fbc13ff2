"""`napari-landmark agree`."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import typer

from napari_landmark.agreement.agreement import (
    LandmarkAgreement,
    ValueAgreement,
    landmark_agreement,
    measurement_agreement,
)
from napari_landmark.agreement.intraclass_correlation import IntraclassCorrelation
from napari_landmark.agreement.readings import Readings
from napari_landmark.agreement.report import write_agreement
from napari_landmark.cli.destination import check_writable
from napari_landmark.cli.measurement_schema import read_measurement_schema
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSet, Status
from napari_landmark.data.measurement_language.definition import Measurement, MeasurementSchema
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.data.study.landmark_source import LandmarkSource
from napari_landmark.data.study.provenance import sha256, write_run_record
from napari_landmark.data.study.readers import readers
from napari_landmark.data.study.study import Study
from napari_landmark.measurement.reader_values import reader_values

_MOST_NAMES = 5
_STUDY, _MODEL = "study", "model"


def run_agree(
    sources: Sequence[Path],
    out: Path | None,
    *,
    names: str | None,
    images: Path | None,
    spacing: float | None,
    model: bool,
    schema: str | None,
    as_json: bool,
) -> None:
    """Compare readers, of landmark files or of a study, print a table, and write tables and figures."""
    if out is not None:
        check_writable(out, folder=True)
    given, geometries, problems = _gathered(sources, names, images, spacing, model)
    ndims = {marks.ndim for sets in given.values() for marks in sets.values()}
    files_only = all(source.is_file() for source in sources)
    if files_only and images is None and spacing is not None and 3 in ndims:
        raise InputError(
            "--spacing is the same along all axes: give the volumes' own spacing with --images DIR instead"
        )
    readings = Readings.from_landmarks(given, geometries=geometries)
    measurements = _measurements(schema, sources)
    measured: dict[str, ValueAgreement] = {}
    if measurements:
        measured = measurement_agreement(reader_values(measurements, given, geometries))
    if out is None:
        found = landmark_agreement(readings)
    else:
        found, files = write_agreement(out, readings, measurements=measured)
        write_run_record(
            out / "agreement",
            "agree",
            {
                "sources": list(sources),
                "images": images,
                "spacing": spacing,
                "readers": list(readings.readers),
                "schema": schema,
            },
            measurements=measurements.to_json() if measurements else None,
            files=files,
            geometries=geometries.values(),
            read=[{"name": path.name, "sha256": sha256(path)} for path in sources if path.is_file()],
        )
    for line in (*problems[:_MOST_NAMES], *notes(readings, given)):
        typer.echo(line, err=True)
    if measurements and not measured:
        typer.echo("no measurement has values of two readers in an image", err=True)
    if as_json:
        typer.echo(json.dumps(to_json(readings, found, measured), indent=1))
    else:
        tables = [agreement_table(readings, found)]
        if measurements and measured:
            tables.append(measurement_table(measurements, readings, measured))
        typer.echo("\n\n".join(tables))
    if out is not None:
        typer.echo(f"tables and figures: {out}", err=True)


def agreement_table(readings: Readings, found: Mapping[str, LandmarkAgreement]) -> str:
    """The agreement in each landmark as text, a block for each pair of readers."""
    unit = readings.unit
    axes = "xyz"[: readings.positions.shape[-1]]
    lines = []
    pairs = dict.fromkeys(pair for agreement in found.values() for pair in agreement.pairs)
    for first, second in pairs:
        head = (
            f"{'landmark':<26}{'n':>5}"
            + "".join(f"{'bias ' + axis:>9}" for axis in axes)
            + f"{'mean':>8}{'Dahlberg':>10}"
            + ("".join(f"{'ICC21 ' + axis:>9}" for axis in axes) if len(readings.readers) == 2 else "")
            + f"{'ellipse':>10}"
        )
        lines += [f"{second} − {first}, {unit}; ellipse in {unit}{len(axes)}", head, "-" * len(head)]
        distances: list[float] = []
        for name, agreement in found.items():
            pair = agreement.pairs.get((first, second))
            if pair is None:
                continue
            distances += np.linalg.norm(pair.differences, axis=1).tolist()
            iccs = "".join(f"{_icc(agreement.axes[axis].agreement):>9}" for axis in axes)
            lines.append(
                f"{name[:25]:<26}{pair.n:>5}"
                + "".join(f"{value:>9.2f}" for value in pair.bias[::-1])
                + f"{pair.mean_distance:>8.2f}{pair.dahlberg:>10.2f}"
                + (iccs if len(readings.readers) == 2 else "")
                + f"{'-' if pair.ellipse is None else f'{pair.ellipse.measure:.1f}':>10}"
            )
        spread = math.sqrt(float(np.square(distances).sum()) / (2 * len(distances)))
        lines += [
            "-" * len(head),
            f"{'all':<26}{len(distances):>5}{'':>{9 * len(axes)}}{np.mean(distances):>8.2f}{spread:>10.2f}",
            "",
        ]
    return "\n".join(lines[:-1])


def measurement_table(
    measurements: MeasurementSchema, readings: Readings, measured: Mapping[str, ValueAgreement]
) -> str:
    """The agreement in each measurement as text, a block for each pair of readers; each in its own unit."""
    lines = []
    two = len(readings.readers) == 2
    for pair in dict.fromkeys(pair for agreement in measured.values() for pair in agreement.pairs):
        head = f"{'measurement':<34}{'n':>5}{'bias':>9}{'limits of agreement':>22}{'Dahlberg':>10}"
        head += f"{'ICC21':>8}{'same class':>12}" if two else f"{'same class':>12}"
        lines += [f"{pair[1]} − {pair[0]}, each in its unit", head, "-" * len(head)]
        for name, agreement in measured.items():
            limits = agreement.pairs.get(pair)
            if limits is None:
                continue
            measurement = measurements.measurement(name)
            bias, lower, upper, dahlberg = (
                f"{value:.{measurement.decimals}f}"
                for value in (limits.bias, limits.lower, limits.upper, limits.dahlberg)
            )
            share = _same_class(measurement, agreement, readings.readers, pair)
            lines.append(
                f"{name[:33]:<34}{limits.n:>5}{bias:>9}{f'{lower} to {upper}':>22}{dahlberg:>10}"
                + (f"{_icc(agreement.agreement):>8}" if two else "")
                + f"{'-' if share is None else f'{100 * share:.0f}%':>12}"
            )
        lines.append("")
    return "\n".join(lines[:-1])


def _same_class(
    measurement: Measurement, agreement: ValueAgreement, readers: Sequence[str], pair: tuple[str, str]
) -> float | None:
    """Share of the images that all readers have in which both values are of one class; None without classes."""
    if not measurement.classes or not len(agreement.values):
        return None
    first, second = (agreement.values[:, readers.index(reader)].tolist() for reader in pair)
    same = [measurement.class_of(a) == measurement.class_of(b) for a, b in zip(first, second, strict=True)]
    return sum(same) / len(same)


def to_json(
    readings: Readings,
    found: Mapping[str, LandmarkAgreement],
    measured: Mapping[str, ValueAgreement] | None = None,
) -> dict[str, Any]:
    """The object that ``napari-landmark agree --json`` prints."""
    return {
        "readers": list(readings.readers),
        "n_images": len(readings.images),
        "unit": readings.unit,
        "only_one_reader": {reader: list(images) for reader, images in readings.single.items()},
        "landmarks": {
            name: {
                "n": agreement.n,
                "dahlberg": _or_none(agreement.dahlberg),
                "axes": {
                    axis: {
                        "dahlberg": _or_none(value.dahlberg),
                        "icc_2_1": _icc_json(value.agreement),
                        "icc_3_1": _icc_json(value.consistency),
                    }
                    for axis, value in agreement.axes.items()
                },
                "pairs": [
                    {
                        "first": first,
                        "second": second,
                        "n": pair.n,
                        "bias": dict(zip("xyz", pair.bias[::-1].tolist(), strict=False)),
                        "mean_distance": pair.mean_distance,
                        "dahlberg": pair.dahlberg,
                        "ellipse_95": None
                        if pair.ellipse is None
                        else {"half_axes": pair.ellipse.half_axes.tolist(), "measure": pair.ellipse.measure},
                    }
                    for (first, second), pair in agreement.pairs.items()
                ],
            }
            for name, agreement in found.items()
        },
        "measurements": {
            name: {
                "n": agreement.n,
                "dahlberg": _or_none(agreement.dahlberg),
                "icc_2_1": _icc_json(agreement.agreement),
                "icc_3_1": _icc_json(agreement.consistency),
                "pairs": [
                    {
                        "first": first,
                        "second": second,
                        "n": limits.n,
                        "bias": limits.bias,
                        "limits": [_or_none(limits.lower), _or_none(limits.upper)],
                        "dahlberg": limits.dahlberg,
                    }
                    for (first, second), limits in agreement.pairs.items()
                ],
            }
            for name, agreement in (measured or {}).items()
        },
    }


def notes(readings: Readings, given: Mapping[str, Mapping[str, LandmarkSet]]) -> list[str]:
    """Lines on what is not compared, and on readers that are models."""
    lines = [f"{len(readings.images)} images, readers {', '.join(readings.readers)}"]
    for reader, images in readings.single.items():
        more = f" and {len(images) - _MOST_NAMES} more" if len(images) > _MOST_NAMES else ""
        lines.append(f"only {reader} has {', '.join(images[:_MOST_NAMES])}{more}: not compared")
    for a in range(len(readings.readers)):
        for b in range(a + 1, len(readings.readers)):
            if count := readings.only_one_has(a, b):
                lines.append(
                    f"{count} positions were placed by one of {readings.readers[a]} and {readings.readers[b]} only"
                )
    for reader, sets in given.items():
        statuses = Counter(mark.status for marks in sets.values() for mark in marks.values())
        if count := statuses[Status.PREDICTED]:
            placed = sum(statuses[status] for status in statuses if status.has_position)
            lines.append(
                f"{count} of {placed} positions of {reader} are predictions; where the model learned from the images "
                "of another reader, it agrees with that reader more than in new images"
            )
    if readings.unit == "px":
        lines.append("in pixels: give --images DIR or --spacing MM for millimetres")
    return lines


def _measurements(schema: str | None, sources: Sequence[Path]) -> MeasurementSchema | None:
    """Measurements of a schema file or preset, else those of the study; None where nothing is measured."""
    if schema is not None:
        return read_measurement_schema(schema).measurements
    studies = [Study.open(source) for source in sources if source.is_dir()]
    return next((study.measurements for study in studies if study.measurements), None)


def _gathered(
    sources: Sequence[Path], names: str | None, images: Path | None, spacing: float | None, model: bool
) -> tuple[dict[str, Mapping[str, LandmarkSet]], dict[str, Geometry], list[str]]:
    """Landmarks by reader and image, geometries by image, and what could not be found."""
    entries: list[tuple[str, Mapping[str, LandmarkSet]]] = []
    geometries: dict[str, Geometry] = {}
    problems: list[str] = []
    for source in sources:
        if source.is_dir():
            study = Study.open(source)
            of_readers = _of_study(study, model)
            placed = {
                image: marks
                for _, sets in of_readers
                for image, marks in sets.items()
                if marks.ndim is not None
            }
            read = LandmarkSource.of_study(study, images=images, spacing=spacing, landmarks=placed)
            entries += of_readers
        else:
            read = LandmarkSource.of_file(source, images=images, spacing=spacing)
            entries.append((source.stem, read.landmarks))
        geometries |= read.geometries
        problems += read.problems
    if model and all(source.is_file() for source in sources):
        raise InputError("--model takes the predictions of a study: give its folder")
    wanted = [reader for reader, _ in entries] if names is None else [n.strip() for n in names.split(",")]
    if len(wanted) != len(entries):
        raise InputError(
            f"--names: {len(wanted)} names for {len(entries)} readers ({', '.join(reader for reader, _ in entries)}): "
            "give one for each"
        )
    if len(set(wanted)) < len(wanted):
        twice = next(name for name in wanted if wanted.count(name) > 1)
        raise InputError(f"two readers are called {twice!r}: give other names with --names A,B")
    return dict(zip(wanted, (sets for _, sets in entries), strict=True)), geometries, problems


def _of_study(study: Study, model: bool) -> list[tuple[str, Mapping[str, LandmarkSet]]]:
    """Readers of a study: its own annotations, those of further readers, and on request its model."""
    out = {name for name, value in study.decisions().items() if value is ImageDecision.LEFT_OUT}
    found: list[tuple[str, Mapping[str, LandmarkSet]]] = [(_STUDY, study.annotations())]
    found += [(name, reader.annotations()) for name, reader in readers(study).items()]
    if model:
        found.append((_MODEL, study.predictions()))
    used = [
        (name, {image: marks for image, marks in sets.items() if image not in out}) for name, sets in found
    ]
    return [(name, sets) for name, sets in used if any(marks.ndim is not None for marks in sets.values())]


def _icc(icc: IntraclassCorrelation | None) -> str:
    return "-" if icc is None else f"{icc.value:.3f}"


def _icc_json(icc: IntraclassCorrelation | None) -> dict[str, float | None] | None:
    if icc is None:
        return None
    return {"value": icc.value, "low": _or_none(icc.lower), "high": _or_none(icc.upper)}


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
