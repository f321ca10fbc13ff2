from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.formats.morphoj import unit_note
from napari_landmark.data.formats.registry import read_landmarks, write_landmarks
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet

SCHEMA = LandmarkSchema(("tip", "base"))
MARKS = {f"{n}.png": LandmarkSet.from_array(SCHEMA, [[10, 20 + n], [30, 5]]) for n in range(2)}


def rows(path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text().splitlines()]


def test_y_points_upwards_in_pixels(tmp_path):
    path = tmp_path / "a.morphoj.txt"
    write_landmarks(path, MARKS)
    assert rows(path) == [
        ["id", "x1", "y1", "x2", "y2"],
        ["0.png", "20.0", "-10.0", "5.0", "-30.0"],
        ["1.png", "21.0", "-10.0", "5.0", "-30.0"],
    ]
    assert "pixels" in unit_note(MARKS)


def test_millimetres_where_all_are_known(tmp_path):
    path = tmp_path / "a.morphoj.txt"
    geometries = {image: Geometry((50, 50), (0.5, 0.1)) for image in MARKS}
    write_landmarks(path, MARKS, geometries=geometries)
    np.testing.assert_allclose([float(cell) for cell in rows(path)[1][1:]], [2, -5, 0.5, -15])
    assert unit_note(MARKS, geometries=geometries) == ""
    del geometries["1.png"]
    with pytest.raises(InputError, match=r"spacing of 1.png is not known") as caught:
        write_landmarks(path, MARKS, geometries=geometries)
    assert caught.value.code is ErrorCode.NEEDS_SPACING


def test_volumes_have_three_coordinates(tmp_path):
    path = tmp_path / "a.morphoj.txt"
    marks = {"a.nii": LandmarkSet.from_array(SCHEMA, [[1, 2, 3], [4, 5, 6]])}
    write_landmarks(path, marks)
    assert rows(path)[1] == ["a.nii", "3.0", "2.0", "1.0", "6.0", "5.0", "4.0"]


def test_a_missing_landmark_is_named(tmp_path):
    marks = MARKS | {"2.png": LandmarkSet(SCHEMA, [Landmark("tip", (1, 2), "placed")])}
    with pytest.raises(InputError, match=r"2\.png: landmark 'base' has no position"):
        write_landmarks(tmp_path / "a.morphoj.txt", marks)
    assert not list(tmp_path.iterdir())


def test_it_is_not_read(tmp_path):
    with pytest.raises(InputError, match="can only be written"):
        read_landmarks(tmp_path / "a.morphoj.txt")
