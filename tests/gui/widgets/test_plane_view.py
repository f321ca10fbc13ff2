"""Texts and landmarks as one plane draws them."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QRectF

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.planes import orthogonal_planes
from napari_landmark.gui.session.image_display import ImageDisplay
from napari_landmark.gui.widgets.plane_view import PlaneMark, PlaneView

SHAPE = (40, 40, 40)


def _turned(degrees):
    angle = np.radians(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    return ((cos, -sin, 0.0), (sin, cos, 0.0), (0.0, 0.0, 1.0))


@pytest.fixture
def view(qtbot):
    """An axial plane of 180 pixels, of a volume that is oblique by 40 degrees."""
    widget = PlaneView(0)
    qtbot.addWidget(widget)
    widget.resize(180, 180)
    geometry = Geometry(SHAPE, (1.0, 1.0, 1.0), direction=_turned(40), is_anatomical=True)
    widget.show_volume(np.zeros(SHAPE, np.float32), orthogonal_planes(geometry), None)
    widget.show_display(ImageDisplay())
    widget.show_place((20, 20, 20), (20, 20, 20), (20, 20, 20), 1.0)
    return widget


def _texts(view):
    """All texts on the view, by their words."""
    drawn = []
    original = view._draw_text
    view._draw_text = lambda painter, text: (drawn.append(text), original(painter, text))
    view.grab()
    return {text.words: text.box for text in drawn}


@pytest.mark.parametrize("row", [2, 20, 37])
@pytest.mark.parametrize("column", [2, 20, 37])
def test_a_name_is_on_the_view_and_over_no_other_text(view, row, column):
    position = view.plane.to_index(row, column, 20)
    view.show_marks((PlaneMark("mastoid_right", position, "#ff0000", 0.0, True, False),))
    texts = _texts(view)
    name = texts.pop("mastoid_right")
    assert QRectF(view.rect()).contains(name)
    assert len(texts) >= 5
    assert not any(name.intersects(box) for box in texts.values())


def test_an_oblique_plane_says_so_below_the_number_of_its_slice(view):
    texts = _texts(view)
    assert "Axial  20/39" in texts
    assert any(words.startswith("oblique by") for words in texts)
    assert all(QRectF(view.rect()).contains(box) for box in texts.values())


def test_a_landmark_beside_the_slice_is_fainter(view):
    def brightness(slice_):
        position = list(view.plane.to_index(30, 8, 20))
        position[view.plane.axis] = slice_
        view.show_marks((PlaneMark("a", tuple(position), "#ffffff", 0.0, False, False),))
        picture = view.grab().toImage()
        at = view.to_screen(tuple(position)).toPoint()
        return max(picture.pixelColor(at.x() + x, at.y()).lightness() for x in range(3, 9))

    assert brightness(20) > 1.5 * brightness(21) > 0
