"""Planes of a volume: where a person sees which side of the patient."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.planes import orthogonal_planes

SHAPE = (5, 6, 7)
# Far ends of the patient in the world [z, y, x], in mm.
ENDS = {
    "S": (100, 0, 0),
    "I": (-100, 0, 0),
    "P": (0, 100, 0),
    "A": (0, -100, 0),
    "L": (0, 0, 100),
    "R": (0, 0, -100),
}
# What is at the top, bottom, left and right in the radiological convention.
EDGES = {"axial": "APRL", "coronal": "SIRL", "sagittal": "SIAP"}


def volume(direction, spacing=(2.0, 1.0, 0.5)) -> Geometry:
    return Geometry(
        SHAPE, spacing, direction=tuple(map(tuple, np.asarray(direction, float))), is_anatomical=True
    )


def signed_permutations():
    return st.tuples(st.permutations(range(3)), st.tuples(*[st.sampled_from([-1, 1])] * 3)).map(
        lambda given: np.eye(3)[list(given[0])] * given[1]
    )


@given(signed_permutations())
def test_sides_of_the_patient_are_where_radiologists_expect_them_however_the_file_stores_them(direction):
    geometry = volume(direction)
    for plane, (name, edges) in zip(orthogonal_planes(geometry), EDGES.items(), strict=True):
        assert plane.name == name and plane.letters == tuple(edges) and not plane.is_oblique
        middle = (np.array(SHAPE) - 1) / 2
        row, column = plane.to_plane(middle)[0]
        for letter, step in zip(edges, ((-1, 0), (1, 0), (0, -1), (0, 1)), strict=True):
            moved = plane.to_index(row + step[0], column + step[1], middle[plane.axis])
            towards = geometry.to_world([moved])[0] - geometry.to_world([middle])[0]
            assert towards @ ENDS[letter] > 0.99 * 100 * np.linalg.norm(towards)


@given(signed_permutations(), st.tuples(*[st.integers(0, n - 1) for n in SHAPE]))
def test_a_voxel_is_drawn_where_its_position_says(direction, voxel):
    array = np.zeros(SHAPE)
    array[voxel] = 1
    for plane in orthogonal_planes(volume(direction)):
        row, column = plane.to_plane(voxel)[0]
        shown = plane.slice(array, voxel[plane.axis])
        assert shown.shape == plane.shape
        assert shown[int(row), int(column)] == 1 and shown.sum() == 1
        assert plane.to_index(row, column, voxel[plane.axis]) == voxel


def test_spacing_goes_with_the_axes():
    axial, coronal, sagittal = orthogonal_planes(volume(np.eye(3)))
    assert (axial.spacing, coronal.spacing, sagittal.spacing) == ((1.0, 0.5), (2.0, 0.5), (2.0, 1.0))
    unknown = Geometry(SHAPE, is_anatomical=True)
    assert orthogonal_planes(unknown)[0].spacing == (1.0, 1.0)


def test_an_oblique_volume_says_so():
    turn = Rotation.from_euler("x", 30, degrees=True).as_matrix()  # about z, the first axis here
    axial, coronal, _ = orthogonal_planes(volume(turn))
    assert axial.title == "Axial"  # turned within itself
    assert axial.letters == ("AR", "PL", "RP", "LA")
    assert coronal.title == "Coronal, oblique by 30°"
    assert [letters[0] for letters in axial.letters] == list("APRL")  # the main one first


def test_rounding_in_a_header_is_not_oblique():
    turn = Rotation.from_euler("xyz", [0.2, 0.1, -0.1], degrees=True).as_matrix()
    for plane in orthogonal_planes(volume(turn)):
        assert not plane.is_oblique and all(len(letters) == 1 for letters in plane.letters)


@given(st.integers(0, 10_000))
def test_each_plane_has_an_axis_of_its_own_in_any_rotation(seed):
    planes = orthogonal_planes(volume(Rotation.random(random_state=seed).as_matrix()))
    assert sorted(plane.axis for plane in planes) == [0, 1, 2]
    for plane in planes:
        assert {plane.axis, plane.row_axis, plane.column_axis} == {0, 1, 2}
        assert all(plane.letters)


def test_without_a_known_pose_nothing_is_called_left():
    planes = orthogonal_planes(dataclasses.replace(volume(-np.eye(3)), is_anatomical=False))
    assert [plane.title for plane in planes] == ["Z", "Y", "X"]
    assert all(plane.letters == ("", "", "", "") and not plane.is_oblique for plane in planes)
    assert all(not plane.row_flipped and not plane.column_flipped for plane in planes)


def test_a_picture_has_none():
    with pytest.raises(InputError, match="open a volume"):
        orthogonal_planes(Geometry((5, 5)))
