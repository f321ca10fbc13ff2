"""Poses of images in a JSON file, by name of the image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.composed_name import composed_name
from napari_landmark.data.files.json_file import read_json_object, write_json_object

POSES = "poses.json"
_VERSION = 1


def write_poses(path: Path, poses: Mapping[str, Pose]) -> None:
    """Write the poses of images, whole or not at all; upright ones are left out."""
    turned = {name: pose.to_json() for name, pose in sorted(poses.items()) if not pose.is_upright}
    write_json_object(path, {"version": _VERSION, "images": turned}, indent=None)


def read_poses(path: Path, dims: int) -> dict[str, Pose]:
    """Poses that `write_poses` wrote, by name; empty where there is no file.

    Raises
    ------
    InputError
        The file is damaged, of a later version, or of images with another number of axes.
    """
    try:
        content = read_json_object(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    images = content.get("images")
    if content.get("version") != _VERSION or not isinstance(images, dict):
        raise InputError(f"{path}: holds no poses of this version: remove it, and poses are searched again")
    poses = {}
    for name, data in images.items():
        try:
            pose = Pose.from_json(data)
        except InputError as error:
            raise InputError(
                f"{path}: {name}: {error}: remove the file, and poses are searched again"
            ) from error
        if pose.ndim != dims:
            raise InputError(f"{path}: {name}: a pose of {pose.ndim} axes: remove the file")
        poses[composed_name(name)] = pose
    return poses
