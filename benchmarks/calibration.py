"""Coverage of 90% regions calibrated by corrected images, for several orders of correction.

    python benchmarks/calibration.py --predictions TABLE.csv|STUDY --truth landmarks.csv [--corrected 10] [--draws 40]

The truth has the form that `cephalometric.py` reads. Images are "corrected" by their truth: drawn at random, the
worst by stated error first, or seven of the worst and three at random. Scored are all other images: share of the true
positions in their regions, with its range over draws; the same of the landmark with the smallest share; mean factor
of the regions.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from cephalometric import read_truth
from measurements import predictions

from napari_landmark.calibration.corrections import Corrections
from napari_landmark.calibration.region_calibration import calibrate_regions, representation_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--corrected", type=int, default=10)
    parser.add_argument("--draws", type=int, default=40)
    options = parser.parse_args()
    found, (truth, _) = predictions(options.predictions), read_truth(options.truth)
    images = [image for image in found if image in truth]
    offsets = np.array([truth[image].positions(2) - found[image].positions(2) for image in images])
    errors = np.array([found[image].expected_errors() for image in images])
    cohort = Corrections(offsets, errors, np.array([found[image].covariances(2) for image in images]))
    scores, ratios, stated = cohort.scores, cohort.error_ratios, np.nanmean(errors, axis=1)
    true = np.linalg.norm(offsets, axis=2)
    known = np.isfinite(scores)
    print(
        f"{len(images)} images, stated / true {np.nanmean(errors) / np.nanmean(true):.2f}, regions as stated hold "
        f"{np.mean(scores[known] <= 1):.1%}, {below_twice(true, errors):.0%} of the errors are below twice the stated"
    )
    worst, count = np.argsort(-np.nan_to_num(stated)), options.corrected
    generator = np.random.default_rng(0)
    some = round(0.7 * count)
    orders = {
        "at random": lambda: generator.choice(len(images), count, replace=False),
        "worst first": lambda: worst[:count],
        f"{some} worst, {count - some} at random": lambda: np.concatenate(
            [worst[:some], generator.choice(worst[some:], count - some, replace=False)]
        ),
    }
    print("| corrected | coverage | range | worst landmark | factor |\n|---|---|---|---|---|")
    for title, draw in orders.items():
        rows = np.array([run(scores, ratios, stated, draw()) for _ in range(options.draws)])
        print(
            f"| {title} | {rows[:, 0].mean():.1%} | {rows[:, 0].min():.0%} to {rows[:, 0].max():.0%} | "
            f"{rows[:, 1].mean():.0%} | {rows[:, 2].mean():.2f} |"
        )


def run(
    scores: np.ndarray, ratios: np.ndarray, stated: np.ndarray, corrected: np.ndarray
) -> tuple[float, float, float]:
    """Coverage of the other images, of the landmark with the smallest one, and mean factor."""
    weights = representation_weights(corrected, stated)
    calibration = calibrate_regions(scores[corrected], ratios[corrected], weights=weights)
    others = np.setdiff1d(np.arange(len(scores)), corrected)
    held = np.where(np.isfinite(scores[others]), scores[others] <= calibration.factors, np.nan)
    return float(np.nanmean(held)), float(np.nanmean(held, axis=0).min()), float(calibration.factors.mean())


def below_twice(true: np.ndarray, stated: np.ndarray) -> float:
    known = np.isfinite(true) & np.isfinite(stated)
    return float(np.mean(true[known] < 2 * stated[known]))


if __name__ == "__main__":
    main()
