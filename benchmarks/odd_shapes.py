"""Odd shapes: time of the comparison by the size of a cohort, and how often exchanged landmarks are named.

Run: ``python benchmarks/odd_shapes.py [--landmarks CSV]``. Shapes are drawn; with a file of real landmarks each pair of
them is exchanged in one image at a time, too. Seconds are those of the processor.
"""

from __future__ import annotations

import argparse
import time
from itertools import combinations
from pathlib import Path

import numpy as np

from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.shape.configurations import Configurations
from napari_landmark.shape.outliers import find_shape_outliers


def drawn(count: int, landmarks: int, axes: int, seed: int = 0) -> np.ndarray:
    """Shapes with independent scatter of 1% of their size, one in a hundred with two landmarks exchanged."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(-1, 1, (landmarks, axes))
    mean /= np.linalg.norm(mean - mean.mean(0))
    positions = mean + 0.01 * rng.normal(size=(count, landmarks, axes))
    for row in range(0, count, 100):
        pair = rng.choice(landmarks, 2, replace=False)
        positions[row, pair] = positions[row, pair[::-1]]
    return 500 * positions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--landmarks", type=Path, help="landmark file of real shapes")
    given = parser.parse_args()
    print(f"{'images':>8}{'landmarks':>11}{'axes':>6}{'seconds':>9}{'exchanged':>11}{'named':>7}")
    for count, landmarks, axes in (
        (100, 19, 2),
        (1000, 19, 2),
        (10_000, 19, 2),
        (10_000, 70, 2),
        (1000, 45, 3),
    ):
        positions = drawn(count, landmarks, axes)
        begin = time.process_time()
        found = find_shape_outliers(positions)
        seconds = time.process_time() - begin
        print(
            f"{count:>8}{landmarks:>11}{axes:>6}{seconds:>9.2f}{len(range(0, count, 100)):>11}{len(found.exchanges):>7}"
        )
    if given.landmarks is not None:
        shapes = Configurations.from_landmarks(read_landmarks(given.landmarks)).complete()
        rng, first, named = np.random.default_rng(0), 0, 0
        pairs = list(combinations(range(len(shapes.names)), 2))
        for pair in pairs:
            positions, row = shapes.positions.copy(), int(rng.integers(len(shapes)))
            positions[row, list(pair)] = positions[row, list(pair[::-1])]
            found = find_shape_outliers(positions)
            first += int(found.order[0] == row)
            named += [(e.first, e.second) for e in found.exchanges.get(row, ())] == [pair]
        print(
            f"{given.landmarks.name}: of {len(pairs)} exchanged pairs {first} first in the list, {named} named"
        )


if __name__ == "__main__":
    main()
