"""Alignment of two images by their headers."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.registration.pairwise.header_alignment import header_alignment

FLIPPED = ((-1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0))
TURNED = ((0, 0, 1.0), (0, 1.0, 0), (1.0, 0, 0))


def test_overlapping_worlds_coincide():
    fixed = Geometry((20, 30), spacing=(1, 1))
    moving = Geometry((40, 40), spacing=(0.5, 1), origin=(5, 0))
    transform = header_alignment(fixed, moving)
    np.testing.assert_allclose(transform.to_moving([[6, 7]]), [[2, 7]], atol=1e-4)


@pytest.mark.parametrize(
    ("fixed", "moving"),
    [
        (Geometry((20, 30)), Geometry((40, 45))),
        (Geometry((20, 30), spacing=(2, 2)), Geometry((40, 45))),
        (Geometry((20, 30), spacing=(2, 2)), Geometry((40, 45), spacing=(1, 1), origin=(500, 0))),
        (
            Geometry((20, 30), spacing=(2, 2), direction=((0.6, -0.8), (0.8, 0.6))),
            Geometry((40, 45), spacing=(3, 1), origin=(500, 0)),
        ),
    ],
)
def test_others_corner_to_corner(fixed, moving):
    corners = [[-0.5, -0.5], [19.5, -0.5], [-0.5, 29.5], [19.5, 29.5], [9.5, 14.5]]
    expected = [[-0.5, -0.5], [39.5, -0.5], [-0.5, 44.5], [39.5, 44.5], [19.5, 22]]
    transform = header_alignment(fixed, moving)
    np.testing.assert_allclose(transform.to_moving(corners), expected, atol=1e-3)
    np.testing.assert_allclose(transform.to_fixed(expected), corners, atol=1e-3)


def test_volumes_correspond_by_their_directions():
    fixed = Geometry((10, 20, 30), spacing=(1, 1, 1))
    flipped = Geometry((10, 20, 30), spacing=(1, 1, 1), direction=FLIPPED, origin=(900, 0, 0))
    np.testing.assert_allclose(
        header_alignment(fixed, flipped).to_moving([[0, 3, 4]]), [[9, 3, 4]], atol=1e-3
    )
    turned = Geometry((60, 20, 10), spacing=(1, 1, 1), direction=TURNED, origin=(900, 0, 0))
    np.testing.assert_allclose(
        header_alignment(fixed, turned).to_moving([[9, 3, 29]]), [[58.5, 3, 9]], atol=1e-3
    )
    assert header_alignment(fixed, flipped).folding_percent() == 0


def test_a_picture_and_a_volume():
    with pytest.raises(InputError, match="give two of one kind"):
        header_alignment(Geometry((5, 5)), Geometry((5, 5, 5)))
