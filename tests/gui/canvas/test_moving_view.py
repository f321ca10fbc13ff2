"""What the moving image has at the place under the mouse, in pictures and in any plane of a volume."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QWidget

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.gui.canvas.moving_view import MovingView
from napari_landmark.registration.transform.transform import Transform

SHIFT = 2.0


def pair(shape):
    """A moving image with one bright spot, SHIFT further along each axis than in the fixed one."""
    geometry = Geometry(shape, (1.0,) * len(shape))
    spot = tuple(size // 2 for size in shape)
    values = np.zeros(shape, np.uint8)
    values[tuple(slice(n - 1, n + 2) for n in spot)] = 255
    transform = Transform.affine(
        np.eye(len(shape)), np.full(len(shape), SHIFT), fixed=geometry, moving=geometry
    )
    images = SimpleNamespace(
        fixed=MedicalImage(values, geometry, "f"), moving=MedicalImage(values, geometry, "m")
    )
    return SimpleNamespace(pair=images, registration=SimpleNamespace(transform=transform)), np.array(
        spot, float
    )


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((40, 50), (0, 1)),
        ((20, 30, 40), (1, 2)),
        ((20, 30, 40), (0, 2)),
        ((20, 30, 40), (0, 1)),
        ((20, 30, 40), (2, 1)),
    ],
)
def test_the_corresponding_place_is_in_the_middle(qtbot, shape, axes):
    canvas = QWidget()
    canvas.resize(600, 500)
    qtbot.addWidget(canvas)
    canvas.show()
    view, (result, spot) = MovingView(canvas), pair(shape)
    view.show_at(result, spot - SHIFT, axes, pixel=8.0)
    np.testing.assert_allclose(view.position, spot, atol=1e-6)
    picture = view.grab().toImage()
    middle = picture.width() // 2
    assert QColor(picture.pixel(middle + 8, middle + 7)).lightness() > 200  # beside the crosshair
    assert QColor(picture.pixel(middle + 40, middle + 30)).lightness() < 60
    view.show_at(result, spot - SHIFT - 4, axes, pixel=8.0)
    picture = view.grab().toImage()
    assert QColor(picture.pixel(middle + 8, middle + 7)).lightness() < 60
    view.show_at(result, np.full(len(shape), -5.0), axes, pixel=8.0)
    assert view.position is None
    assert not view.isVisible()
