"""`napari-landmark evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.metrics import Evaluation, evaluate


def run_evaluate(predicted: Path, truth: Path, *, spacing: float | None, radii: str, as_json: bool) -> None:
    """Compare two landmark files and print a table or one JSON object."""
    result = evaluate(
        read_landmarks(predicted), read_landmarks(truth), spacing=spacing, radii=parse_radii(radii)
    )
    for name in result.images_without_prediction:
        typer.echo(f"{name}: is in the truth, but nothing was predicted in it", err=True)
    typer.echo(json.dumps(result.to_json(), indent=1) if as_json else evaluation_table(result))


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
    head = (
        f"{'landmark':<28}{'MRE ' + unit:>10}"
        + "".join(f"{'<= ' + radius:>9}" for radius in result.sdr)
        + f"{'n':>7}"
    )
    lines = [head, "-" * len(head)]
    for name, row in result.per_landmark.items():
        error = row.mre_mm if mm else row.mre_px
        rates = "".join(f"{row.sdr[radius]:>8.1f}%" for radius in result.sdr)
        lines.append(f"{name[:27]:<28}{_number(error):>10}{rates}{row.n:>7}")
    lines.append("-" * len(head))
    error = result.mre_mm if mm else result.mre_px
    rates = "".join(f"{value:>8.1f}%" for value in result.sdr.values())
    lines.append(
        f"{'all':<28}{_number(error):>10}{rates}{sum(row.n for row in result.per_landmark.values()):>7}"
    )
    median = result.median_mm if mm else result.median_px
    lines.append(
        f"median {_number(median)} {unit}; {result.n_images} images, {result.n_missing} positions not predicted"
    )
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
