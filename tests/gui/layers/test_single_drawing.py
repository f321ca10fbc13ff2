"""Several changes are drawn once, and the layer is right afterwards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image, Points

from napari_landmark.gui.layers.single_drawing import drawn_once, points_drawn_once, sliders_kept


def counted(emitter) -> list:
    """Events of an emitter, as they come."""
    heard = []
    emitter.connect(heard.append)
    return heard


@pytest.fixture
def layer() -> Points:
    return Points(np.zeros((3, 2)), features={"name": list("abc")}, text="{name}", size=4)


def test_points_are_drawn_once(layer):
    drawn, told, written = (
        counted(layer.events.set_data),
        counted(layer.events.data),
        counted(layer.text.events),
    )
    with points_drawn_once(layer), points_drawn_once(layer):
        layer.data = np.ones((3, 2))
        layer.size = [1, 2, 3]
        layer.features = {"name": list("xyz")}
        layer.face_color = ["red", "green", "blue"]
        layer.text.translation = (1, 2)
        assert not drawn
    assert len(drawn) == len(told) == 1
    assert not written
    assert str(told[0].action) == "changed"
    np.testing.assert_array_equal(layer._view_size, [1, 2, 3])
    assert list(layer._view_text) == list("xyz")
    layer.size = 7
    assert len(drawn) == 2, "nothing stays blocked"


def test_listeners_of_the_data_hear_of_changed_data_alone(layer):
    told = counted(layer.events.data)
    with points_drawn_once(layer):
        layer.size = 9
    with points_drawn_once(layer, tell=False):
        layer.data = np.ones((3, 2))
    assert not told


def test_nothing_stays_blocked_after_an_error(layer):
    drawn = counted(layer.events.set_data)
    with pytest.raises(ZeroDivisionError), points_drawn_once(layer):
        raise ZeroDivisionError
    layer.size = 7
    assert drawn


@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.integers(0, 6), min_size=1, max_size=6), selected=st.integers(0, 5))
def test_the_number_of_points_may_change(counts, selected):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((40, 40)))
    layer = viewer.add_points(
        np.empty((0, 2)), ndim=2, features={"name": np.array([], object)}, text="{name}"
    )
    layer.mode = "select"
    for count in counts:
        names = [f"point {number}" for number in range(count)]
        positions = np.arange(2.0 * count).reshape(count, 2)
        with points_drawn_once(layer):
            layer.selected_data = set()
            layer.data = positions
            layer.features = {"name": np.array(names, object)}
            if count:
                layer.face_color = ["red"] * count
                layer.size = np.arange(1, count + 1)
            if selected < count:
                layer.selected_data = {selected}
        np.testing.assert_array_equal(layer._view_data, positions)
        assert list(layer._view_text)[:count] == names  # without points napari shows one empty text
        assert layer.selected_data == ({selected} if selected < count else set())


def test_the_viewer_knows_of_points_beyond_its_images():
    viewer = ViewerModel()
    viewer.add_image(np.zeros((40, 40)))
    layer = viewer.add_points(np.zeros((1, 2)))
    with points_drawn_once(layer):
        layer.data = np.array([[90.0, 5.0]])
    assert viewer.dims.range[0].stop >= 90
    assert viewer.layers.extent.world[1, 0] == pytest.approx(90)


def test_an_image_is_drawn_once():
    layer = Image(np.zeros((20, 20)), contrast_limits=(0, 1))
    drawn = counted(layer.events.set_data)
    with drawn_once(layer):
        layer.data = np.ones((30, 20))
        layer.scale = (2, 2)
        layer.contrast_limits = (0, 2)
    assert len(drawn) == 1
    np.testing.assert_array_equal(layer._slice.image.view, np.ones((30, 20)))


def test_sliders_are_set_where_the_extent_changed_alone():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((40, 40)), scale=(0.5, 0.5))
    points = viewer.add_points(np.zeros((1, 2)))
    told, ranges = counted(image.events.data), counted(viewer.dims.events.range)
    with sliders_kept(viewer, image, points):
        image.data = np.ones((40, 40))
        points.data = np.full((1, 2), 3.0)
    assert len(told) == 1, "other listeners hear of it"
    assert not ranges
    with sliders_kept(viewer, image):
        image.data = np.zeros((60, 40))
    assert viewer.dims.range[0].stop == pytest.approx(29.5)
    points.data = np.array([[90.0, 5.0]])
    assert viewer.dims.range[0].stop == pytest.approx(90), "nothing stays disconnected"


def test_sliders_are_set_again_after_an_error():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((40, 40)))
    with pytest.raises(ZeroDivisionError), sliders_kept(viewer, image):
        raise ZeroDivisionError
    image.data = np.zeros((60, 40))
    assert viewer.dims.range[0].stop == 59
