"""A cohort of mixed sides: half of the images of an annotated set mirrored, beside the same set as it is.

    python benchmarks/mixed_sides.py make --data DIR [--split train] --template NAME --out MIXED [--seed 0]
    python benchmarks/cephalometric.py --data MIXED --template NAME.png --unlimited --score train --out WORK
    python benchmarks/mixed_sides.py score --mixed MIXED --study WORK/study --plain DIR --plain-study STUDY
                                          [--spacing MM]

`make` writes the images as PNG, a random half of them mirrored with their landmarks (never the template), and
`mirrored.txt` with their names. `score` compares the predictions of a study that was trained on them with those of a
study that was trained on the images as they are: poses named right, and the error of mirrored and of plain images
relative to the same images there.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from cephalometric import read_truth
from PIL import Image

from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.landmarks import LandmarkSet


def make(arguments: argparse.Namespace) -> None:
    with (arguments.data / "landmarks.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row.get("split", "") in ("", arguments.split)]
    files = dict(image_files(arguments.data / "images")[0])
    names = sorted({row["image"] for row in rows} & files.keys())
    others = [name for name in names if name != arguments.template]
    chosen = np.random.default_rng(arguments.seed).permutation(len(others))[: len(names) // 2]
    mirrored = {others[number] for number in chosen}
    images = arguments.out / "images"
    images.mkdir(parents=True)
    width = {}
    for name in names:
        with Image.open(files[name]) as image:
            width[name] = image.width
            drawn = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if name in mirrored else image
            drawn.save(images / f"{Path(name).stem}.png", compress_level=1)
    columns = [column for column in rows[0] if column == "x" or column.endswith("_x")]
    for row in rows:
        if row["image"] in mirrored:
            row |= {column: str(width[row["image"]] - 1 - float(row[column])) for column in columns}
    with (arguments.out / "landmarks.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(
            row | {"image": f"{Path(row['image']).stem}.png"} for row in rows if row["image"] in files
        )
    (arguments.out / "mirrored.txt").write_text(
        "".join(f"{Path(name).stem}.png\n" for name in sorted(mirrored))
    )
    print(f"{len(names)} images, {len(mirrored)} mirrored: {arguments.out}")


def score(arguments: argparse.Namespace) -> None:
    mirrored = set((arguments.mixed / "mirrored.txt").read_text().split())
    with (arguments.study / "poses.csv").open(newline="") as stream:
        named = {row["image"]: row["mirrored"] == "yes" for row in csv.DictReader(stream)}
    right = sum(is_mirrored == (name in mirrored) for name, is_mirrored in named.items())
    print(f"poses right: {right} of {len(named)}")
    truth = read_truth(arguments.mixed / "landmarks.csv")[0]
    plain_truth = {
        Path(n).stem: marks for n, marks in read_truth(arguments.plain / "landmarks.csv")[0].items()
    }
    here = _errors(arguments.study, truth)
    there = _errors(arguments.plain_study, plain_truth)
    for title, wanted in (("as they were", False), ("mirrored", True)):
        stems = [n for n in here if (f"{n}.png" in mirrored) == wanted and n in there]
        mixed, plain = (np.array([errors[n] for n in stems]) * arguments.spacing for errors in (here, there))
        both = np.isfinite(mixed + plain)
        print(
            f"{title}: {len(stems)} images, {mixed[both].mean():.2f}, in the plain cohort {plain[both].mean():.2f}, "
            f"relative {mixed[both].mean() / plain[both].mean():.3f}; without a position {np.isnan(mixed).sum()} "
            f"and {np.isnan(plain).sum()}"
        )


def _errors(study: Path, truth: dict[str, LandmarkSet]) -> dict[str, np.ndarray]:
    """Errors (n_landmarks,) in pixels by name without suffix, of all predicted images but templates."""
    templates = {file.stem for file in (study / "annotations").glob("*.csv")}
    errors = {}
    known = {Path(name).stem: marks.positions(2) for name, marks in truth.items()}
    for file in sorted((study / "predictions").glob("*.csv")):
        image = Path(file.stem).stem
        if file.stem not in templates and image in known:
            found = next(iter(read_landmarks(file).values())).positions(2)
            errors[image] = np.linalg.norm(found - known[image], axis=1)
    return errors


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("make")
    making.add_argument("--data", type=Path, required=True)
    making.add_argument("--split", default="train")
    making.add_argument("--template", required=True, help="stays as it is")
    making.add_argument("--out", type=Path, required=True, help="a new folder")
    making.add_argument("--seed", type=int, default=0)
    making.set_defaults(run=make)
    scoring = commands.add_parser("score")
    scoring.add_argument("--mixed", type=Path, required=True)
    scoring.add_argument("--study", type=Path, required=True, help="trained on the mixed cohort")
    scoring.add_argument("--plain", type=Path, required=True, help="the annotated set as it is")
    scoring.add_argument("--plain-study", type=Path, required=True)
    scoring.add_argument("--spacing", type=float, default=1.0, help="mm per pixel")
    scoring.set_defaults(run=score)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
