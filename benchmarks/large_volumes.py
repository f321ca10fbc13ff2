"""A cohort of large volumes: memory and time of a study's creation, its cache, training and detection.

    python benchmarks/large_volumes.py --counts 8 24 --out /somewhere/with/4/GB [--side 512] [--json figures.json]

Draws the CT of eight heads in any rotation, 512^3 voxels of 16 bits each (2.1 GB together); further volumes are links
to them with names of their own, which are read, resampled, aligned and detected like any other. For each count, in
processes whose peak memory is measured: the cohort is read, and read again from the cache, a study is created and
trained from one template, and landmarks are detected in up to `--detect` volumes. What was drawn is removed at the end.

Must hold: less than 4 GiB everywhere, and no more of it for more volumes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
from large_cohort import READING, TERMINAL, Measured

MEMORY = 4 * 1024**3
DRAWN = 8
_ENLARGED = 4  # voxels along each axis of one that is drawn
_NOISE = 25  # HU


def draw(folder: Path, side: int, count: int) -> list[Path]:
    """Write different heads and the landmarks of the first."""
    import nibabel
    from nibabel.nifti1 import Nifti1Image

    from napari_landmark.data.formats.registry import write_landmarks
    from napari_landmark.data.landmarks import LandmarkSet
    from napari_landmark.synthetic.ct import head_phantom

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for seed in range(count):
        head = head_phantom(seed, size=side // _ENLARGED)
        array = head.image.array
        for axis in range(3):
            array = np.repeat(array, _ENLARGED, axis)
        array = np.pad(array, [(0, side - n) for n in array.shape], mode="edge")
        chance = np.random.default_rng(seed)
        array += chance.integers(-_NOISE, _NOISE, array.shape, dtype=np.int16)
        geometry = head.image.geometry
        steps = np.asarray(geometry.direction) * np.asarray(geometry.spacing)
        affine = np.eye(4)
        affine[:3, :3] = steps[::-1, ::-1] / _ENLARGED
        first = (1 - _ENLARGED) / (2 * _ENLARGED)  # index in the head as drawn of the first voxel's centre
        affine[:3, 3] = (np.asarray(geometry.origin) + steps @ np.full(3, first))[::-1]
        affine[:2] *= -1  # LPS to RAS
        path = folder / f"head_{seed:03d}.nii"
        image = Nifti1Image(array.T, affine)
        image.header.set_xyzt_units("mm")
        nibabel.save(image, path)
        paths.append(path)
        if seed == 0:
            marks = head.landmarks
            positions = (marks.positions() + 0.5) * _ENLARGED - 0.5
            found = LandmarkSet.from_array(marks.schema, positions)
            write_landmarks(folder / "template.csv", {path.name: found})
    return paths


def link(drawn: list[Path], folder: Path, count: int) -> Path:
    """A folder of so many volumes, hard links to those that were drawn."""
    folder.mkdir(parents=True)
    for number in range(count):
        os.link(drawn[number % len(drawn)], folder / f"head_{number:03d}.nii")
    return folder


def measure(options: argparse.Namespace, drawn: list[Path], count: int) -> dict:
    """Peak memory and seconds of each part with a cohort of `count` volumes."""
    out = options.out / str(count)
    images = link(drawn, out / "images", count)
    environment = {"NAPARI_LANDMARK_CACHE": str(out / "cache")}
    terminal = [sys.executable, "-c", TERMINAL]
    parts = {
        "read": [sys.executable, "-c", READING, str(images)],
        "train": [
            *(*terminal, "train", "--images", str(images), "--template", str(images / "head_000.nii")),
            *("--landmarks", str(drawn[0].parent / "template.csv"), "--out", str(out / "study")),
            *("--minutes", str(options.minutes), "--device", "cpu"),
        ],
        "detect": [
            *(*terminal, "detect", str(out / "study"), "--images", str(out / "detected")),
            *("--out", str(out / "found.csv"), "--device", "cpu"),
        ],
    }
    link(drawn, out / "detected", min(count, options.detect))
    figures: dict = {"volumes": count}
    for name, command in parts.items():
        running = Measured(command, environment).wait()
        if running.process.returncode:
            sys.exit("\n".join(line for _, line in running.lines))
        figures[name] = running.report()
        print(count, name, figures[name], flush=True)
    figures["cache_gib"] = round(
        sum(path.stat().st_size for path in (out / "cache").rglob("*") if path.is_file()) / 1024**3, 2
    )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[8, 24])
    parser.add_argument("--detect", type=int, default=24, help="at most so many volumes")
    parser.add_argument("--minutes", type=float, default=4.0, help="budget of a training")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--out", type=Path, required=True, help="a folder that does not exist yet")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True)
    try:
        drawn = draw(options.out / "drawn", options.side, min(DRAWN, max(options.counts)))
        print("drawn", flush=True)
        figures = [measure(options, drawn, count) for count in options.counts]
    finally:
        shutil.rmtree(options.out)
    parts = ("read", "train", "detect")
    peak = max(one[part]["peak_with_mapped_files_gib"] for one in figures for part in parts)
    print("| volumes | " + " | ".join(f"{part}, GiB | s" for part in parts) + " | cache, GiB |")
    print("|---|" + "---|---|" * len(parts) + "---|")
    for one in figures:
        cells = [f"{one[part]['peak_gib']:.2f} | {one[part]['seconds']:.0f}" for part in parts]
        print(f"| {one['volumes']} | " + " | ".join(cells) + f" | {one['cache_gib']:.2f} |")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if peak * 1024**3 >= MEMORY:
        sys.exit(f"more than 4 GiB: {peak:.2f}")


if __name__ == "__main__":
    main()
