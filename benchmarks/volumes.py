"""Landmarks of mouse heads from annotated ones: error, expected error, lost heads and time, by the shipped defaults.

    python benchmarks/volumes.py --data DIR [--templates 1] [--landmarks landmarks_second_observer.csv]
                                 [--most-cells N] [--whole-only]

DIR holds `images` and the table of landmarks. The first heads by name are the templates, all others are scored, in mm:
together, then every second of all by name (the method was chosen by them), then the rest. With `--most-cells` volumes
are as if they were too large for a grid of more cells than that; `--whole-only`: that grid is all that is looked at.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from napari_landmark.cli.terminal_progress import terminal_progress
from napari_landmark.data.cohort import isotropic_grid
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.formats.landmark_csv import read_csv
from napari_landmark.data.study.creation import create_study
from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.training import volume_training
from napari_landmark.detection.training.options import default_options
from napari_landmark.detection.training.train import train
from napari_landmark.learning.device import choose_device
from napari_landmark.metrics import radial_errors


def main() -> None:
    arguments = parse_arguments()
    if arguments.most_cells:
        isotropic_grid._MOST_CELLS = arguments.most_cells
    if arguments.whole_only:
        volume_training.finer_cells = lambda geometry, cell: ()
    truth = read_csv(arguments.data / arguments.landmarks)
    with tempfile.TemporaryDirectory() as scratch, terminal_progress() as progress:
        cohort = Cohort.from_folder(arguments.data / "images", cache_dir=Path(scratch) / "cache")
        templates = cohort.names[: arguments.templates]
        study = create_study(
            Path(scratch) / "study",
            cohort,
            images=cohort.folder,
            annotations={cohort.paths[cohort.index(name)]: truth[name] for name in templates},
        )
        options = default_options(choose_device("cpu"))
        report = train(study, cohort, options=options, progress=progress)
        model = load_model(study, device="cpu")
        started = time.process_time()
        model.detect_in_cohort(cohort, len(cohort) - 1)
        seconds = time.process_time() - started
    scored: dict[str, tuple[list[float], list[float]]] = {}
    for name, found in report.predictions.items():
        if name in templates or name in report.not_found or name not in truth:
            continue
        geometry = cohort.geometry(cohort.index(name))
        per_landmark = radial_errors(found, truth[name], geometry=geometry)
        stated = [
            (found[landmark].expected_error or np.nan) * (geometry.mean_spacing or 1.0)
            for landmark in per_landmark
        ]
        scored[name] = (list(per_landmark.values()), stated)
    print(
        f"lost: {len(report.not_found)}; training {report.seconds / 60:.1f} min; {seconds:.1f} s a head (CPU)\n"
    )
    print(
        "| templates | heads | number | mean mm | median | best head | worst head | expected | below twice |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    second = set(cohort.names[::2])
    groups = {"all": set(scored), "used to choose": second & set(scored), "others": set(scored) - second}
    for title, names in groups.items():
        if not names:
            continue
        errors = np.concatenate([scored[name][0] for name in names])
        expected = np.concatenate([scored[name][1] for name in names])
        heads = [np.mean(scored[name][0]) for name in names]
        print(
            f"| {len(templates)} | {title} | {len(names)} | {errors.mean():.3f} | {np.median(errors):.3f} | "
            f"{min(heads):.3f} | {max(heads):.3f} | {np.nanmean(expected):.3f} | "
            f"{np.mean(errors < 2 * expected):.0%} |"
        )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--templates", type=int, default=1)
    parser.add_argument("--landmarks", default="landmarks.csv", help="templates and truth")
    parser.add_argument("--most-cells", type=float, help="of a whole volume")
    parser.add_argument("--whole-only", action="store_true", help="no finer cells around landmarks")
    return parser.parse_args()


if __name__ == "__main__":
    main()
