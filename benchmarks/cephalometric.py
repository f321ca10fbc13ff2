"""Accuracy and cost of one-shot landmark detection on a folder of annotated images.

    python benchmarks/cephalometric.py --data DIR [--template 125.jpg] [--score test1 test2] [--spacing 0.2]

DIR holds `images/` and `landmarks.csv` with the columns image, landmark and x, y; or <reader>_x, <reader>_y for several
readers, whose mean is the truth (or `--reader` names one, for template and truth alike); and optionally split: the
images of split `train` are trained on (without their landmarks, except those of the template) and those of the splits
`--score` are scored. Without splits all images are trained on and all but the template scored. Images that the table
does not name are trained on, too. The ISBI 2015 cephalograms (0.2 mm a pixel, template 125.jpg) and any other set in
this form work alike.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_landmark.cli.evaluate import evaluation_table
from napari_landmark.cli.terminal_progress import terminal_progress
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.images.image import read_image
from napari_landmark.data.images.local_structure import certain_directions
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.study.study import Study
from napari_landmark.detection.inference.folder import detect_folder
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.training.options import default_options
from napari_landmark.detection.training.report import write_report
from napari_landmark.detection.training.train import train
from napari_landmark.learning.device import choose_device
from napari_landmark.metrics import Evaluation, evaluate

# Mean radial error (mm) and detection rates at 2, 2.5, 3 and 4 mm as published for ISBI 2015 test1 + test2.
PUBLISHED = {
    "template's coordinates copied": "10.65",
    "CC2D-SSL type, random template": " 3.60",
    "CC2D complete": " 2.76   42.4  51.8  64.0  79.0",
    "UOD": " 2.43   51.1  62.4  74.4  86.5",
    "one reader against the other": " 2.02   63.0  71.6  78.2  86.8",
    "FM-OSD (foundation model)": " 1.82   67.4  78.0  84.7  91.9",
    "GU2Net (150 labelled images)": " 1.54   77.8  84.7  89.4  94.9",
}


def main() -> None:
    arguments = parse_arguments()
    truth, splits = read_truth(arguments.data / "landmarks.csv", arguments.reader)
    trained_on = [name for name in truth if splits[name] in ("train", "")]
    trained_on += [name for name, _ in image_files(arguments.data / "images")[0] if name not in truth]
    wanted = {name for name in truth if splits[name] in (*arguments.score, "")} - {*arguments.templates}
    scored = {name: truth[name] for name in truth if name in wanted}
    with tempfile.TemporaryDirectory() as scratch:
        work = arguments.out or Path(scratch)
        link_images(arguments.data / "images", trained_on, work / "train")
        link_images(arguments.data / "images", list(scored), work / "scored")
        model, minutes, memory = train_once(arguments, truth, work)
        first = arguments.templates[0]
        directions = certain_directions(
            read_image(arguments.data / "images" / first, spacing=arguments.spacing), truth[first]
        )
        rows = {}
        for stage, candidate in stages_of(model).items():
            started = time.monotonic()
            found = detect_folder(candidate, work / "scored", spacing=arguments.spacing)
            seconds = (time.monotonic() - started) / len(found.landmarks)
            rows[stage] = (
                evaluate(found.landmarks, scored, spacing=arguments.spacing, directions=directions),
                seconds,
            )
            calibration = describe_expected_error(found.landmarks, scored, arguments.spacing)
    print_table(rows, minutes, memory, arguments)
    if arguments.verbose:
        print(evaluation_table(rows[list(rows)[-1]][0]))
        print(calibration)
    if arguments.json:
        arguments.json.write_text(
            json.dumps({stage: row[0].to_json() for stage, row in rows.items()}, indent=1)
        )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--template",
        dest="templates",
        nargs="+",
        help="file names of the annotated images; default 125.jpg if there, else the first image",
    )
    parser.add_argument("--score", nargs="+", default=["test1"], metavar="SPLIT", help="splits to score")
    parser.add_argument(
        "--reader", default="mean", help="senior, junior or mean: whose positions are the truth"
    )
    parser.add_argument("--spacing", type=float, help="mm per pixel; default 0.2 where readers are named")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--unlimited", action="store_true", help="all steps, however slow the machine is")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="keep the study here")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--verbose", action="store_true", help="also the errors of each landmark")
    arguments = parser.parse_args()
    truth, _ = read_truth(arguments.data / "landmarks.csv", arguments.reader)
    if arguments.templates is None:
        arguments.templates = ["125.jpg" if "125.jpg" in truth else next(iter(truth))]
    if arguments.spacing is None and "senior_x" in (arguments.data / "landmarks.csv").open().readline():
        arguments.spacing = 0.2
    return arguments


def read_truth(path: Path, reader: str = "mean") -> tuple[dict[str, LandmarkSet], dict[str, str]]:
    """Read the positions of a reader, or their mean over readers, and each image's split ('' where there are none)."""
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    columns = [name for name in rows[0] if name == "x" or name.endswith("_x")]
    if reader != "mean":
        if f"{reader}_x" not in columns:
            raise SystemExit(f"{path}: has no reader {reader}: its columns are {', '.join(columns)}")
        columns = [f"{reader}_x"]
    schema = LandmarkSchema(tuple(dict.fromkeys(row["landmark"] for row in rows)))
    positions: dict[str, np.ndarray] = {}
    splits = {}
    for row in rows:
        position = positions.setdefault(row["image"], np.full((len(schema), 2), np.nan))
        x = np.mean([float(row[column]) for column in columns])
        y = np.mean([float(row[column.removesuffix("x") + "y"]) for column in columns])
        position[schema.index(row["landmark"])] = (y, x)
        splits[row["image"]] = row.get("split", "")
    return {name: LandmarkSet.from_array(schema, array) for name, array in positions.items()}, splits


