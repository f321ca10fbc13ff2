"""The points layer follows the session, and the session follows the points."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from napari_landmark.data.landmarks import Status
from napari_landmark.gui.layers.landmark_layer import CURRENT_MARK_RADIUS, MARK_RADIUS
from napari_landmark.gui.layers.layer_transforms import camera_of
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor

from ..conftest import NAMES, predict


@pytest.fixture
def session(viewer):
    return get_session(viewer)


@pytest.fixture
def layer(layer_manager):
    return layer_manager.landmarks.layer


def drag(layer, row, position):
    """Drag a point as napari's mouse bindings do."""
    layer._set_drag_start({row}, layer.data[row])
    layer._move({row}, position)
    layer._drag_start = None


class TestPoints:
    def test_a_click_places_the_current_landmark(self, session, layer):
        assert layer.mode == "add"
        layer.add([20, 15])
        assert session.result()["thumb_tip"].position == (20, 15)
        assert list(layer.features["name"]) == ["thumb_tip"]
        assert session.current_landmark == "index_tip"

    def test_an_image_with_fewer_landmarks_is_no_pasting(self, session, layer, truth):
        """While the next image comes, the layer still has the rows of the one before."""
        for row in range(3):
            layer.add([20 + row, 15])
        told = []
        session.message.connect(lambda kind, text: told.append(text))
        session.step(1)
        layer.refresh()
        layer.events.set_data()
        assert told == []
        assert len(layer.data) == 0
        session.step(-1)
        assert len(layer.data) == 3

    def test_rows_are_known_by_name(self, session, layer):
        session.select_landmark("capitate")
        layer.add([20, 15])
        session.select_landmark("thumb_tip")
        layer.add([30, 16])
        assert list(layer.features["name"]) == ["thumb_tip", "capitate"]
        np.testing.assert_allclose(layer.data, [(30, 16), (20, 15)])

    def test_a_drag_moves_that_one(self, session, layer):
        for row in range(3):
            layer.add([20 + row, 15])
        drag(layer, 1, (40, 20))
        assert session.result()["index_tip"].position == pytest.approx((40, 20))
        assert session.result()["thumb_tip"].position == (20, 15)
        assert session.current_landmark == "index_tip"

    def test_a_drag_out_of_the_image_is_taken_back(self, session, layer):
        layer.add([20, 15])
        drag(layer, 0, (-90, 20))
        np.testing.assert_allclose(layer.data, [(20, 15)])

    def test_deleting_opens_it_again(self, session, layer):
        for row in range(3):
            layer.add([20 + row, 15])
        layer.selected_data = {1}
        layer.remove_selected()
        assert session.result()["index_tip"].status is Status.UNPLACED
        assert list(layer.features["name"]) == ["thumb_tip", "middle_tip"]

    def test_a_click_too_many_leaves_no_point(self, session, layer):
        for row in range(len(NAMES) + 2):
            layer.add([20 + row, 15])
        assert len(layer.data) == len(NAMES)

    def test_undo_takes_the_point_away(self, session, layer):
        layer.add([20, 15])
        AnnotationEditor(session).undo()
        assert len(layer.data) == 0
        layer.add([21, 15])
        assert session.result()["thumb_tip"].position == (21, 15)

    def test_in_the_3d_rendering_nothing_is_placed_or_moved(self, viewer, session, layer):
        layer.add([20, 15])
        texts = []
        session.message.connect(lambda kind, text: texts.append(text))
        session.adding = True
        viewer.dims.ndisplay = 3
        layer.add([30, 15])
        moved = layer.data.copy()
        moved[0] = (40, 15)
        layer.events.data(value=moved, action="changed", data_indices=(0,), vertex_indices=((),))
        assert len(texts) == 2
        assert all("3-D rendering" in text for text in texts)
        assert session.schema.names == NAMES
        np.testing.assert_allclose(layer.data, [(20, 15)])
        viewer.dims.ndisplay = 2
        layer.add([30, 15])
        assert session.result()["index_tip"].position == (30, 15)

    def test_colours_show_the_confidence(self, session, layer, truth):
        predict(session, session.current_image, truth[session.current_image])
        red, blue = layer.border_color[0][0], layer.border_color[-1][2]
        assert red > 0.8
        assert blue > 0.5
        session.color_by_confidence = False
        session.view_changed.emit()
        assert [to_hex(color) for color in layer.border_color] == list(session.schema.colors)

    def test_the_marked_pixel_is_free(self, session, layer):
        layer.add([20, 15])
        assert layer.face_color[0][3] == 0
        assert layer.border_color[0][3] == 1

    @pytest.mark.parametrize("zoom", [0.4, 3.0, 40.0])
    def test_marks_have_one_size_on_the_screen(self, viewer, session, layer, zoom):
        layer.add([20, 15])
        layer.add([30, 15])
        session.select_landmark("index_tip")
        camera_of(viewer).zoom = zoom
        on_screen = layer.size * layer.scale[-1] * zoom
        np.testing.assert_allclose(on_screen, [2 * MARK_RADIUS, 2 * CURRENT_MARK_RADIUS])

    def test_rings_are_as_wide_as_the_expected_error(self, viewer, session, truth):
        predict(session, session.current_image, truth[session.current_image], error=3.0)
        np.testing.assert_allclose(viewer.layers["Expected error (average)"].size, 6.0)

    def test_clicking_a_point_selects_its_landmark(self, session, layer, truth):
        predict(session, session.current_image, truth[session.current_image])
        layer.mode = "select"
        layer.selected_data = {2}
        assert session.current_landmark == "middle_tip"


def test_points_that_come_back_have_their_colours_again(session, layer_manager):
    """Colours are changed only where they differ, and napari forgets those of points that are gone."""
    layer, editor = layer_manager.landmarks.layer, AnnotationEditor(session)
    editor.place("capitate", (5, 5))
    session.select_landmark("capitate")  # as undo and redo do
    expected = layer.face_color.copy(), layer.border_color.copy(), layer.size.copy()
    for _ in range(2):
        editor.undo()
        assert len(layer.data) == 0
        layer.current_face_color = "#123456"
        layer.current_border_color = "#654321"
        editor.redo()
        for now, before in zip((layer.face_color, layer.border_color, layer.size), expected, strict=True):
            np.testing.assert_allclose(now, before)
    editor.place("thumb_tip", (9, 9))
    assert [to_hex(color) for color in layer.face_color] == [
        session.schema.colors[0],
        session.schema.colors[3],
    ]


def test_rings_are_not_dragged(viewer, session, layer, truth):
    predict(session, session.current_image, truth[session.current_image])
    assert not viewer.layers["Expected error (average)"].editable


def test_expected_errors_are_hidden_with_the_landmarks(viewer, session, layer, truth):
    predict(session, session.current_image, truth[session.current_image])
    rings = viewer.layers["Expected error (average)"]
    layer.visible = False
    assert not rings.visible
    session.step(1)
    session.step(-1)
    assert not rings.visible
    layer.visible = True
    assert rings.visible
    rings.visible = False  # by the user
    layer.visible = False
    layer.visible = True
    assert not rings.visible
