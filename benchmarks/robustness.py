"""What a trained model makes of images that are not like those it was trained on.

    python benchmarks/robustness.py --study STUDY --images DIR --truth CSV [--split NAME] [--count 10]
                                    [--foreign DIR ...] [--conditions REGEX] [--seed 0]

Each condition changes the same images: mirrored, turned (right angles and any other), inverted, of another zoom, three
of these at once, two subjects side by side, cut so that landmarks are outside. Foreign ones are those of other folders,
noise and blank ones. CSV has the columns that `cephalometric.py` reads. For each condition: error of the landmarks
that are in the image (two subjects: of the nearer one), images by state, landmarks outside that are called missing
and landmarks inside that are. Images of changed conditions are drawn from one seed: two models see the same ones.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from cephalometric import read_truth
from scipy import ndimage

from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.images.image import MedicalImage, read_image
from napari_landmark.data.landmarks import LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.detection.model.store import load_model

_ZOOMS = (0.5, 0.7, 1.4, 2.0)


@dataclass(frozen=True)
class Subject:
    """An image with its true landmarks.

    Parameters
    ----------
    pixels : (height, width) array
    truths : list of (n_landmarks, 2) arrays
        Of each subject in the image, in (y, x), also of landmarks outside of it; none in a foreign one.
    """

    pixels: np.ndarray
    truths: list[np.ndarray]


Change = Callable[[Subject, np.random.Generator], Subject]


def as_it_is(subject: Subject, generator: np.random.Generator) -> Subject:
    return subject


def mirrored(subject: Subject, generator: np.random.Generator) -> Subject:
    return affine(subject, np.diag([1.0, -1.0]), subject.pixels.shape)


def inverted(subject: Subject, generator: np.random.Generator) -> Subject:
    pixels = subject.pixels
    return Subject(pixels.max() - pixels + pixels.min(), subject.truths)


def turned(degrees: float | None) -> Change:
    """Turn by an angle, or by any if None; the frame grows so that the whole image is kept."""

    def change(subject: Subject, generator: np.random.Generator) -> Subject:
        angle = np.deg2rad(generator.uniform(-180, 180) if degrees is None else degrees)
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, -sin], [sin, cos]])
        size = np.ceil(abs(turn) @ subject.pixels.shape - 1e-6).astype(int)
        return affine(subject, turn, tuple(size))

    return change


def zoomed(factor: float | None) -> Change:
    """Show the subject larger or smaller in a frame of the same size; a factor of 0.7 to 1.4 if None."""

    def change(subject: Subject, generator: np.random.Generator) -> Subject:
        by = np.exp(generator.uniform(np.log(0.7), np.log(1.4))) if factor is None else factor
        return affine(subject, np.eye(2) * by, subject.pixels.shape)

    return change


def combined(subject: Subject, generator: np.random.Generator) -> Subject:
    changes = (mirrored, inverted, turned(None), zoomed(None))
    for number in generator.permutation(len(changes))[:3]:
        subject = changes[number](subject, generator)
    return subject


def cut(share: float) -> Change:
    """Cut a part of the image away at a random side."""

    def change(subject: Subject, generator: np.random.Generator) -> Subject:
        side, pixels = generator.integers(4), subject.pixels
        first, last = np.zeros(2, int), np.array(pixels.shape)
        axis, away = side // 2, round(share * pixels.shape[side // 2])
        if side % 2:
            first[axis] = away
        else:
            last[axis] -= away
        kept = pixels[first[0] : last[0], first[1] : last[1]]
        return Subject(kept, [truth - first for truth in subject.truths])

    return change


CONDITIONS: dict[str, Change] = {
    "as it is": as_it_is,
    "mirrored": mirrored,
    **{f"turned by {angle}": turned(angle) for angle in (20, 45, 90, 180, 270)},
    "turned by any angle": turned(None),
    "inverted": inverted,
    **{f"zoom {factor:g}": zoomed(factor) for factor in _ZOOMS},
    "three of these": combined,
    "a quarter cut": cut(0.25),
    "half cut": cut(0.5),
}


def affine(subject: Subject, matrix: np.ndarray, shape: tuple[int, ...]) -> Subject:
    """Map a subject by a matrix about its centre to a frame of some shape; outside it is as dark as the image gets."""
    pixels = subject.pixels.astype(np.float32)
    middle, new_middle = ((np.array(size) - 1) / 2 for size in (pixels.shape, shape))
    inverse = np.linalg.inv(matrix)
    scale = abs(np.linalg.det(inverse)) ** 0.5
    source = (
        ndimage.gaussian_filter(pixels, 0.5 * scale) if scale > 1.2 else pixels
    )  # averaged where it shrinks
    changed = ndimage.affine_transform(
        source, inverse, middle - inverse @ new_middle, tuple(shape), order=1, cval=float(pixels.min())
    )
    return Subject(changed, [(truth - middle) @ matrix.T + new_middle for truth in subject.truths])


def side_by_side(first: Subject, second: Subject) -> Subject:
    height = max(len(first.pixels), len(second.pixels))
    both = [np.pad(s.pixels, ((0, height - len(s.pixels)), (0, 0)), mode="edge") for s in (first, second)]
    shift = np.array([0, both[0].shape[1]])
    return Subject(np.concatenate(both, axis=1), [first.truths[0], second.truths[0] + shift])


def foreign_images(
    folders: list[Path], count: int, shape: tuple[int, ...], seed: int
) -> Iterator[tuple[str, Subject]]:
    """Name of the kind and image: of each folder so many, and of noise and blank ones."""
    generator = np.random.default_rng(seed)
    for folder in folders:
        files = image_files(folder)[0]
        for number in generator.permutation(len(files))[:count]:
            pixels = np.asarray(read_image(files[number][1]).array, np.float32)
            yield f"foreign: {folder.parent.name}", Subject(pixels, [])
    for _ in range(count):
        yield "noise", Subject(generator.normal(size=shape).astype(np.float32), [])
        smooth = ndimage.gaussian_filter(generator.normal(size=shape), 0.05 * max(shape))
        yield "clouds", Subject(smooth.astype(np.float32), [])
    blank = np.full(shape, 0.5, np.float32)
    blank[0, 0] = 0.0
    yield "blank", Subject(blank, [])


class Row:
    """Results of one condition."""

    def __init__(self) -> None:
        self.errors: list[float] = []
        self.states: Counter[str] = Counter()
        self.outside = self.outside_missing = self.inside = self.inside_missing = 0

    def add(self, found: LandmarkSet, subject: Subject) -> None:
        self.states[str(found.image_state or "")] += 1
        if not subject.truths:
            return
        missing = np.array([mark.status is Status.PREDICTED_MISSING for mark in found.values()])
        positions = found.positions(2)
        nearest: tuple[float, np.ndarray, np.ndarray] | None = None
        for truth in subject.truths:
            inside = ((truth >= 0) & (truth <= np.array(subject.pixels.shape) - 1)).all(1)
            errors = np.linalg.norm(positions - truth, axis=1)[inside]
            errors = errors[np.isfinite(errors)]
            mean = errors.mean() if len(errors) else np.inf
            if nearest is None or mean < nearest[0]:
                nearest = mean, errors, inside
        assert nearest is not None
        _, errors, inside = nearest
        self.errors += errors.tolist()
        self.inside += int(inside.sum())
        self.inside_missing += int((inside & missing).sum())
        self.outside += int((~inside).sum())
        self.outside_missing += int((~inside & missing).sum())

    def line(self, name: str, unit: float, usual: float) -> str:
        count = sum(self.states.values())
        error = np.mean(self.errors) * unit if self.errors else np.nan
        ratio = f"{error / usual:.2f}" if np.isfinite(error) and usual > 0 else ""
        states = [100 * self.states[str(state)] / count for state in ImageState]
        flagged = 100 - states[0] if self.states.keys() - {""} else np.nan
        return " | ".join(
            (
                f"| {name:<24} | {count:3d}",
                f"{error:7.2f}" if np.isfinite(error) else " " * 7,
                f"{ratio:>6}",
                f"{flagged:4.0f}",
                *(f"{share:4.0f}" for share in states),
                _percent(self.outside_missing, self.outside),
                f"{_percent(self.inside_missing, self.inside)} |",
            )
        )


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:5.1f} of {whole:4d}" if whole else " " * 13


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--split", help="only images of this split of the table")
    parser.add_argument("--count", type=int, default=10, help="images a condition")
    parser.add_argument("--foreign", type=Path, nargs="*", default=[], metavar="DIR")
    parser.add_argument("--conditions", default="", help="only conditions whose name matches this expression")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    study = Study.open(arguments.study)
    model = load_model(study, device=arguments.device)
    truth, splits = read_truth(arguments.truth)
    files = dict(image_files(arguments.images)[0])
    usable = [n for n in truth if n in files and arguments.split in (None, splits[n]) and n != study.template]
    chosen = np.random.default_rng(arguments.seed).permutation(len(usable))[: arguments.count]
    unit = study.spacing if isinstance(study.spacing, float) else 1.0
    subjects = {
        usable[k]: Subject(
            np.asarray(read_image(files[usable[k]]).array, np.float32), [truth[usable[k]].positions(2)]
        )
        for k in sorted(chosen)
    }
    print(f"{arguments.study}, {len(subjects)} images, {'mm' if unit != 1 else 'pixels'}\n")
    titles = ("error", "ratio", "flagged %", *(f"{state} %" for state in ImageState))
    print(
        f"| condition | images | {' | '.join(titles)} | outside called missing % | inside called missing % |"
    )
    print("|---" * (len(titles) + 4) + "|", flush=True)
    usual = 0.0
    for name, rows in run(model, subjects, arguments):
        if name == "as it is":
            usual = np.mean(rows.errors) * unit
        print(rows.line(name, unit, usual), flush=True)


def run(
    model: LandmarkModel, subjects: dict[str, Subject], arguments: argparse.Namespace
) -> Iterator[tuple[str, Row]]:
    """Name and results of each condition that is asked for."""
    for name, change in CONDITIONS.items():
        if not re.search(arguments.conditions, name):
            continue
        row = Row()
        for number, subject in enumerate(subjects.values()):
            generator = np.random.default_rng([arguments.seed, number])
            changed = change(subject, generator)
            row.add(detect(model, changed), changed)
        yield name, row
    if re.search(arguments.conditions, "two side by side") and len(subjects) > 1:
        row = Row()
        for first, second in pairwise([*subjects.values(), next(iter(subjects.values()))]):
            both = side_by_side(first, second)
            row.add(detect(model, both), both)
        yield "two side by side", row
    shape = next(iter(subjects.values())).pixels.shape
    kinds: dict[str, Row] = {}
    for kind, subject in foreign_images(arguments.foreign, len(subjects), shape, arguments.seed):
        if re.search(arguments.conditions, kind):
            kinds.setdefault(kind, Row()).add(detect(model, subject), subject)
    yield from kinds.items()


def detect(model: LandmarkModel, subject: Subject) -> LandmarkSet:
    pixels = subject.pixels
    image = MedicalImage(pixels, Geometry(pixels.shape), "changed.png")
    return model.detect(image).landmarks


if __name__ == "__main__":
    sys.exit(main())
