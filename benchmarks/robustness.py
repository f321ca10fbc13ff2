"""What a trained model makes of images that are not like those it was trained on.

    python benchmarks/robustness.py --study STUDY --images DIR --truth CSV [--split NAME] [--count 30]
                                    [--foreign DIR ...] [--conditions REGEX] [--seed 0] [--json FILE]
                                    [--fill dark | border]

Each condition changes the same images: mirrored, turned (right angles and any other), inverted, of another zoom, three
of these at once, two subjects side by side, cut so that landmarks are outside. Foreign ones are those of other folders,
drawn hands, noise and blank ones. CSV has the columns that `cephalometric.py` reads. For each condition: error of the
landmarks that are in the image (two subjects: of the nearer one), in pixels of the image as it was or mm of the
subject; the same relative to the same landmarks in the images as they are; images by state; landmarks outside that are
called missing and landmarks inside that are; seconds an image. Images of changed conditions are drawn from one seed:
two models see the same ones. `--json` keeps every image's results, and conditions that are in the file are not run
again.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from cephalometric import read_truth
from scipy import ndimage

from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.images.image import MedicalImage, read_image
from napari_landmark.data.landmarks import LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.predictor import Predictor
from napari_landmark.detection.model.store import load_model
from napari_landmark.synthetic.radiograph import hand_phantom

_ZOOMS = (0.5, 0.7, 1.4, 2.0)


@dataclass(frozen=True)
class Subject:
    """An image with its true landmarks.

    Parameters
    ----------
    pixels : (height, width) array
    truths : list of (n_landmarks, 2) arrays
        Of each subject in the image, in (y, x), also of landmarks outside of it; none in a foreign one.
    zoom : float
        Pixels per pixel of the image as it was.
    names : tuple of str
        Of the images that the subjects are from.
    fill : float, optional
        Grey value outside of the image where it is turned or made smaller; the darkest one of the image otherwise.
    """

    pixels: np.ndarray
    truths: list[np.ndarray]
    zoom: float = 1.0
    names: tuple[str, ...] = ()
    fill: float | None = None


Change = Callable[[Subject, np.random.Generator], Subject]


def as_it_is(subject: Subject, generator: np.random.Generator) -> Subject:
    return subject


def mirrored(subject: Subject, generator: np.random.Generator) -> Subject:
    return affine(subject, np.diag([1.0, -1.0]), subject.pixels.shape)


def inverted(subject: Subject, generator: np.random.Generator) -> Subject:
    pixels, fill = subject.pixels, subject.fill
    ends = pixels.max() + pixels.min()
    return replace(subject, pixels=ends - pixels, fill=None if fill is None else float(ends - fill))


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


def in_frame_with_text(subject: Subject, generator: np.random.Generator) -> Subject:
    """At half the size in a dark frame with burnt-in text and a ruler, which no border of one intensity is left of."""
    framed = affine(subject, np.eye(2) * 0.5, subject.pixels.shape)
    pixels, bright = framed.pixels.copy(), float(subject.pixels.max())
    height, width = pixels.shape
    size = max(2, height // 200)
    letters = np.kron(
        generator.random((5, 40)) < 0.5, np.ones((size, size))
    )  # blocks like those of a bitmap font
    rows, columns = letters.shape
    for top, left in ((size, size), (height - rows - size, width - columns - size)):
        pixels[top : top + rows, left : left + columns][letters > 0] = bright
    pixels[:: 8 * size, width - 4 * size :] = bright
    return replace(framed, pixels=pixels)


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
        return replace(subject, pixels=kept, truths=[truth - first for truth in subject.truths])

    return change


CONDITIONS: dict[str, Change] = {
    "as it is": as_it_is,
    "mirrored": mirrored,
    **{f"turned by {angle}": turned(angle) for angle in (20, 45, 90, 180, 270)},
    "turned by any angle": turned(None),
    "inverted": inverted,
    **{f"zoom {factor:g}": zoomed(factor) for factor in _ZOOMS},
    "frame with text": in_frame_with_text,
    "three of these": combined,
    "a quarter cut": cut(0.25),
    "half cut": cut(0.5),
}


def affine(subject: Subject, matrix: np.ndarray, shape: tuple[int, ...]) -> Subject:
    """Map a subject by a matrix about its centre to a frame of some shape, filled with the subject's `fill`."""
    pixels = subject.pixels.astype(np.float32)
    middle, new_middle = ((np.array(size) - 1) / 2 for size in (pixels.shape, shape))
    inverse = np.linalg.inv(matrix)
    scale = abs(np.linalg.det(inverse)) ** 0.5
    source = (
        ndimage.gaussian_filter(pixels, 0.5 * scale) if scale > 1.2 else pixels
    )  # averaged where it shrinks
    fill = float(pixels.min()) if subject.fill is None else subject.fill
    changed = ndimage.affine_transform(
        source, inverse, middle - inverse @ new_middle, tuple(shape), order=1, cval=fill
    )
    truths = [(truth - middle) @ matrix.T + new_middle for truth in subject.truths]
    return replace(subject, pixels=changed, truths=truths, zoom=subject.zoom / scale)


