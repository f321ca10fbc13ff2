"""Measurements of predicted landmarks against two readers: classes, differences, coverage of the stated errors.

    python benchmarks/measurements.py --predictions CSV|STUDY --truth landmarks.csv [--split train] [--spacing 0.2]

The truth has the columns of `cephalometric.py` (image, split, landmark, senior_x, senior_y, junior_x, junior_y) with
the 19 landmarks in the order of the cephalometric preset, whose measurements are compared. Each line is a measurement:
the share of equal classes and Dahlberg's error sqrt(sum(d^2) / 2n) between the two readers, between the predictions and
each reader, and between the predictions and the mean position of both; then the share of differences to that mean, and
to each reader, that the 90% interval of the prediction holds. Templates are left out.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.measurement_language.definition import Measurement
from napari_landmark.data.study.study import Study
from napari_landmark.measurement.cohort_landmarks import CohortLandmarks
from napari_landmark.measurement.evaluation import INTERVAL_90, MeasuredCohort, measure_cohort
from napari_landmark.measurement.presets.preset import preset

READERS = ("senior", "junior")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--split")
    parser.add_argument("--spacing", type=float, default=0.2)
    parser.add_argument(
        "--all", action="store_true", help="all measurements of the preset, not only the first eight"
    )
    options = parser.parse_args()
    truth, landmarks = read_readers(options.truth, options.split)
    found = predictions(options.predictions)
    images = [image for image in truth["senior"] if image in found]
    print(f"{len(images)} images: {options.predictions}")
    schema = preset("cephalometric")
    positions = {who: np.array([truth[who][image] for image in images]) for who in READERS}
    positions["mean"] = (positions["senior"] + positions["junior"]) / 2
    measured = {
        who: measure(images, array, np.full(array.shape[:2], np.nan), options.spacing)
        for who, array in positions.items()
    }
    array = np.array(
        [[found[image][name].position or (np.nan, np.nan) for name in landmarks] for image in images]
    )
    errors = np.array(
        [[found[image][name].expected_error or np.nan for name in landmarks] for image in images]
    )
    unknown = np.full((2, 2), np.nan)
    covariances = np.array(
        [[found[image][name].covariance or unknown for name in landmarks] for image in images]
    )
    measured["model"] = measure(images, array, errors, options.spacing, covariances)
    radial = np.linalg.norm(array - positions["mean"], axis=2) * options.spacing
    between = np.linalg.norm(positions["senior"] - positions["junior"], axis=2) * options.spacing
    print(
        f"mean radial error {np.nanmean(radial):.2f} mm, expected {np.nanmean(errors) * options.spacing:.2f} mm, "
    )
    print(f"readers from each other {between.mean():.2f} mm")
    print(TITLES)
    for number, measurement in enumerate(schema.measurements.measurements[: None if options.all else 8]):
        print(line(measurement, number, measured))


TITLES = (
    "measurement | same class, readers | model-senior | model-junior | model-mean | Dahlberg, readers | model-senior | "
    "model-junior | model-mean | 90% interval holds: mean | senior | junior\n" + "---|" * 11 + "---"
)


def line(measurement: Measurement, number: int, measured: dict[str, MeasuredCohort]) -> str:
    values = {who: one.values[:, number] for who, one in measured.items()}
    pairs = [("senior", "junior"), ("model", "senior"), ("model", "junior"), ("model", "mean")]
    same, dahlberg = [], []
    for one, other in pairs:
        both = np.isfinite(values[one]) & np.isfinite(values[other])
        a, b = values[one][both], values[other][both]
        classes = [measurement.class_of(x) == measurement.class_of(y) for x, y in zip(a, b, strict=True)]
        same.append(f"{100 * np.mean(classes):.1f}%" if measurement.classes else "-")
        dahlberg.append(f"{np.sqrt(np.mean((a - b) ** 2) / 2):.3g}")
    half = INTERVAL_90 * measured["model"].errors[:, number]
    held = []
    for who in ("mean", *READERS):
        difference = np.abs(values["model"] - values[who])
        known = np.isfinite(difference) & np.isfinite(half)
        held.append(f"{100 * np.mean(difference[known] <= half[known]):.0f}%")
    return " | ".join([measurement.name, *same, *dahlberg, *held])


def measure(
    images: Sequence[str],
    positions: np.ndarray,
    errors: np.ndarray,
    spacing: float,
    covariances: np.ndarray | None = None,
) -> MeasuredCohort:
    """Measurements of positions (n, 19, 2) with expected errors (n, 19) in pixels."""
    schema = preset("cephalometric")
    landmarks = CohortLandmarks.from_arrays(
        tuple(images),
        schema.landmarks.names,
        positions,
        errors,
        np.zeros(errors.shape, bool),
        np.full((len(images), 2), spacing),
        ("user",) * len(images),
        covariances=covariances,
    )
    return measure_cohort(schema.measurements, landmarks)


def read_readers(path: Path, split: str | None) -> tuple[dict[str, dict[str, list]], list[str]]:
    """Positions (y, x) of each reader by image, and the names of the landmarks in their order."""
    truth: dict[str, dict[str, list]] = {who: {} for who in READERS}
    names: dict[str, None] = {}
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if split is None or row["split"] == split:
                names[row["landmark"]] = None
                for who in READERS:
                    position = (float(row[f"{who}_y"]), float(row[f"{who}_x"]))
                    truth[who].setdefault(row["image"], []).append(position)
    return truth, list(names)


def predictions(path: Path) -> dict[str, LandmarkSet]:
    """Predicted landmarks by image, without templates."""
    if path.is_dir():
        study = Study.open(path)
        annotated = study.annotations()
        return {name: marks for name, marks in study.predictions().items() if name not in annotated}
    return read_landmarks(path)


if __name__ == "__main__":
    main()
