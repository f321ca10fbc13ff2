"""What corrections bring: error of the other images after an update of a trained model with k corrected images.

    python benchmarks/corrections.py --study STUDY --images DIR --landmarks CSV --counts 5 10 --orders random proposed

STUDY is trained on the images of DIR with one template; it is copied, never changed. CSV holds their true landmarks, as
for benchmarks/cephalometric.py. For each count and order the true landmarks of so many images are saved as corrections,
the model is updated, and the images that are neither template nor corrected are scored; "held" is the share of truths
in their 90% regions. `--long` trains as long as a full training with so many labels does after its embedding, `--steps`
as many steps of detector and patch detector as given. `--hold N` scores N images only, which are never corrected: the
same ones for all counts. `--out` keeps the study of the last update.
"""

from __future__ import annotations

import argparse
import math
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from cephalometric import read_truth

from napari_landmark.cli.terminal_progress import terminal_progress
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.study.study import Study
from napari_landmark.detection.correction_selection import propose_corrections
from napari_landmark.detection.training.options import TrainingOptions, default_options
from napari_landmark.detection.training.train import train
from napari_landmark.learning.device import choose_device
from napari_landmark.metrics import evaluate


def main() -> None:
    arguments = parse_arguments()
    truth, _ = read_truth(arguments.landmarks)
    with tempfile.TemporaryDirectory() as scratch:
        work = arguments.out or Path(scratch)
        cohort = Cohort.from_folder(
            arguments.images, spacing=arguments.spacing, cache_dir=arguments.cache or work / "cache"
        )
        print(
            "| corrected | order | draw | before, mm | after, mm | 2 mm, % | stated / true | held, % | CPU minutes |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        for count in arguments.counts:
            for order in arguments.orders:
                for draw in arguments.draws if order == "random" else [0]:
                    print(run(arguments, work, cohort, truth, count, order, draw), flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--landmarks", type=Path, required=True)
    parser.add_argument("--counts", type=int, nargs="+", default=[5, 10])
    parser.add_argument("--orders", nargs="+", default=["random", "proposed"], choices=["random", "proposed"])
    parser.add_argument("--draws", type=int, nargs="+", default=[0, 1, 2], help="seeds of the random order")
    parser.add_argument("--hold", type=int, default=0, help="images that are scored and never corrected")
    parser.add_argument("--long", action="store_true", help="as many steps as a full training has")
    parser.add_argument(
        "--steps", type=int, nargs=2, help="of detector and patch detector, instead of the defaults"
    )
    parser.add_argument("--spacing", type=float, default=0.2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--verbose", action="store_true", help="also the errors of each landmark")
    return parser.parse_args()


def run(
    arguments: argparse.Namespace,
    work: Path,
    cohort: Cohort,
    truth: dict[str, LandmarkSet],
    count: int,
    order: str,
    draw: int,
) -> str:
    """Update with one choice of images; a line of the table."""
    folder = work / "study"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(arguments.study, folder, ignore=shutil.ignore_patterns("*.lock", "*.flock"))
    study = Study.open(folder)
    others = [name for name in cohort.names if name in truth and name != study.template]
    others = [others[k] for k in np.random.default_rng(100).permutation(len(others))]
    pool = others[: len(others) - arguments.hold]
    corrected = choose(study, cohort, pool, count, order, draw)
    held = others[len(pool) :] or [name for name in others if name not in corrected]
    predictions = study.predictions()
    if not held:  # all are annotated: the model is made for other images
        held = others
    before = evaluate(*of(held, predictions, truth), spacing=arguments.spacing)
    for name in corrected:
        study.save_annotations(name, truth[name])
    started = time.process_time()
    with terminal_progress() as progress:
        report = train(study, cohort, options=options_of(arguments, count, cohort), progress=progress)
    minutes = (time.process_time() - started) / 60
    after = evaluate(*of(held, report.predictions, truth), spacing=arguments.spacing)
    if arguments.verbose:
        print({name: round(row.mre_mm or 0, 2) for name, row in after.per_landmark.items()})
    stated = (after.stated or math.nan) / (after.mre_mm or math.nan)
    held_in = math.nan if after.coverage is None else after.coverage
    errors = f"{before.mre_mm:.3f} | {after.mre_mm:.3f} | {after.sdr['2']:.1f} | {stated:.2f} | {held_in:.0f}"
    return f"| {count} | {order} | {draw} | {errors} | {minutes:.1f} |"


def choose(study: Study, cohort: Cohort, pool: list[str], count: int, order: str, draw: int) -> list[str]:
    """Images to correct: at random, or as the viewer proposes them, three at a time."""
    if order == "random":
        return [pool[k] for k in np.random.default_rng(draw).permutation(len(pool))[:count]]
    predictions = study.predictions()
    names = [study.template, *pool]
    positions = np.stack([predictions[name].positions(cohort.ndim) for name in names])
    errors = np.stack([predictions[name].expected_errors() for name in names])
    found = propose_corrections(names, positions, errors, annotated=[study.template], count=count)
    return list(found.images)


def options_of(arguments: argparse.Namespace, count: int, cohort: Cohort) -> TrainingOptions:
    options = default_options(choose_device(arguments.device), seed=0)
    if arguments.steps:
        return replace(
            options.for_update(), retrain_steps=arguments.steps[0], patch_detector_steps=arguments.steps[1]
        )
    if not arguments.long:
        return options.for_update()
    full = replace(options, limit_minutes=None).for_canvas(cohort.canvas).for_labels(count + 1)
    return replace(
        full.for_update(),
        retrain_steps=full.retrain_steps,
        patch_detector_steps=full.patch_detector_steps,
        label_factor=full.label_factor,
    )


def of(
    names: list[str], found: dict[str, LandmarkSet], truth: dict[str, LandmarkSet]
) -> tuple[dict[str, LandmarkSet], dict[str, LandmarkSet]]:
    """Predictions and truths of the named images."""
    return {name: found[name] for name in names}, {name: truth[name] for name in names}


if __name__ == "__main__":
    main()