def side_by_side(first: Subject, second: Subject) -> Subject:
    height = max(len(first.pixels), len(second.pixels))
    both = [np.pad(s.pixels, ((0, height - len(s.pixels)), (0, 0)), mode="edge") for s in (first, second)]
    shift = np.array([0, both[0].shape[1]])
    truths = [first.truths[0], second.truths[0] + shift]
    return Subject(np.concatenate(both, axis=1), truths, names=first.names + second.names)


def foreign_images(
    folders: list[Path], count: int, shape: tuple[int, ...], seed: int
) -> Iterator[tuple[str, Subject]]:
    """Name of the kind and image: of each folder so many, and of drawn hands, noise and blank ones."""
    generator = np.random.default_rng(seed)
    for folder in folders:
        files = image_files(folder)[0]
        for number in generator.permutation(len(files))[:count]:
            pixels = np.asarray(read_image(files[number][1]).array, np.float32)
            yield f"foreign: {folder.parent.name}", Subject(pixels, [])
    for number in range(count):
        yield "foreign: drawn hands", Subject(np.asarray(hand_phantom(number).image.array, np.float32), [])
        yield "noise", Subject(generator.normal(size=shape).astype(np.float32), [])
        smooth = ndimage.gaussian_filter(generator.normal(size=shape), 0.05 * max(shape))
        yield "clouds", Subject(smooth.astype(np.float32), [])
    blank = np.full(shape, 0.5, np.float32)
    blank[0, 0] = 0.0
    yield "blank", Subject(blank, [])


def describe(found: LandmarkSet, subject: Subject, seconds: float) -> dict[str, Any]:
    """Results of one image, for a JSON file: errors in pixels of the image as it was, None outside or unknown."""
    result: dict[str, Any] = {"state": str(found.image_state or ""), "seconds": round(seconds, 2)}
    if not subject.truths:
        return result
    positions, last = found.positions(2), np.array(subject.pixels.shape) - 1
    rows = []
    for name, truth in zip(subject.names, subject.truths, strict=True):
        inside = ((truth >= 0) & (truth <= last)).all(1)
        errors = np.where(inside, np.linalg.norm(positions - truth, axis=1), np.nan) / subject.zoom
        rows.append((np.nanmean(errors) if np.isfinite(errors).any() else np.inf, name, inside, errors))
    _, name, inside, errors = min(rows, key=lambda row: row[0])
    missing = [mark.status is Status.PREDICTED_MISSING for mark in found.values()]
    return result | {
        "name": name,
        "inside": inside.tolist(),
        "missing": missing,
        "errors": [round(float(error), 2) if np.isfinite(error) else None for error in errors],
    }


class Row:
    """Results of one condition."""

    def __init__(self, images: Sequence[dict[str, Any]]) -> None:
        self.images = images

    def line(self, name: str, unit: float, as_it_is: dict[str, list[float | None]]) -> str:
        """Row of the table; `as_it_is` has the errors of each image as it is."""
        count, states = len(self.images), Counter(image["state"] for image in self.images)
        shown = [image for image in self.images if "name" in image]
        errors = _array([image["errors"] for image in shown])
        before = _array([as_it_is.get(image["name"], [None]) for image in shown])
        before = np.broadcast_to(before, errors.shape) if before.size else errors * np.nan
        both = np.isfinite(errors) & np.isfinite(before)
        inside, missing = (np.array([image[key] for image in shown], bool) for key in ("inside", "missing"))
        shares = [100 * states[str(state)] / count for state in ImageState]
        flagged = 100 - shares[0] if states.keys() - {""} else np.nan
        ratio = f"{errors[both].mean() / before[both].mean():.2f}" if both.any() else ""
        return " | ".join(
            (
                f"| {name:<24} | {count:3d}",
                f"{np.nanmean(errors) * unit:7.2f}" if np.isfinite(errors).any() else " " * 7,
                f"{ratio:>6}",
                f"{flagged:4.0f}",
                *(f"{share:4.0f}" for share in shares),
                _percent((missing & ~inside).sum(), (~inside).sum()),
                _percent((missing & inside).sum(), inside.sum()),
                f"{np.mean([image['seconds'] for image in self.images]):.2f} |",
            )
        )


