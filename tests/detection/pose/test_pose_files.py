from __future__ import annotations

import json

import numpy as np
import pytest

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.errors import InputError
from napari_landmark.data.images.dicom_view import StatedView
from napari_landmark.detection.pose.pose_file import read_poses, write_poses
from napari_landmark.detection.pose.pose_table import (
    POSE_TABLE,
    TabledPose,
    pose_table_path,
    read_pose_table,
    update_pose_table,
    write_pose_table,
)

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
    views = {"b.png": StatedView("L", "=PA")}
    write_pose_table(path, {"=a.png": MIRRORED, "b.png": Pose.upright(2)}, views)
    assert path.read_text().splitlines() == [
        "image,mirrored,rotation_degrees,scale,inverted,stated_laterality,stated_view",
        "'=a.png,yes,90,2,yes,,",
        "b.png,no,0,1,no,L,'=PA",
    ]


def test_some_rows_of_a_table_are_replaced_and_the_others_stay(tmp_path):
    path = tmp_path / POSE_TABLE
    update_pose_table(path, {"=a.png": MIRRORED, "b.png": Pose.upright(2), "c,d.png": MIRRORED})
    before = path.read_text().splitlines()
    update_pose_table(path, {"b.png": MIRRORED, "e.png": Pose.upright(2)}, {"b.png": StatedView("R")})
    assert path.read_text().splitlines() == [
        *before[:2],
        "b.png,yes,90,2,yes,R,",
        before[3],
        "e.png,no,0,1,no,,",
    ]


def test_a_table_of_an_older_version_is_filled_up_and_another_file_replaced(tmp_path):
    path = tmp_path / POSE_TABLE
    path.write_text("image,mirrored,rotation_degrees,scale,inverted\nold.png,yes,90,2,no\n")
    update_pose_table(path, {"new.png": Pose.upright(2)})
    assert path.read_text().splitlines()[1:] == ["old.png,yes,90,2,no,,", "new.png,no,0,1,no,,"]
    path.write_bytes(b"\xff\xfe\0something else")
    update_pose_table(path, {"new.png": Pose.upright(2)})
    assert path.read_text().splitlines()[1:] == ["new.png,no,0,1,no,,"]


def test_rows_are_read_as_they_were_written_and_told_in_words(tmp_path):
    path = tmp_path / POSE_TABLE
    assert read_pose_table(path) == {}
    write_pose_table(
        path,
        {"=a.png": MIRRORED, "b.png": Pose.upright(2), "c.png": Pose.upright(2)},
        {"b.png": StatedView("L", "=PA")},
    )
    rows = read_pose_table(path)
    assert {name: row.in_words for name, row in rows.items()} == {
        "=a.png": "mirror image, turned by 90°, negative",
        "b.png": "its header states side L, view =PA",
        "c.png": "",
    }
    path.write_text(path.read_text().replace(",90,", ",far,"))
    assert list(read_pose_table(path)) == ["b.png", "c.png"]


def test_a_slight_rotation_is_not_told():
    assert TabledPose(False, -12.0, False, StatedView()).in_words == ""
    assert TabledPose(False, -91.0, False, StatedView()).in_words == "turned by -91°"
