"""Table of the poses of images, one row each, for people and other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.files.csv_table import guarded_name

POSE_TABLE = "images.csv"
_HEADER = ("image", "mirrored", "rotation_degrees", "scale", "inverted")


def pose_table_path(table: Path) -> Path:
    """Path of the table of poses beside a table of landmarks: `x.csv` gets `x.images.csv`."""
    return table.with_name(f"{table.stem}.{POSE_TABLE}")


def write_pose_table(path: Path, poses: Mapping[str, Pose]) -> None:
    """Write the poses of images by name, whole or not at all.

    The rotation is that of the image relative to the template, counterclockwise; it follows the reflection. The scale
    is that of the content relative to the template's: 0.5 where it is shown at half the size.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    for name, pose in poses.items():
        mirrored, inverted = ("yes" if value else "no" for value in (pose.is_mirrored, pose.inverted))
        row = (f"{round(pose.angle, 1) + 0.0:g}", f"{pose.scale:.3g}")
        writer.writerow((guarded_name(name), mirrored, *row, inverted))
    atomic_write(path, text.getvalue())