def link_images(folder: Path, names: list[str], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        link = target / name
        if not link.exists():
            link.symlink_to((folder / name).resolve())


def train_once(
    arguments: argparse.Namespace, truth: dict[str, LandmarkSet], work: Path
) -> tuple[LandmarkModel, float, float]:
    """Train one model; returns it, the minutes from the images to the finished study, and peak memory in GiB."""
    started = time.monotonic()
    first = arguments.templates[0]
    study = Study.create(
        work / "study",
        schema=truth[first].schema,
        images=work / "train",
        template=first,
        spacing=arguments.spacing,
    )
    cohort = Cohort.from_folder(work / "train", spacing=arguments.spacing, cache_dir=work / "cache")
    for template in arguments.templates:
        study.save_annotations(template, truth[template])
    options = default_options(choose_device(arguments.device), seed=arguments.seed, minutes=arguments.minutes)
    if arguments.unlimited:
        options = replace(options.for_canvas(cohort.canvas), limit_minutes=None)
    with terminal_progress() as progress:
        report = train(study, cohort, options=options, progress=progress)
    write_report(study, cohort, report)
    minutes = (time.monotonic() - started) / 60
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return load_model(study, device=arguments.device), minutes, memory


def stages_of(model: LandmarkModel) -> dict[str, LandmarkModel]:
    """The model and its parts: without detector, without local refinement."""

    def part(detector: bool, refined: bool) -> LandmarkModel:
        return LandmarkModel(
            model.schema,
            model.canvas,
            model.embedding,
            model.descriptors,
            model.detector if detector else None,
            refiner=model.refiner if refined else None,
            device=model.device,
        )

    parts = {"embedding alone": part(False, False)}
    if model.refiner is not None:
        parts["embedding, refined"] = part(False, True)
    if model.detector is not None:
        parts["detector alone"] = part(True, False)
        parts["detector, refined"] = model
    return parts


def describe_expected_error(
    found: dict[str, LandmarkSet], truth: dict[str, LandmarkSet], spacing: float | None
) -> str:
    """Agreement of the expected with the true errors, in one line."""
    from scipy.stats import spearmanr

    names = [name for name in truth if name in found]
    true = np.concatenate(
        [np.linalg.norm(found[n].positions(2) - truth[n].positions(2), axis=1) for n in names]
    ) * (spacing or 1)
    expected = np.concatenate([found[n].expected_errors() for n in names]) * (spacing or 1)
    known = np.isfinite(true) & np.isfinite(expected)
    true, expected = true[known], expected[known]
    worst = expected >= np.quantile(expected, 0.9)
    gross = true > 4
    share = 100 * (worst & gross).sum() / max(1, gross.sum())
    return (
        f"expected error: rank correlation {spearmanr(expected, true)[0]:.2f}, mean {expected.mean():.2f} "
        f"(true {true.mean():.2f}), {100 * (true < 2 * expected).mean():.0f}% below twice the expected error, "
        f"worst tenth holds {share:.0f}% of the errors over 4"
    )


def print_table(
    rows: dict[str, tuple[Evaluation, float]], minutes: float, memory: float, arguments: argparse.Namespace
) -> None:
    unit = next(iter(rows.values()))[0].unit
    print(
        f"\n{arguments.data.name}, template {' '.join(arguments.templates)}, seed {arguments.seed}, "
        f"reader {arguments.reader}, scored: {' + '.join(arguments.score)}"
    )
    print(f"training {minutes:.1f} minutes, peak memory {memory:.2f} GiB\n")
    print(
        f"{'':<34}{'MRE ' + unit:>8}{'across':>9}{'along':>9}"
        + "".join(f"{r + ' ' + unit:>9}" for r in ("2", "2.5", "3", "4"))
        + f"{'s/image':>9}"
    )
    for stage, (result, seconds) in rows.items():
        error = result.mre_mm if unit == "mm" else result.mre_px
        rates = "".join(f"{value:>9.1f}" for value in result.sdr.values())
        split = f"{result.across or 0:>9.2f}{result.along or 0:>9.2f}"
        print(f"{stage:<34}{error:>8.2f}{split}{rates}{seconds:>9.2f}")
    if unit == "mm":
        print("\npublished for ISBI 2015, to compare with --score test1 test2 only")
        for name, figures in PUBLISHED.items():
            print(f"{name:<36}{figures}")


if __name__ == "__main__":
    main()
