"""`napari-landmark shape`."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from napari_landmark.cli.destination import check_writable
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.landmarks import Status
from napari_landmark.data.study.landmark_source import LandmarkSource
from napari_landmark.data.study.provenance import sha256, write_run_record
from napari_landmark.shape.analysis import ShapeAnalysis, analyse_shapes
from napari_landmark.shape.configurations import Configurations, LengthUnit, MissingLandmarks
from napari_landmark.shape.outliers import FEWEST_IMAGES

_MOST_LINES = 10


def run_shape(
    source: Path,
    out: Path,
    *,
    images: Path | None,
    spacing: float | None,
    unit: LengthUnit | None,
    missing: MissingLandmarks,
    without: Sequence[str],
    manual_only: bool,
    reflections: bool,
    as_json: bool,
) -> None:
    """Analyse the shapes of a study or of a landmark file, write tables and figures, and print a summary."""
    check_writable(out, folder=True)
    given = LandmarkSource.read(source, images=images, spacing=spacing, manual_only=manual_only)
    volumes = any(marks.ndim == 3 for marks in given.landmarks.values())
    if source.is_file() and spacing is not None and volumes and images is None:
        raise InputError(
            "--spacing is the same along all axes: give the volumes' own spacing with --images DIR instead"
        )
    configurations = Configurations.from_landmarks(
        given.landmarks,
        geometries=given.geometries,
        unit=unit,
        without=without,
    )
    sides = None if given.study is None else given.study.sides
    analysis = analyse_shapes(configurations, missing=missing, sides=sides, reflections=reflections)
    _write(out, analysis, source=source, given=given, arguments=_arguments(locals()))
    for line in _notes(given, configurations, analysis):
        typer.echo(line, err=True)
    typer.echo(json.dumps(summary(analysis), indent=1) if as_json else summary_text(analysis))
    typer.echo(f"tables and figures: {out}", err=True)


def summary(analysis: ShapeAnalysis) -> dict[str, Any]:
    """The object that ``napari-landmark shape --json`` prints."""
    used, shapes = analysis.configurations, analysis.superimposition
    return {
        "n_images": len(used),
        "n_landmarks": len(used.names),
        "unit": str(used.unit),
        "left_out": {image: list(names) for image, names in analysis.left_out.items()},
        "estimated": {image: list(names) for image, names in used.estimated.items()},
        "centroid_size": {"mean": float(shapes.centroid_sizes.mean()), "sd": _sd(shapes.centroid_sizes)},
        "procrustes_distance": {
            "mean": float(shapes.distances.mean()),
            "largest": float(shapes.distances.max()),
        },
        "shares": [float(share) for share in analysis.components.shares],
        "odd": [
            {
                "image": shape.image,
                "oddness": None if math.isnan(shape.oddness) else round(shape.oddness, 3),
                "finding": shape.finding,
                "exchanged": [list(pair) for pair in shape.exchanged],
                "landmarks": list(shape.odd_landmarks),
            }
            for shape in analysis.odd_shapes
            if shape.finding
        ],
    }


def summary_text(analysis: ShapeAnalysis) -> str:
    """The summary as text."""
    used, shapes = analysis.configurations, analysis.superimposition
    sizes, unit = shapes.centroid_sizes, used.unit
    shares = ", ".join(
        f"PC{number} {100 * share:.1f}%" for number, share in enumerate(analysis.components.shares[:5], 1)
    )
    lines = [
        f"{len(used)} images, {len(used.names)} landmarks",
        f"centroid size {sizes.mean():.6g} {unit} (SD {_sd(sizes):.3g})",
        f"Procrustes distance from the mean {shapes.distances.mean():.4f}, at most {shapes.distances.max():.4f}",
        f"variance: {shares}",
    ]
    odd = [shape for shape in analysis.odd_shapes if shape.finding]
    if odd:
        lines.append("odd shapes, the oddest first:")
        lines += [f"  {shape.image}: {shape.finding}" for shape in odd[:_MOST_LINES]]
        if len(odd) > _MOST_LINES:
            lines.append(f"  and {len(odd) - _MOST_LINES} more, see odd_shapes.csv")
    elif all(math.isnan(shape.oddness) for shape in analysis.odd_shapes):
        lines.append(f"odd shapes: unknown, they need {FEWEST_IMAGES} images and 4 landmarks")
    else:
        lines.append("odd shapes: none")
    return "\n".join(lines)


def _sd(values: Any) -> float:
    return float(values.std(ddof=1))


def _notes(given: LandmarkSource, configurations: Configurations, analysis: ShapeAnalysis) -> list[str]:
    """Lines on what is not in the analysis, or only estimated."""
    lines = []
    statuses = Counter(mark.status for marks in given.landmarks.values() for mark in marks.values())
    if statuses[Status.PREDICTED]:
        total = sum(count for status, count in statuses.items() if status.has_position)
        lines.append(f"{statuses[Status.PREDICTED]} of {total} positions are predictions of a model")
    if configurations.unit is LengthUnit.PIXELS:
        lines.append(
            "sizes are in pixels: give --images DIR or --spacing MM for millimetres; pixels are taken to be square"
        )
    lines += given.problems[:_MOST_LINES]
    lines += [f"{image}: left out by a user of the study" for image in given.left_out[:_MOST_LINES]]
    for what, images in (
        ("left out, missing", analysis.left_out),
        ("estimated", analysis.configurations.estimated),
    ):
        shown = list(images.items())[:_MOST_LINES]
        lines += [f"{image}: {what}: {', '.join(names)}" for image, names in shown]
        if len(images) > len(shown):
            lines.append(
                f"and {len(images) - len(shown)} more images {what}, see odd_shapes.csv and sizes.csv"
            )
    return lines


def _write(
    out: Path,
    analysis: ShapeAnalysis,
    *,
    source: Path,
    given: LandmarkSource,
    arguments: dict[str, Any],
) -> None:
    from napari_landmark.shape.figures import figure_png, figures_pdf, shape_figures
    from napari_landmark.shape.tables import write_shape_tables

    files = write_shape_tables(out, analysis, given.facts)
    figures = dict(shape_figures(analysis))
    for name, figure in figures.items():
        atomic_write(out / f"{name}.png", figure_png(figure))
        files.append(out / f"{name}.png")
    atomic_write(out / "shape.pdf", figures_pdf(list(figures.values()), title="Shape analysis"))
    files.append(out / "shape.pdf")
    read = [{"name": source.name, "sha256": sha256(source)}] if source.is_file() else []
    write_run_record(
        out / "shape", "shape", arguments, files=files, geometries=given.geometries.values(), read=read
    )


def _arguments(values: dict[str, Any]) -> dict[str, Any]:
    names = ("source", "images", "spacing", "unit", "missing", "without", "manual_only", "reflections")
    return {name: values[name] for name in names if values[name]}
