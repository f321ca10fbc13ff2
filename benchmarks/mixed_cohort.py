"""A cohort that is not uniform, beside the same annotated set as it is.

    python benchmarks/mixed_cohort.py make --data DIR [--split train] --template NAME --out MIXED [--seed 0]
                                           --change mirrored | part | foreign [--foreign DIR ...]
    python benchmarks/cephalometric.py --data MIXED --template NAME.png --unlimited --score train --out WORK
    python benchmarks/mixed_cohort.py score --mixed MIXED --study WORK/study --plain DIR --plain-study STUDY
                                            [--spacing MM]

`make` writes the images as PNG, never changes the template, and notes the names of the others in `changed.txt`:

- mirrored: a random half of the images, with their landmarks;
- part: a random half of the images shows a random half of the subject, to the left, right, top or bottom;
- foreign: the images as they are, and a tenth as many of other folders.

`score` compares the predictions of a study that was trained on them with those of a study that was trained on the
images as they are: mirror images told, images left aside, and the error of changed and of other images relative to the
same landmarks there.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from cephalometric import read_truth
from PIL import Image

from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.landmarks import LandmarkSet

_CHANGED, _FOREIGN = "changed.txt", "foreign"
_PART = 0.55  # of the side that is cut


def make(arguments: argparse.Namespace) -> None:
    with (arguments.data / "landmarks.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row.get("split", "") in ("", arguments.split)]
    files = dict(image_files(arguments.data / "images")[0])
    names = sorted({row["image"] for row in rows} & files.keys())
    others = [name for name in names if name != arguments.template]
    generator = np.random.default_rng(arguments.seed)
    half = [others[number] for number in generator.permutation(len(others))[: len(names) // 2]]
    changed = (
        {} if arguments.change == _FOREIGN else {name: int(generator.integers(4)) for name in sorted(half)}
    )
    images = arguments.out / "images"
    images.mkdir(parents=True)
    boxes: dict[str, tuple[int, int, int, int]] = {}  # left, top, right, bottom
    for name in names:
        with Image.open(files[name]) as image:
            drawn, box = image, (0, 0, image.width, image.height)
            if name in changed and arguments.change == "mirrored":
                drawn = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            elif name in changed:
                box = _part(image.width, image.height, changed[name])
                drawn = image.crop(box)
            boxes[name] = box
            drawn.save(images / _png(name), compress_level=1)
    columns = [column.removesuffix("x") for column in rows[0] if column == "x" or column.endswith("_x")]
    written = []
    for row in rows:
        if row["image"] not in boxes:
            continue
        moved = dict(row) | {"image": _png(row["image"])}
        left, top, right, bottom = boxes[row["image"]]
        for column in columns:
            x, y = float(row[f"{column}x"]), float(row[f"{column}y"])
            mirrored = row["image"] in changed and arguments.change == "mirrored"
            moved |= {f"{column}x": right - 1 - x if mirrored else x - left, f"{column}y": y - top}
        inside = all(
            -0.5 <= float(moved[f"{column}x"]) < right - left - 0.5
            and -0.5 <= float(moved[f"{column}y"]) < bottom - top - 0.5
            for column in columns
        )
        if inside:
            written.append(moved)
    with (arguments.out / "landmarks.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(written)
    told = [_png(name) for name in changed]
    if arguments.change == _FOREIGN:
        told = _add_foreign(arguments.foreign, images, round(len(names) / 10), generator)
    (arguments.out / _CHANGED).write_text("".join(f"{name}\n" for name in told))
    print(f"{len(names)} images, {len(told)} {arguments.change}: {arguments.out}")


def _add_foreign(folders: list[Path], images: Path, count: int, generator: np.random.Generator) -> list[str]:
    """Copy images of other folders, of each as many."""
    names = []
    for number in range(count):
        files = list(image_files(folders[number % len(folders)])[0])
        _, path = files[int(generator.integers(len(files)))]
        names.append(f"{_FOREIGN}_{number:02d}.png")
        with Image.open(path) as image:
            image.save(images / names[-1], compress_level=1)
    return names


def _part(width: int, height: int, side: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a part at one of four sides."""
    across, down = round(_PART * width), round(_PART * height)
    return (
        (0, 0, across, height),
        (width - across, 0, width, height),
        (0, 0, width, down),
        (0, height - down, width, height),
    )[side]


def _png(name: str) -> str:
    return f"{Path(name).stem}.png"


def score(arguments: argparse.Namespace) -> None:
    changed = set((arguments.mixed / _CHANGED).read_text().split())
    poses = _training(arguments.study)["poses"]
    aside = poses["left_aside"]
    with (arguments.study / "poses.csv").open(newline="") as stream:
        mirrored = {row["image"] for row in csv.DictReader(stream) if row["mirrored"] == "yes"}
    print(
        f"changed: {len(changed)}; called mirrored: {len(mirrored & changed)} of them, {len(mirrored - changed)} others"
    )
    print(f"left aside: {len(aside.keys() & changed)} of them, {len(aside.keys() - changed)} others")
    truth = read_truth(arguments.mixed / "landmarks.csv")[0]
    plain_truth = {
        Path(n).stem: marks for n, marks in read_truth(arguments.plain / "landmarks.csv")[0].items()
    }
    here = _errors(arguments.study, truth)
    there = _errors(arguments.plain_study, plain_truth)
    for title, wanted in (("as they were", False), ("changed", True)):
        stems = [n for n in here if (f"{n}.png" in changed) == wanted and n in there]
        if not stems:
            continue
        mixed, plain = (np.array([errors[n] for n in stems]) * arguments.spacing for errors in (here, there))
        both = np.isfinite(mixed + plain)
        print(
            f"{title}: {len(stems)} images, {mixed[both].mean():.2f}, in the plain cohort {plain[both].mean():.2f}, "
            f"relative {mixed[both].mean() / plain[both].mean():.3f}; {both.sum()} landmarks"
        )


def _training(study: Path) -> Any:
    """What the newest model of a study tells of its training."""
    newest = sorted((study / "models").iterdir())[-1]
    return json.loads((newest / "model.json").read_text())["training"]


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
    making.add_argument("--change", choices=("mirrored", "part", _FOREIGN), default="mirrored")
    making.add_argument(
        "--foreign", type=Path, nargs="*", default=[], metavar="DIR", help="folders of other images"
    )
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
