"""Landmarks of volumes from one annotated one, carried by other programs of registration.

    python benchmarks/volume_baselines.py --data DIR [--as-they-are] [--landmarks landmarks.csv] [--count N]
                                          [--programs WORD ...] [--lost 1.0] [--threads 1] [--json FILE]

DIR holds `images` and the table of landmarks. The first volume by name is the template; each program registers every
other one to it from the same start, the best of 200 rotations about the centres of mass by correlation (eight of them
refined), since none of them searches rotations itself. `--as-they-are`: from the images' own coordinates instead, for
cohorts that were scanned in one pose. Errors are in mm; a volume of a larger mean error than `--lost` is lost.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from registration_baselines import (
    BASELINES,
    Baseline,
    limit_threads,
    many_initializations,
    volume_baselines,
)
from scipy import ndimage

from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.formats.landmark_csv import read_csv
from napari_landmark.data.images.image import MedicalImage, read_image
from napari_landmark.data.landmarks import LandmarkSet


def errors_of(
    register: Baseline, template: MedicalImage, image: MedicalImage, known: LandmarkSet, truth: LandmarkSet
) -> NDArray[np.float64]:
    """Distances (n,) in mm of the template's landmarks, carried to an image, from those placed there."""
    names = [
        name for name in known if name in truth and None not in (known[name].position, truth[name].position)
    ]
    index = np.array([known[name].position for name in names], dtype=np.float64)
    field = register(template, image)
    moved = np.stack(
        [ndimage.map_coordinates(field[..., axis], index.T, order=1, mode="nearest") for axis in range(3)],
        axis=1,
    )
    found = template.geometry.to_world(index) + moved
    placed = image.geometry.to_world(np.array([truth[name].position for name in names], dtype=np.float64))
    return np.asarray(np.linalg.norm(found - placed, axis=1))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--landmarks", default="landmarks.csv")
    parser.add_argument("--count", type=int, help="volumes beside the template; all if not given")
    parser.add_argument("--as-they-are", action="store_true", help="start from the images' own coordinates")
    parser.add_argument("--lost", type=float, default=1.0, help="mm of a volume's mean error")
    parser.add_argument(
        "--programs", nargs="*", default=["elastix", "ANTs SyN"], help="their names, up to the first comma"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    limit_threads(arguments.threads)
    truth = read_csv(arguments.data / arguments.landmarks)
    files = {name: path for name, path in image_files(arguments.data / "images")[0] if name in truth}
    first, *others = files
    others = others[: arguments.count]
    template = read_image(files[first])
    known = {**BASELINES, **volume_baselines()} if arguments.as_they_are else many_initializations()
    programs = {}
    for name in arguments.programs:
        chosen = name if arguments.as_they_are else f"{name}, many initializations"
        if chosen not in known:
            sys.exit(f"{chosen}: not installed; there are {', '.join(known)}")
        programs[name] = known[chosen]
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in programs}
    seconds = dict.fromkeys(programs, 0.0)
    for number, other in enumerate(others):
        image = read_image(files[other])
        for name, register in programs.items():
            started = time.process_time()
            found[name].append(errors_of(register, template, image, truth[first], truth[other]))
            seconds[name] += time.process_time() - started
            print(f"{number} {other} {name}: {found[name][-1].mean():.3f} mm", flush=True)
        if arguments.json:  # after every volume: hours of work may be stopped
            arguments.json.write_text(json.dumps(summary(found, seconds, arguments.lost), indent=1))
    print("| program | volumes | mean mm | median | lost | mean of the others | s a volume (CPU) |")
    print("|---|---|---|---|---|---|---|")
    for row in summary(found, seconds, arguments.lost):
        print("| " + " | ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()) + " |")


def summary(
    found: dict[str, list[NDArray[np.float64]]], seconds: dict[str, float], most: float
) -> list[dict[str, str | int | float | None]]:
    """A row a program, of the errors of each volume; lost are those of a larger mean error than `most`."""
    rows: list[dict[str, str | int | float | None]] = []
    for name, errors in found.items():
        kept = [one for one in errors if one.mean() <= most]
        rows.append(
            {
                "program": name,
                "volumes": len(errors),
                "mean_mm": float(np.mean(np.concatenate(errors))),
                "median_mm": float(np.median(np.concatenate(errors))),
                "lost": len(errors) - len(kept),
                "mean_of_others_mm": float(np.mean(np.concatenate(kept))) if kept else None,
                "seconds": seconds[name] / len(errors),
            }
        )
    return rows


if __name__ == "__main__":
    main()
