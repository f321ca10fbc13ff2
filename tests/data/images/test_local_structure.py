"""Most certain directions on drawn edges, with spacings, and carried into rotated and mirrored images."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.images.local_structure import certain_directions
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet


def edge(angle, *, spacing=None, shape=(250, 250)):
    """Image of a soft edge through its centre whose normal has that angle from the first axis, in mm."""
    steps = spacing or (1.0,) * len(shape)
    y, x = ((np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, steps, strict=True))
    across = np.cos(angle) * y[:, None] + np.sin(angle) * x[None]
    array = (1000 / (1 + np.exp(-across / 1.5))).astype(np.uint16)
    return MedicalImage(array, Geometry(shape, spacing), "edge.png")


def marks(*positions):
    return LandmarkSet.from_array(LandmarkSchema(tuple("abcdef"[: len(positions)])), positions)


@pytest.mark.parametrize("angle", [0, 0.4, 1.3, 2.5])
@pytest.mark.parametrize("spacing", [None, (0.5, 1.0)])
def test_across_an_edge(angle, spacing):
    found = certain_directions(edge(angle, spacing=spacing), marks((124.5, 124.5)))
    assert abs(found.directions[0] @ (np.cos(angle), np.sin(angle))) > 0.995
    assert found.coherence[0] > 0.9


def test_a_disc_has_no_direction_and_a_flat_area_none_at_all():
    y, x = np.mgrid[:250, :250]
    image = MedicalImage(
        np.exp(-((y - 100) ** 2 + (x - 100) ** 2) / 8.0).astype(np.float32), Geometry((250, 250)), "disc.png"
    )
    found = certain_directions(image, marks((100, 100), (220, 220), (np.nan, np.nan)))
    assert found.coherence[0] < 0.01
    assert np.isnan(found.directions[1:]).all()


def test_at_the_border_of_the_image():
    assert abs(certain_directions(edge(0), marks((124.5, 0))).directions[0, 0]) > 0.99


@pytest.mark.parametrize("mirrored", [False, True])
def test_carried_as_the_landmarks_are_rotated(mirrored):
    corners = np.array([(100, 124.5), (124.5, 100), (140, 150), (124.5, 124.5)])
    found = certain_directions(edge(0.4), marks(*corners))
    turn = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    if mirrored:
        turn = turn @ np.diag([1, -1])
    carried = found.in_image(1.3 * corners @ turn.T + (5, 9))
    expected = turn @ (np.cos(0.4), np.sin(0.4))
    assert abs(carried[3] @ expected) > 0.995


def test_of_too_few_landmarks_as_they_are():
    found = certain_directions(edge(0.4), marks((124.5, 124.5), (100, 100)))
    assert np.array_equal(
        found.in_image(np.array([(0.0, 0.0), (9.0, 1.0)])), found.directions, equal_nan=True
    )


def test_a_picture_and_landmarks_of_a_volume():
    with pytest.raises(InputError, match=r"edge\.png: landmarks of 3 coordinates"):
        certain_directions(edge(0), marks((1, 2, 3)))
