"""Geometric morphometrics: shapes, sizes and components of a cohort, with files for MorphoJ, geomorph and tpsDig.

Two groups of drawn hands of different size; the second has a longer middle finger.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from napari_landmark import Geometry, LandmarkSet
from napari_landmark.data.formats.registry import write_landmarks
from napari_landmark.shape.analysis import ShapeAnalysis, analyse_shapes
from napari_landmark.shape.configurations import Configurations
from napari_landmark.shape.tables import write_shape_tables
from napari_landmark.synthetic import SCHEMA, hand_phantom

SPACING = 0.5  # mm
GROUP = 8  # hands


def draw() -> dict[str, LandmarkSet]:
    """Landmarks of both groups by name of the image."""
    tip, base = SCHEMA.index("middle_tip"), SCHEMA.index("middle_mcp")
    found = {}
    for seed in range(2 * GROUP):
        positions = hand_phantom(seed).landmarks.positions(2)
        if seed >= GROUP:
            positions[tip] += 0.25 * (positions[tip] - positions[base])
            positions *= 1.1
        found[f"{'ab'[seed >= GROUP]}_{seed:02d}.png"] = LandmarkSet.from_array(SCHEMA, positions)
    return found


def main(folder: Path) -> ShapeAnalysis:
    """Analyse the shapes and write tables into a folder."""
    landmarks = draw()
    analysis = analyse_shapes(Configurations.from_landmarks(landmarks, spacing=SPACING))
    sizes = analysis.superimposition.centroid_sizes
    print(f"centroid size: {np.mean(sizes[:GROUP]):.1f} and {np.mean(sizes[GROUP:]):.1f} mm")
    shares = ", ".join(f"{share:.0%}" for share in analysis.components.shares[:3])
    print(f"shares of the first components: {shares}")
    for path in write_shape_tables(folder / "tables", analysis):
        print(f"written: {path.name}")
    # tpsDig counts from the bottom of an image, for which its size is needed.
    geometries = {name: Geometry(hand_phantom(0).image.array.shape, (SPACING, SPACING)) for name in landmarks}
    for name in ("hands.morphoj.txt", "hands.tps", "hands.wide.csv"):
        write_landmarks(folder / name, landmarks, geometries=geometries)
    return analysis


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
