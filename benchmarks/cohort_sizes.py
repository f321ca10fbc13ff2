"""Accuracy by the size of the cohort: synthetic hands, cohorts of 20 and of 1,000, default settings.

    python benchmarks/cohort_sizes.py [--counts 20 1000] [--held-out 30] [--minutes M]

The first hand of each cohort is its only template; hands outside the cohort are scored.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

from cephalometric import read_truth, train_once
from PIL import Image

from napari_landmark.detection.inference.folder import detect_folder
from napari_landmark.metrics import evaluate
from napari_landmark.synthetic import hand_phantom


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", type=int, nargs="+", default=[20, 1000])
    parser.add_argument("--held-out", type=int, default=30)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.unlimited, arguments.spacing = False, None
    print("| images | MRE pixels | 2 px | 4 px | training, minutes |\n|---|---|---|---|---|")
    for count in arguments.counts:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            draw(folder / "train", range(count))
            # Seeds beyond those of any cohort, so that all cohorts are scored on the same hands.
            draw(folder / "scored", range(100_000, 100_000 + arguments.held_out))
            truth, _ = read_truth(folder / "train" / "landmarks.csv")
            (folder / "train" / "landmarks.csv").unlink()
            known, _ = read_truth(folder / "scored" / "landmarks.csv")
            (folder / "scored" / "landmarks.csv").unlink()
            arguments.templates = [next(iter(truth))]
            model, minutes, _ = train_once(arguments, truth, folder)
            found = detect_folder(model, folder / "scored")
        result = evaluate(found.landmarks, known)
        print(
            f"| {count} | {result.mre_px:.2f} | {result.sdr['2']:.1f} | {result.sdr['4']:.1f} | {minutes:.1f} |",
            flush=True,
        )


def draw(folder: Path, seeds: range) -> None:
    """Write synthetic hands and their landmarks, in the form that `cephalometric.py` reads."""
    folder.mkdir(parents=True)
    with (folder / "landmarks.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "landmark", "x", "y"])
        for seed in seeds:
            phantom = hand_phantom(seed)
            Image.fromarray(phantom.image.array).save(folder / phantom.image.name)
            for mark in phantom.landmarks.values():
                y, x = mark.position
                writer.writerow([phantom.image.name, mark.name, x, y])


if __name__ == "__main__":
    main()
