"""`napari-landmark evaluate`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import typer

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.images.image import read_image
from napari_landmark.data.images.local_structure import CertainDirections, certain_directions
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.metrics import Evaluation, LandmarkEvaluation, evaluate


def run_evaluate(
    predicted: Path,
    truth: Path,
    *,
    spacing: float | None,
    radii: str,
    template: Path | None = None,
    as_json: bool,
) -> None:
    """Compare two landmark files and print a table or one JSON object."""
    known = read_landmarks(truth)
    result = evaluate(
        read_landmarks(predicted),
        known,
        spacing=spacing,
        radii=parse_radii(radii),
        directions=None if template is None else _directions(template, known, truth, spacing),
    )
    for name in result.images_without_prediction:
        typer.echo(f"{name}: is in the truth, but nothing was predicted in it", err=True)
    typer.echo(json.dumps(result.to_json(), indent=1) if as_json else evaluation_table(result))


def _directions(
    template: Path, known: Mapping[str, LandmarkSet], truth: Path, spacing: float | None
) -> CertainDirections:
    """Most certain directions of the landmarks of an image that the truth has; InputError where it has not."""
    name = next((name for name in known if name == template.name), None)
    if name is None:
        raise InputError(
            f"--template {template}: {truth} has no landmarks of an image called {template.name!r}"
        )
    return certain_directions(read_image(template, spacing=spacing), known[name])


def parse_radii(text: str) -> list[float]:
    """Numbers from a text such as '2,2.5,3'; InputError for anything else."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"--radii {text}: give numbers with commas between, such as 2,2.5,3,4") from error


def evaluation_table(result: Evaluation) -> str:
    """The errors of all landmarks as a text table."""
    unit = result.unit
    mm = unit == "mm"
    split = result.across is not None
    head = (
        f"{'landmark':<28}{'MRE ' + unit:>10}"
        + (f"{'across':>9}{'along':>9}" if split else "")
        + "".join(f"{'<= ' + radius:>9}" for radius in result.sdr)
        + f"{'n':>7}"
    )
    lines = [head, "-" * len(head)]
    for name, row in result.per_landmark.items():
        error = row.mre_mm if mm else row.mre_px
        rates = "".join(f"{row.sdr[radius]:>8.1f}%" for radius in result.sdr)
        lines.append(f"{name[:27]:<28}{_number(error):>10}{_split(row, split)}{rates}{row.n:>7}")
    lines.append("-" * len(head))
    error = result.mre_mm if mm else result.mre_px
    rates = "".join(f"{value:>8.1f}%" for value in result.sdr.values())
    lines.append(
        f"{'all':<28}{_number(error):>10}{_split(result, split)}{rates}"
        f"{sum(row.n for row in result.per_landmark.values()):>7}"
    )
    median = result.median_mm if mm else result.median_px
    lines.append(
        f"median {_number(median)} {unit}; {result.n_images} images, {result.n_missing} positions not predicted"
    )
    if result.stated is not None and error:
        text = f"expected error {_number(result.stated)} {unit}, {result.stated / error:.2f} of the true one"
        held = "" if result.coverage is None else f"; 90% regions hold {result.coverage:.0f}%"
        lines.append(text + held)
    return "\n".join(lines)


def _split(row: LandmarkEvaluation | Evaluation, shown: bool) -> str:
    """Columns of the errors across and along, where a table has them."""
    return f"{_number(row.across):>9}{_number(row.along):>9}" if shown else ""


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