def _array(rows: Sequence[Sequence[float | None]]) -> np.ndarray:
    return np.array([[np.nan if value is None else value for value in row] for row in rows], float)


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
    parser.add_argument("--count", type=int, default=30, help="images a condition")
    parser.add_argument("--foreign", type=Path, nargs="*", default=[], metavar="DIR")
    parser.add_argument("--conditions", default="", help="only conditions whose name matches this expression")
    parser.add_argument(
        "--fill",
        choices=("dark", "border"),
        default="dark",
        help="grey value around turned images: the darkest one, or the median along the border",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, help="keep the results of every image here")
    arguments = parser.parse_args()
    study = Study.open(arguments.study)
    model = load_model(study, device=arguments.device)
    truth, splits = read_truth(arguments.truth)
    files = dict(image_files(arguments.images)[0])
    usable = [n for n in truth if n in files and arguments.split in (None, splits[n]) and n != study.template]
    chosen = np.random.default_rng(arguments.seed).permutation(len(usable))[: arguments.count]
    unit = study.spacing if isinstance(study.spacing, float) else 1.0
    subjects = [
        Subject(
            np.asarray(read_image(files[name]).array, np.float32), [truth[name].positions(2)], names=(name,)
        )
        for name in (usable[k] for k in sorted(chosen))
    ]
    if arguments.fill == "border":
        subjects = [replace(subject, fill=_border(subject.pixels)) for subject in subjects]
    kept: dict[str, list[dict[str, Any]]] = {}
    if arguments.json is not None and arguments.json.exists():
        kept = json.loads(arguments.json.read_text())
    print(f"{arguments.study}, {len(subjects)} images, {'mm' if unit != 1 else 'pixels'}\n")
    titles = (
        *("condition", "images", "error", "relative", "flagged %", *(f"{state} %" for state in ImageState)),
        *("outside called missing %", "inside called missing %", "s/image"),
    )
    print(f"| {' | '.join(titles)} |")
    print("|---" * len(titles) + "|", flush=True)
    usual: dict[str, list[float | None]] = {}
    for name, images in run(model, subjects, arguments, kept):
        kept[name] = images
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(kept))
        if name == "as it is":
            usual = {image["name"]: image["errors"] for image in images}
        print(Row(images).line(name, unit, usual), flush=True)


def _border(pixels: np.ndarray) -> float:
    """Median grey value along the border of an image."""
    return float(np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])))


def run(
    model: Predictor,
    subjects: list[Subject],
    arguments: argparse.Namespace,
    kept: dict[str, list[dict[str, Any]]],
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Name and results of each condition that is asked for; those in `kept` are not run again."""
    for name, images in conditions(subjects, arguments):
        if name in kept:
            yield name, kept[name]
        elif name == "as it is" or re.search(arguments.conditions, name):
            yield name, [detect(model, subject) for subject in images]


def conditions(
    subjects: list[Subject], arguments: argparse.Namespace
) -> Iterator[tuple[str, Iterator[Subject]]]:
    """Name and changed images of each condition."""
    for name, change in CONDITIONS.items():
        yield name, _changed(subjects, change, arguments.seed)
    if len(subjects) > 1:
        yield (
            "two side by side",
            (side_by_side(first, second) for first, second in pairwise([*subjects, subjects[0]])),
        )
    kinds: dict[str, list[Subject]] = {}
    shape = subjects[0].pixels.shape
    for kind, subject in foreign_images(arguments.foreign, len(subjects), shape, arguments.seed):
        kinds.setdefault(kind, []).append(subject)
    for kind, images in kinds.items():
        yield kind, iter(images)


def _changed(subjects: list[Subject], change: Change, seed: int) -> Iterator[Subject]:
    for number, subject in enumerate(subjects):
        yield change(subject, np.random.default_rng([seed, number]))


def detect(model: Predictor, subject: Subject) -> dict[str, Any]:
    """Results of one image."""
    image = MedicalImage(subject.pixels, Geometry(subject.pixels.shape), "changed.png")
    started = time.monotonic()
    found = model.detect(image).landmarks
    return describe(found, subject, time.monotonic() - started)


if __name__ == "__main__":
    main()
