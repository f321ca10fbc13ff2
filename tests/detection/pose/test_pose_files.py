from __future__ import annotations

import json

import numpy as np
import pytest

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.errors import InputError
from napari_landmark.detection.pose.pose_file import read_poses, write_poses
from napari_landmark.detection.pose.pose_table import pose_table_path, write_pose_table

MIRRORED = Pose(2 * np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0.1, -1 / 3]), True)


class TestPoseFile:
    def test_what_is_written_is_read(self, tmp_path):
        write_poses(tmp_path / "poses.json", {"b.png": MIRRORED, "a.png": Pose.upright(2)})
        assert read_poses(tmp_path / "poses.json", 2) == {"b.png": MIRRORED}

    def test_no_file_is_no_pose(self, tmp_path):
        assert read_poses(tmp_path / "poses.json", 2) == {}

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "[1]",
            "{}",
            '{"version": 2, "images": {}}',
            '{"version": 1, "images": []}',
            '{"version": 1, "images": {"a": 3}}',
            json.dumps({"version": 1, "images": {"a": Pose.of_rotation(np.eye(3) * 2).to_json()}}),
            "[" * 100_000,
        ],
    )
    def test_a_damaged_file_is_named(self, tmp_path, content):
        path = tmp_path / "poses.json"
        path.write_text(content)
        with pytest.raises(InputError, match=r"poses\.json"):
            read_poses(path, 2)


def test_table(tmp_path):
    path = pose_table_path(tmp_path / "found.csv")
    assert path.name == "found.poses.csv"
    write_pose_table(path, {"=a.png": MIRRORED, "b.png": Pose.upright(2)})
    assert path.read_text().splitlines() == [
        "image,mirrored,rotation_degrees,scale,inverted",
        "'=a.png,yes,90,2,yes",
        "b.png,no,0,1,no",
    ]
