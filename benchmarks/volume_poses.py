"""Poses of volumes found by an atlas: each volume in random rotations, in wider and in narrower fields of view.

    python benchmarks/volume_poses.py --data DIR [--rotations 10] [--count N] [--every 1]
                                      [--others [WORD ...]] [--seed 0]

DIR holds `images` and `landmarks.csv`; the first volume by name is the template. Every volume, the template too, is
shown in so many random rotations: a third as it is, a third in a larger field of view that is filled with a block of
another volume, a third cropped by up to 16% a side. A pose is found where its rotation is within 10 degrees of the
best rigid fit of the landmarks and they are within 15% of their radius; a lost one is named where its agreement is
below what a model accepts. `--others` shows the same to other programs of registration (`pose_baselines`), from their
own initialization. Prints one line a program and kind, and the lost ones.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pose_baselines import Affine, installed
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.cohort.isotropic_grid import isotropic_transform, smallest_cell
from napari_landmark.data.cohort.working_grid import resample
from napari_landmark.data.formats.landmark_csv import read_csv
from napari_landmark.data.images.image import read_image
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.detection.model.volume_model import LEAST_AGREEMENT
from napari_landmark.detection.volumes.alignment import find_pose
from napari_landmark.detection.volumes.atlas import Atlas
from napari_landmark.detection.volumes.pyramid import Pyramid
from napari_landmark.learning.rotations import rotation_angle

KINDS = ("as it is", "wider", "cropped")
_MOST_DEGREES = 10.0
_MOST_OFF = 0.15  # of the radius of the landmarks
_MOST_CROPPED = 0.16  # of a side
_WIDER = (1.15, 1.5)  # sides of a wider field of view, relative to the volume


class Volume(NamedTuple):
    """Volume on cubic cells with its landmarks, in cells."""

    array: NDArray[np.float32]
    landmarks: NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rotations", type=int, default=10, help="of each volume")
    parser.add_argument("--count", type=int, help="volumes; all if not given")
    parser.add_argument("--every", type=int, default=1, help="show every so many of these only")
    parser.add_argument("--others", nargs="*", help="other programs, by the beginning of their names")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    truth = read_csv(arguments.data / "landmarks.csv")
    files = {name: path for name, path in image_files(arguments.data / "images")[0] if name in truth}
    names = list(files)[: arguments.count]
    cell = smallest_cell(read_image(files[names[0]]).geometry)
    volumes = [load(files[name], truth[name], cell) for name in names]
    searches: dict[str, Search] = {"alignment": Alignments(volumes, cell)}
    for program, register in installed().items() if arguments.others is not None else ():
        if program.startswith(tuple(arguments.others or [""])):
            searches[program] = partial(registered, register, volumes[0].array)
    counts = {program: {kind: np.zeros(4, int) for kind in KINDS} for program in searches}
    seconds, lowest = dict.fromkeys(searches, 0.0), dict.fromkeys(searches, np.inf)
    shows = list(itertools.product(range(len(volumes)), range(arguments.rotations)))[:: arguments.every]
    for number, turn in shows:
        generator = np.random.default_rng([arguments.seed, number, turn])
        kind = KINDS[turn % len(KINDS)]
        other = volumes[(number + 1 + turn) % len(volumes)]
        shown = change(volumes[number], other, kind, generator)
        for program, search in searches.items():
            started = time.process_time()
            found = search(shown.array)
            seconds[program] += time.process_time() - started
            degrees, off = deviation(volumes[0].landmarks, found, shown.landmarks)
            lost = degrees > _MOST_DEGREES or off > _MOST_OFF
            refused = found.agreement < LEAST_AGREEMENT
            # shown, lost, lost and named, found but refused
            counts[program][kind] += (1, lost, lost and refused, refused and not lost)
            if not lost:
                lowest[program] = min(lowest[program], found.agreement)
            if lost or refused:
                print(
                    f"{program}: {names[number]}, rotation {turn}, {kind}: {degrees:.0f} degrees, {off:.2f} of "
                    f"the radius, agreement {found.agreement:.2f} of the usual one",
                    flush=True,
                )
    print("| program | field of view | shown | lost | of these named | found but refused | s a pose (CPU) |")
    print("|---|---|---|---|---|---|---|")
    for program, rows in counts.items():
        for kind, row in rows.items():
            print(
                f"| {program} | {kind} | {' | '.join(map(str, row))} | {seconds[program] / len(shows):.1f} |"
            )
    print(f"\nlowest agreement of a found pose {lowest['alignment']:.2f} of the usual one")


class Found(NamedTuple):
    """Affine map x -> matrix @ x + offset from the template to a volume, in cells."""

    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]
    agreement: float
    """Relative to the usual one; NaN where a program does not tell."""


Search = Callable[[NDArray[np.float32]], Found]


class Alignments:
    """Search of poses by an atlas of the first volume.

    Parameters
    ----------
    volumes : sequence of Volume
        As they are; the agreement that is usual is the median over all but the first.
    cell : float
    """

    def __init__(self, volumes: Sequence[Volume], cell: float) -> None:
        first = volumes[0]
        landmarks = torch.from_numpy(first.landmarks * cell).float()
        self._cell, self._usual = cell, 1.0
        self._atlas = Atlas.from_annotation(Pyramid(first.array, cell), landmarks)
        self._usual = float(np.median([self(volume.array).agreement for volume in volumes[1:]]))

    def __call__(self, array: NDArray[np.float32]) -> Found:
        pose = find_pose(self._atlas, Pyramid(array, self._cell))
        matrix = pose.poses.matrices[0].double().numpy()
        centre, shift = (v.double().numpy() / self._cell for v in (self._atlas.centre, pose.poses.shifts[0]))
        return Found(matrix, shift - matrix @ centre, float(pose.correlation[0]) / self._usual)


def registered(
    register: Callable[..., Affine], template: NDArray[np.float32], array: NDArray[np.float32]
) -> Found:
    """Pose by another program, which does not tell how sure it is."""
    return Found(*register(template, array), float("nan"))


def load(path: Path, landmarks: LandmarkSet, cell: float) -> Volume:
    image = read_image(path)
    transform = isotropic_transform(image.geometry, cell)
    return Volume(
        np.asarray(resample(image, transform), np.float32), transform.to_working(landmarks.positions(3))
    )


def change(volume: Volume, other: Volume, kind: str, generator: np.random.Generator) -> Volume:
    """The volume in a random rotation, in a field of view of a kind."""
    turned = rotate(volume, Rotation.random(random_state=generator).as_matrix())
    if kind == "wider":
        return widen(turned, rotate(other, Rotation.random(random_state=generator).as_matrix()), generator)
    if kind == "cropped":
        sides = np.array(turned.array.shape)
        first = np.floor(sides * generator.uniform(0, _MOST_CROPPED, 3)).astype(int)
        last = sides - np.floor(sides * generator.uniform(0, _MOST_CROPPED, 3)).astype(int)
        array = turned.array[tuple(map(slice, first, last))]
        return Volume(np.ascontiguousarray(array), turned.landmarks - first)
    return turned


def rotate(volume: Volume, rotation: NDArray[np.float64]) -> Volume:
    """The volume about its centre, cut to a cube around what had structure: its own sides do not tell the rotation."""
    shape = np.array(volume.array.shape)
    sides = np.full(3, int(np.ceil(np.mean(shape) * 1.15)))
    middle, new_middle = (shape - 1) / 2, (sides - 1) / 2
    array = ndimage.affine_transform(
        volume.array, rotation.T, middle - rotation.T @ new_middle, tuple(sides), order=1
    )
    return Volume(array, (volume.landmarks - middle) @ rotation.T + new_middle)


def widen(volume: Volume, other: Volume, generator: np.random.Generator) -> Volume:
    """The volume somewhere in a larger field of view, with a random block of another one beside it."""
    sides = np.array(volume.array.shape)
    larger = np.ceil(sides * generator.uniform(*_WIDER, 3)).astype(int)
    first = np.floor((larger - sides) * generator.uniform(0, 1, 3)).astype(int)
    array = np.zeros(larger, np.float32)
    axis = int((larger - sides).argmax())
    # The block fills the wider of the two gaps along the axis that grew most.
    below, above = first[axis], larger[axis] - first[axis] - sides[axis]
    start, length = (0, below) if below >= above else (first[axis] + sides[axis], above)
    block = [slice(0, side) for side in larger]
    block[axis] = slice(start, start + length)
    wanted = [
        min(piece.stop - piece.start, side) for piece, side in zip(block, other.array.shape, strict=True)
    ]
    corner = [
        int(generator.integers(0, side - n + 1)) for n, side in zip(wanted, other.array.shape, strict=True)
    ]
    place = tuple(slice(piece.start, piece.start + n) for piece, n in zip(block, wanted, strict=True))
    array[place] = other.array[tuple(slice(c, c + n) for c, n in zip(corner, wanted, strict=True))]
    array[tuple(map(slice, first, first + sides))] = volume.array
    return Volume(array, volume.landmarks + first)


def deviation(template: NDArray[np.float64], found: Found, truth: NDArray[np.float64]) -> tuple[float, float]:
    """Degrees between a pose and the best rigid fit of the landmarks, and mean distance relative to their radius.

    Parameters
    ----------
    template, truth : (n, 3) array
        Landmarks in template and volume, in cells; NaN where unknown.
    """
    known = ~np.isnan(template + truth).any(1)
    template, truth = template[known], truth[known]
    arms = template - (template.min(0) + template.max(0)) / 2
    fit, _ = Rotation.align_vectors(truth - truth.mean(0), arms - arms.mean(0))
    left, _, right = np.linalg.svd(found.matrix)
    off = np.linalg.norm(template @ found.matrix.T + found.offset - truth, axis=1).mean()
    return rotation_angle(fit.as_matrix(), left @ right), float(off / np.linalg.norm(arms, axis=1).max())


if __name__ == "__main__":
    sys.exit(main())
