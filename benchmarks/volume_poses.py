"""Poses of mouse heads: rotation found without landmarks, against that of the best rigid fit of the true landmarks.

    python benchmarks/volume_poses.py --data DIR

DIR holds `images` and `landmarks.csv`. The first head by name is the template; the pose of each is searched in the
atlas of its landmarks, as a training and a detection do. The template itself is one of the heads: its rotation is 0.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.cohort.isotropic_grid import isotropic_transform, smallest_cell
from napari_landmark.data.cohort.working_grid import resample
from napari_landmark.data.formats.landmark_csv import read_csv
from napari_landmark.data.images.image import read_image
from napari_landmark.detection.volumes.alignment import find_pose
from napari_landmark.detection.volumes.atlas import Atlas
from napari_landmark.detection.volumes.pyramid import Pyramid
from napari_landmark.learning.rotations import rotation_angle


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args().data
    truth = read_csv(folder / "landmarks.csv")
    files = [(name, path) for name, path in image_files(folder / "images")[0] if name in truth]
    atlas, template = None, np.empty(0)
    off, turns, seconds = [], [], []
    print("| head | rotation, degrees | off by | correlation |")
    print("|---|---|---|---|")
    for name, path in files:
        image = read_image(path, name=name)
        cell = smallest_cell(image.geometry) if atlas is None else atlas.volume.cell
        transform = isotropic_transform(image.geometry, cell)
        volume = Pyramid(resample(image, transform), cell)
        positions = transform.to_working(truth[name].positions(3)) * cell
        if atlas is None:
            atlas, template = Atlas.from_annotation(volume, torch.from_numpy(positions).float()), positions
        started = time.process_time()
        found = find_pose(atlas, volume)
        seconds.append(time.process_time() - started)
        fitted = rigid_rotation(template, positions)
        u, _, vt = np.linalg.svd(found.poses.matrices[0].double().numpy())
        off.append(rotation_angle(u @ vt, fitted))
        turns.append(rotation_angle(np.eye(3), fitted))
        print(f"| {name} | {turns[-1]:.0f} | {off[-1]:.1f} | {float(found.correlation[0]):.2f} |", flush=True)
    print(
        f"\n{len(off)} heads, turned by {min(turns[1:]):.0f} to {max(turns):.0f} degrees: off by {np.median(off):.1f} "
        f"in the median, {max(off):.1f} at most; {sum(angle < 10 for angle in off)} within 10 degrees; "
        f"{np.mean(seconds):.1f} s a head (processor time)"
    )


def rigid_rotation(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) of the least-squares rigid fit of landmarks (n, 3) known in both."""
    known = ~np.isnan(source + target).any(1)
    centred = [points[known] - points[known].mean(0) for points in (source, target)]
    return Rotation.align_vectors(centred[1], centred[0])[0].as_matrix()


if __name__ == "__main__":
    main()
