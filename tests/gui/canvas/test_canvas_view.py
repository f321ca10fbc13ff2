"""What is drawn over the canvas, and the mouse on it, in a real window."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QWidget

from napari_landmark.data.landmarks import LandmarkSet, Status
from napari_landmark.gui.canvas.canvas_view import CanvasView, show_canvas_view
from napari_landmark.gui.keys import bind_keys
from napari_landmark.gui.layers.layer_transforms import camera_of
from napari_landmark.gui.layers.viewer_session import get_layer_manager, get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.mark_options import MarkShape, NameMode

from ..conftest import NAMES, predict

LEFT, RIGHT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.NoButton


class Canvas:
    """A viewer with a study, and a mouse on its canvas."""

    def __init__(self, viewer, qtbot):
        self.viewer, self.session, self.manager = viewer, get_session(viewer), get_layer_manager(viewer)
        self.view, self.editor = show_canvas_view(viewer), AnnotationEditor(self.session)
        self.qtbot, self.widget = qtbot, viewer.window._qt_viewer.canvas.native

    def at(self, position) -> QPointF:
        (y, x) = self.view.overlay.screen_of.to_screen(self.manager.landmarks.layer, [position])[0]
        return QPointF(x, y)

    def send(self, kind, at: QPointF, button, buttons) -> None:
        place = QPointF(self.widget.mapToGlobal(at))
        event = QMouseEvent(kind, at, place, button, buttons, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(self.widget, event)
        self.qtbot.wait(8)

    def drag(self, start: QPointF, end: QPointF, button=LEFT) -> None:
        self.send(QEvent.Type.MouseMove, start, NONE, NONE)
        self.send(QEvent.Type.MouseButtonPress, start, button, button)
        for share in (0.4, 0.8, 1.0):
            self.send(QEvent.Type.MouseMove, start + (end - start) * share, NONE, button)
        self.send(QEvent.Type.MouseButtonRelease, end, button, NONE)
        self.qtbot.wait(30)


@pytest.fixture
def canvas(make_napari_viewer, study, cohort, qtbot):
    viewer = make_napari_viewer(show=True)
    get_session(viewer).open(study, cohort)
    made = Canvas(viewer, qtbot)
    qtbot.wait(100)
    yield made
    get_session(viewer).close()


def test_marks_are_where_napari_draws_the_points(canvas):
    canvas.editor.place("thumb_tip", (20.0, 15.0))
    (mark,) = canvas.view.overlay.marks()
    camera = camera_of(canvas.viewer)
    size = np.array([canvas.widget.height(), canvas.widget.width()])
    world = np.asarray(canvas.manager.landmarks.layer.data_to_world((20.0, 15.0)))
    np.testing.assert_allclose(mark.at, (world - camera.center[-2:]) * camera.zoom + size / 2, atol=1e-6)
    position = canvas.view.overlay.screen_of.to_data(canvas.manager.landmarks.layer, mark.at)
    np.testing.assert_allclose(position, (20, 15), atol=1e-9)


class TestMarksOnEachOther:
    """Two landmarks whose marks overlap on the screen, as the tips of incisors do in a whole film."""

    first, second = NAMES[0], NAMES[1]

    def place(self, canvas, apart):
        """The second one so many pixels of the screen to the right of the first, and drawn over it."""
        step = apart / camera_of(canvas.viewer).zoom
        canvas.editor.place(self.first, (30.0, 20.0))
        canvas.editor.place(self.second, (30.0, 20.0 + step))
        canvas.session.set_placing(False)
        canvas.qtbot.wait(30)
        return {
            name: np.array(mark.position) for name, mark in canvas.session.result().items() if mark.position
        }

    @pytest.mark.parametrize("current", [first, second])
    def test_of_marks_that_coincide_the_current_one_is_dragged(self, canvas, current):
        before = self.place(canvas, 2)
        canvas.session.select_landmark(current)
        start = canvas.at(before[current])
        canvas.drag(start, start + QPointF(40, 30))
        after = canvas.session.result()
        (other,) = {self.first, self.second} - {current}
        np.testing.assert_array_equal(after[other].position, before[other])
        moved = np.subtract(after[current].position, before[current])
        np.testing.assert_allclose(moved * camera_of(canvas.viewer).zoom, [30, 40], atol=2)

    @pytest.mark.parametrize("wanted", [first, second])
    def test_of_marks_that_overlap_the_nearer_one_is_dragged(self, canvas, wanted):
        before = self.place(canvas, 5)
        (other,) = {self.first, self.second} - {wanted}
        canvas.session.select_landmark(other)
        start = canvas.at(before[wanted])
        canvas.drag(start, start + QPointF(40, 30))
        after = canvas.session.result()
        np.testing.assert_array_equal(after[other].position, before[other])
        assert np.linalg.norm(np.subtract(after[wanted].position, before[wanted])) > 5
        assert canvas.session.current_landmark == wanted


def test_names_are_those_that_are_wanted(canvas):
    for number, name in enumerate(NAMES):
        canvas.editor.place(name, (10.0 + 9 * number, 15.0))
    canvas.session.select_landmark("capitate")
    overlay, marks = canvas.view.overlay, canvas.session.marks
    assert set(overlay.labels(overlay.marks())) == set(NAMES)
    marks.set(names=NameMode.CURRENT)
    assert set(overlay.labels(overlay.marks())) == {"capitate"}
    overlay.hovered = "index_tip"
    assert set(overlay.labels(overlay.marks())) == {"capitate", "index_tip"}
    marks.set(names=NameMode.NONE)
    assert set(overlay.labels(overlay.marks())) == {"index_tip"}


@pytest.mark.parametrize("shape", MarkShape)
def test_the_marked_pixel_is_not_covered(canvas, shape):
    canvas.session.marks.set(shape=shape, names=NameMode.NONE)
    canvas.editor.place("thumb_tip", (20.0, 15.0))
    picture = canvas.view.overlay.grab().toImage()
    canvas.view.overlay.paintEvent(None)
    drawn = canvas.view.overlay._picture.toImage()
    at = canvas.at((20.0, 15.0)).toPoint()
    ratio = drawn.devicePixelRatio()
    alpha = lambda dx: drawn.pixelColor(round((at.x() + dx) * ratio), round(at.y() * ratio)).alpha()  # noqa: E731
    assert alpha(0) == alpha(2) == 0
    assert max(alpha(dx) for dx in range(4, 14)) > 150
    assert not picture.isNull()


def test_hidden_and_deleted_points_have_no_marks(canvas):
    canvas.editor.place("thumb_tip", (20.0, 15.0))
    canvas.manager.landmarks.layer.visible = False
    assert canvas.view.overlay.marks() == []
    canvas.manager.landmarks.layer.visible = True
    assert len(canvas.view.overlay.marks()) == 1
    canvas.viewer.layers.remove(canvas.manager.landmarks.layer)
    assert canvas.view.overlay.marks() == []


def test_a_press_on_a_point_drags_it_though_clicks_place(canvas):
    canvas.editor.place("thumb_tip", (20.0, 15.0))
    canvas.session.select_landmark("index_tip")
    canvas.manager.activate()
    assert canvas.manager.landmarks.layer.mode == "add"
    canvas.drag(canvas.at((20.0, 15.0)), canvas.at((40.0, 25.0)))
    pixel = 1 / camera_of(canvas.viewer).zoom
    np.testing.assert_allclose(canvas.session.result()["thumb_tip"].position, (40, 25), atol=1.5 * pixel)
    assert canvas.session.result()["index_tip"].status is Status.UNPLACED
    assert canvas.session.placing
    assert canvas.manager.landmarks.layer.mode == "add"


def test_a_click_on_a_point_places_the_next_one_there(canvas):
    canvas.editor.place("thumb_tip", (20.0, 15.0))
    canvas.session.select_landmark("index_tip")
    canvas.manager.activate()
    at = canvas.at((20.0, 15.0))
    canvas.drag(at, at)
    canvas.qtbot.waitUntil(lambda: canvas.session.result()["index_tip"].position is not None, timeout=2000)
    pixel = 1 / camera_of(canvas.viewer).zoom
    np.testing.assert_allclose(canvas.session.result()["index_tip"].position, (20, 15), atol=1.5 * pixel)
    np.testing.assert_allclose(canvas.session.result()["thumb_tip"].position, (20, 15))


def test_the_right_button_changes_the_window_and_not_the_zoom(canvas):
    low, high = canvas.session.display.limits
    zoom = camera_of(canvas.viewer).zoom
    canvas.drag(QPointF(200, 200), QPointF(260, 200), RIGHT)
    wider_low, wider_high = canvas.session.display.limits
    assert wider_high - wider_low > 1.1 * (high - low)
    assert tuple(canvas.manager.image.contrast_limits) == pytest.approx((wider_low, wider_high))
    assert camera_of(canvas.viewer).zoom == zoom
    canvas.drag(QPointF(200, 200), QPointF(200, 150), RIGHT)
    assert sum(canvas.session.display.limits) < wider_low + wider_high  # up: brighter


def test_the_loupe_shows_the_pixel_under_the_mouse(canvas):
    canvas.manager.activate()
    camera_of(canvas.viewer).zoom = 1.5
    canvas.qtbot.wait(50)
    canvas.session.marks.set(magnification=8)
    y, x = 20, 15
    canvas.send(QEvent.Type.MouseMove, canvas.at((y, x)), NONE, NONE)
    loupe = canvas.view.loupe
    assert loupe.isVisible()
    picture = loupe.grab().toImage()
    middle = round(loupe.width() / 2 * picture.devicePixelRatio())
    grey = picture.pixelColor(middle, middle).red()
    assert grey == pytest.approx(
        int(canvas.session.display.grey(canvas.session.read_image().array[y, x])), abs=3
    )
    canvas.session.marks.set(magnification=0)
    canvas.send(QEvent.Type.MouseMove, canvas.at((y, x + 1)), NONE, NONE)
    assert not loupe.isVisible()


def test_the_template_is_shown_beside_other_images_at_their_scale(canvas, truth):
    canvas.editor.place("thumb_tip", (20.0, 15.0))
    canvas.session.select_landmark("thumb_tip")
    assert canvas.view.template.request is None  # the template itself
    predict(canvas.session, "hand_001.png", truth["hand_001.png"])
    canvas.session.show("hand_001.png")
    canvas.session.select_landmark("thumb_tip")
    request = canvas.view.template.request
    assert request is not None
    assert (request.image, request.center) == ("hand_000.png", (20.0, 15.0))
    pixels = request.pixels / canvas.view.overlay.screen_of.pixel(canvas.manager.image)
    lengths = canvas.session.pixel_lengths
    expected = pixels * lengths["hand_001.png"] / lengths["hand_000.png"]
    largest = 1.5 * max(canvas.session.geometry("hand_000.png").shape)
    assert request.extent == pytest.approx(min(max(expected, 12), largest), rel=0.16)
    canvas.session.marks.set(template_shown=False)
    assert canvas.view.template.request is None


def test_arrow_keys_move_the_current_landmark_as_one_change(canvas):
    bind_keys(canvas.viewer, canvas.session)
    canvas.editor.place("thumb_tip", (20.0, 15.0))
    canvas.session.select_landmark("thumb_tip")
    keymap = {str(key): slot for key, slot in canvas.viewer.keymap.items()}
    for key in ("Right", "Right", "Down", "Shift+Up"):
        keymap[key](canvas.viewer)
    assert canvas.session.result()["thumb_tip"].position == pytest.approx((20.9, 17.0))
    canvas.editor.undo()
    assert canvas.session.result()["thumb_tip"].position == (20.0, 15.0)


def test_inverted_greys_and_local_contrast_are_for_display_alone(canvas, qtbot):
    pixels = canvas.session.read_image().array
    canvas.session.display.set_look(inverted=True, gamma=0.5, local_contrast=True)
    qtbot.waitUntil(lambda: canvas.manager.image.data is not pixels, timeout=5000)
    assert canvas.manager.image.colormap.name == "gray_r"
    assert canvas.manager.image.gamma == 0.5
    assert canvas.session.read_image().array is pixels
    canvas.session.display.set_look(inverted=False, gamma=1.0, local_contrast=False)
    assert canvas.manager.image.data is pixels
    assert canvas.manager.image.colormap.name == "gray"


@pytest.mark.parametrize(("moved", "places"), [(3, True), (7, True), (14, False)])
def test_a_click_with_a_shaky_hand_places_where_it_began(canvas, moved, places):
    canvas.session.select_landmark("index_tip")
    canvas.manager.activate()
    start = canvas.at((30.0, 25.0))
    canvas.drag(start, start + QPointF(moved, 0))
    mark = canvas.session.result()["index_tip"]
    assert (mark.status is Status.PLACED) is places
    if places:
        pixel = 1 / camera_of(canvas.viewer).zoom
        np.testing.assert_allclose(mark.position, (30, 25), atol=(4.5 if moved < 5 else 1) * pixel)
    placed = [name for name, mark in canvas.session.result().items() if mark.position is not None]
    assert len(placed) == places  # once


def test_names_of_a_training_preview_do_not_cover_each_other(canvas):
    names = canvas.session.schema.names
    close = np.array([(30.0, 40.0), (31.0, 41.0), (32.0, 40.0), (30.0, 42.0)])
    preview = LandmarkSet.from_array(canvas.session.schema, close, Status.PREDICTED)
    canvas.editor.place(names[3], (60.0, 20.0))
    canvas.manager.preview.show(preview)
    overlay = canvas.view.overlay
    shown = overlay.previewed(overlay.marks())
    assert {mark.landmark.name for mark in shown} == set(names[:3])  # the other one has a mark of its own
    assert not canvas.manager.preview.layer.text.visible
    boxes = list(overlay.labels([*overlay.marks(), *shown]).values())
    assert len(boxes) == 4
    for number, box in enumerate(boxes):
        for other in boxes[:number]:
            assert (box[:2] >= other[2:]).any() or (box[2:] <= other[:2]).any()
    before = overlay.grab().toImage()
    canvas.manager.preview.show(LandmarkSet.from_array(canvas.session.schema, close + 25, Status.PREDICTED))
    moved = overlay.grab().toImage()
    assert moved != before  # the names went along
    canvas.manager.preview.clear()
    assert overlay.grab().toImage() != moved
    assert overlay.previewed(overlay.marks()) == []


def test_a_job_that_ends_after_the_window_draws_nothing(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    session, manager = get_session(viewer), get_layer_manager(viewer)
    canvas = QWidget()
    view = CanvasView(canvas, viewer, session, manager)
    drawn = []
    view.overlay.redraw = lambda: drawn.append(True)
    manager.preview.clear()
    assert drawn
    drawn.clear()
    canvas.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    manager.preview.clear()
    session.view_changed.emit()
    viewer.dims.ndisplay = 3
    assert not drawn
