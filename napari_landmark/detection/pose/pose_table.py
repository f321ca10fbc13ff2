"""Table of the poses of images, one row each, for people and other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.files.csv_table import guarded_name, unguarded_name
from napari_landmark.data.files.small_file import read_small_text
from napari_landmark.data.images.dicom_view import NO_VIEW, StatedView

POSE_TABLE = "poses.csv"
_HEADER = (
    *("image", "mirrored", "rotation_degrees", "scale", "inverted"),
    *("stated_laterality", "stated_view"),
)
_TOLD_ANGLE = 20.0  # degrees; smaller ones are usual in upright images


@dataclass(frozen=True)
class TabledPose:
    """Row of a table: pose of an image, and the side and view that its header states.

    Parameters
    ----------
    mirrored, inverted : bool
    rotation : float
        Degrees, counterclockwise, after the reflection.
    view : StatedView
    """

    mirrored: bool
    rotation: float
    inverted: bool
    view: StatedView

    @property
    def in_words(self) -> str:
        """A line for people; empty of an upright image whose header states nothing.

        Examples
        --------
        >>> TabledPose(True, 90.0, False, StatedView("L", "PA")).in_words
        'mirror image, turned by 90°; its header states side L, view PA'
        """
        turned = abs(self.rotation) >= _TOLD_ANGLE
        found = [
            *(["mirror image"] if self.mirrored else []),
            *([f"turned by {self.rotation:.0f}°"] if turned else []),
            *(["negative"] if self.inverted else []),
        ]
        side, position = self.view.laterality, self.view.position
        stated = [*([f"side {side}"] if side else []), *([f"view {position}"] if position else [])]
        header = f"its header states {', '.join(stated)}" if stated else ""
        return "; ".join(part for part in (", ".join(found), header) if part)


def pose_table_path(table: Path) -> Path:
    """Path of the table of poses beside a table of landmarks: `x.csv` gets `x.poses.csv`."""
    return table.with_name(f"{table.stem}.{POSE_TABLE}")


def write_pose_table(
    path: Path, poses: Mapping[str, Pose], views: Mapping[str, StatedView] | None = None
) -> None:
    """Write the poses of images by name, whole or not at all.

    The rotation is that of the image relative to the template, counterclockwise; it follows the reflection. The scale
    is that of the content relative to the template's: 0.5 where it is shown at half the size.

    Parameters
    ----------
    path : Path
    poses : mapping of str to Pose
    views : mapping of str to StatedView, optional
        Side and view that the headers state. They stand beside the poses for comparison; nothing follows from them.
    """
    _write(path, {name: _row(name, pose, (views or {}).get(name, NO_VIEW)) for name, pose in poses.items()})


def update_pose_table(
    path: Path, poses: Mapping[str, Pose], views: Mapping[str, StatedView] | None = None
) -> None:
    """Replace or add the rows of some images in a table; the other rows stay as they are.

    A file that is no such table is replaced. Parameters are those of `write_pose_table`.
    """
    new = {name: _row(name, pose, (views or {}).get(name, NO_VIEW)) for name, pose in poses.items()}
    _write(path, _read(path) | new)


def read_pose_table(path: Path) -> dict[str, TabledPose]:
    """Rows of a table by name of the image; none of a missing or damaged file, which the next detection replaces."""
    found = {}
    for name, (_, mirrored, rotation, _, inverted, side, position) in _read(path).items():
        with suppress(ValueError):
            view = StatedView(unguarded_name(side), unguarded_name(position))
            found[name] = TabledPose(mirrored == "yes", float(rotation), inverted == "yes", view)
    return found


def _row(name: str, pose: Pose, view: StatedView) -> tuple[str, ...]:
    mirrored, inverted = ("yes" if value else "no" for value in (pose.is_mirrored, pose.inverted))
    size = (f"{round(pose.angle, 1) + 0.0:g}", f"{pose.scale:.3g}")
    return (
        guarded_name(name),
        mirrored,
        *size,
        inverted,
        guarded_name(view.laterality),
        guarded_name(view.position),
    )


def _read(path: Path) -> dict[str, tuple[str, ...]]:
    """Rows of a table by the name of the image; none of a missing or another file, older ones filled up."""
    try:
        rows = list(csv.reader(io.StringIO(read_small_text(path), newline="")))
    except (OSError, InputError, UnicodeDecodeError, csv.Error):
        return {}
    if not rows or tuple(rows[0]) != _HEADER[: len(rows[0])]:
        return {}
    kept = (tuple([*row, *[""] * len(_HEADER)][: len(_HEADER)]) for row in rows[1:] if row)
    return {unguarded_name(row[0]): row for row in kept}


def _write(path: Path, rows: Mapping[str, tuple[str, ...]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    writer.writerows(rows.values())
    atomic_write(path, text.getvalue())
