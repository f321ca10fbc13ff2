"""`napari-landmark measure`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import typer

from napari_landmark.cli.destination import check_writable
from napari_landmark.cli.measurement_schema import read_measurement_schema
from napari_landmark.cli.terminal_progress import cancel_on_interrupt, terminal_progress
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.files.json_file import read_json_object
from napari_landmark.data.study.provenance import describe_spacing, sha256, write_run_record
from napari_landmark.data.study.study import Study
from napari_landmark.measurement.evaluation import MeasuredCohort
from napari_landmark.measurement.measured_input import MeasuredInput
from napari_landmark.measurement.measurement_table import long_table, wide_table
from napari_landmark.measurement.presets.preset import PRESET_NAMES
from napari_landmark.measurement.report import make_report
from napari_landmark.measurement.report_file import check_name, write_report
from napari_landmark.measurement.value_text import number_text


def run_measure(
    source: Path,
    *,
    schema: str | None,
    out: Path | None,
    wide: bool,
    report: Path | None,
    images: Path | None,
    image: list[str],
    spacing: float | None,
    reader_error: float | None,
) -> None:
    """Measure the landmarks of a study or a file, and write a table and a report."""
    if out is not None and out.suffix.lower() != ".csv":
        raise InputError(f"{out}: measurements are written as CSV; give a name that ends in .csv")
    if report is not None:
        check_name(report)
    for path in (out, report):
        if path is not None:
            check_writable(path)
            if path.resolve() == source.resolve():
                raise InputError(f"{path}: is read and written: choose another name for the result")
    chosen = None if schema is None else read_measurement_schema(schema)
    if source.is_dir():
        study = Study.open(source)
        read = MeasuredInput.of_study(study, schema=chosen, images=images, spacing=spacing)
        model = _model_of_study(study)
    else:
        if chosen is None:
            raise InputError(
                f"{source}: is a file of landmarks: name what is measured with --schema FILE, or a preset of "
                f"{', '.join(PRESET_NAMES)}"
            )
        read = MeasuredInput.of_file(source, chosen, images=images, spacing=spacing)
        model = _model_of_table(source)
    if not read.landmarks:
        raise InputError(f"{source}: no landmark has a position: annotate or detect first")
    for problem in read.problems:
        typer.echo(problem, err=True)
    measured = read.measure(reader_error=reader_error)
    if out is not None:
        table = wide_table if wide else long_table
        atomic_write(out, table(measured, read.facts))
        write_run_record(
            out,
            "measure",
            {
                "source": source,
                "schema": schema,
                "images": images,
                "spacing": spacing,
                "reader_error": reader_error,
            },
            geometries=read.geometries.values(),
            measurements=read.measurements.to_json(),
            read=[{"name": source.name, "sha256": sha256(source)}] if source.is_file() else [],
        )
    if report is not None:
        title = f"Measurements: {source.resolve().name}"
        contents = make_report(read, measured, title=title, model=model, images=image)
        with terminal_progress() as progress, cancel_on_interrupt() as cancel:
            write_report(report, contents, progress=progress, cancel=cancel)
    typer.echo(_summary(measured))
    for line in _left_out(measured):
        typer.echo(line, err=True)
    typer.echo(describe_spacing(read.geometries.values()) if read.geometries else "spacing: unknown")
    for path in (out, report):
        if path is not None:
            typer.echo(str(path))


def _summary(measured: MeasuredCohort) -> str:
    """Distribution of each measurement as a text table."""
    widest = max(len(one.name) for one in measured.schema.measurements)
    head = f"{'measurement':<{widest}}{'n':>7}{'mean':>12}{'SD':>10}{'± (90%)':>10}"
    lines = [head, "-" * len(head)]
    for number, one in enumerate(measured.schema.measurements):
        values, errors = measured.values[:, number], measured.errors[:, number]
        values, errors = values[values == values], errors[errors == errors]
        if len(values):
            spread = f"{values.std(ddof=1):.{one.decimals}f}" if len(values) > 1 else "-"
            half = (
                f"{1.645 * float(sorted(errors)[len(errors) // 2]):.{one.decimals}f}" if len(errors) else "-"
            )
            cells = f"{number_text(float(values.mean()), one):>12}{spread:>10}{half:>10}"
        else:
            cells = f"{'-':>12}{'-':>10}{'-':>10}"
        lines.append(f"{one.name:<{widest}}{len(values):>7}{cells}")
    lines.append("-" * len(head))
    lines.append(f"{len(measured.images)} images; ± is the median half-width of the 90% interval")
    return "\n".join(lines)


def _left_out(measured: MeasuredCohort) -> list[str]:
    """Reasons of values that are left out, with their numbers, the most frequent first."""
    counts = Counter(reason for reason in measured.left_out.ravel().tolist() if reason)
    lines = [f"left out {count} values: {reason}" for reason, count in counts.most_common(10)]
    return lines + ([f"and {len(counts) - 10} more reasons, in the table"] if len(counts) > 10 else [])


def _model_of_study(study: Study) -> str:
    """Model of a study's predictions in words, by its training record; empty without one."""
    from napari_landmark.detection.model.store import default_folder

    folder = default_folder(study)
    return "" if folder is None else f"predictions of model {folder.name} of the study"


def _model_of_table(path: Path) -> str:
    """Origin of a table of landmarks in words, by the record beside it; empty without one."""
    try:
        record = read_json_object(path.with_name(f"{path.name}.run.json"))
    except (InputError, OSError, UnicodeDecodeError):
        return ""
    command, time = record.get("command"), record.get("time")
    if not isinstance(command, str) or not isinstance(time, str):
        return ""
    return f"landmarks of `{command}` of {time[:10]}"
