"""Three linked planes of a volume, by the mouse."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtTest import QTest

from napari_landmark.gui.layers.viewer_session import get_layer_manager, get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.image_display import PARTS
from napari_landmark.gui.widgets.planes import PlanesWidget

from ..conftest import on_disk
from ..volumes import CENTRE, SHAPE, SPACING, write_volume


@pytest.fixture
def session(volume_viewer):
    return get_session(volume_viewer)


@pytest.fixture
def planes(volume_viewer, qtbot):
    widget = PlanesWidget(volume_viewer)
    qtbot.addWidget(widget)
    widget.resize(900, 360)
    widget.show()
    return widget


def click(view, position, to=None):
    """A click at an index position, or a drag from there to another one."""
    start = view.to_screen(position).toPoint()
    QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=start)
    end = start
    if to is not None:
        end = view.to_screen(to).toPoint()
        for share in (0.5, 1.0):
            step = QPointF(start) + share * QPointF(end - start)
            QTest.mouseMove(view, step.toPoint())
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=end)
    return view.to_index(QPointF(end))


def slices(viewer):
    image = get_layer_manager(viewer).image
    return tuple(round(value) for value in image.world_to_data(viewer.dims.point))


def test_they_open_in_the_middle_and_follow_the_slider(planes, session, volume_viewer):
    middle = tuple((n - 1) / 2 for n in SHAPE)
    assert session.crosshair.position == middle
    assert slices(volume_viewer)[0] == session.crosshair.indices[0]
    volume_viewer.dims.set_current_step(0, 3)
    assert session.crosshair.position == (3, *middle[1:])
    for view in planes.views:
        assert view._indices == session.crosshair.indices


def test_an_image_with_the_landmark_opens_there(planes, session):
    AnnotationEditor(session).place("one", (4.0, 10.0, 30.0))
    session.select_landmark("two")
    session.step(1)
    session.select_landmark("one")
    session.step(-1)
    assert session.crosshair.position == (4.0, 10.0, 30.0)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_click_in_any_plane_places(planes, session, volume_viewer, number):
    view = planes.views[number]
    session.crosshair.move_to((5.0, 12.0, 20.0))
    wanted = np.array((5.0, 12.0, 20.0))
    for axis in (view.plane.row_axis, view.plane.column_axis):
        wanted[axis] += 3
    got = click(view, tuple(wanted))
    placed = on_disk(session)["one"].position
    np.testing.assert_allclose(placed, got, atol=1e-6)
    assert placed[view.plane.axis] == wanted[view.plane.axis]
    np.testing.assert_allclose(placed, wanted, atol=0.5)  # a pixel of the screen
    assert session.current_landmark == "two"
    assert session.crosshair.indices == tuple(int(value + 0.5) for value in placed)
    assert slices(volume_viewer)[0] == session.crosshair.indices[0]


def test_clicks_only_point_where_they_do_not_place(planes, session):
    session.set_placing(False)
    got = click(planes.views[1], (3.0, 19.0, 9.0))
    np.testing.assert_allclose(session.crosshair.position, got)
    assert on_disk(session).ndim is None


def test_a_drag_corrects_within_the_plane_and_can_be_undone(planes, session):
    editor = AnnotationEditor(session)
    editor.place("two", (5.3, 12.0, 20.0))
    session.select_landmark("two")
    view = planes.views[0]
    got = click(view, (5.3, 12.0, 20.0), to=(5.3, 18.0, 25.0))
    placed = on_disk(session)["two"].position
    assert placed[0] == 5.3  # across the plane it stays where it was
    np.testing.assert_allclose(placed[1:], got[1:], atol=1e-6)
    editor.undo()
    assert on_disk(session)["two"].position == (5.3, 12.0, 20.0)


@pytest.mark.parametrize("current", ["one", "two"])
def test_of_landmarks_on_each_other_the_current_one_is_dragged(planes, session, current):
    other = {"one": "two", "two": "one"}[current]
    at = {"one": (5.0, 12.0, 20.0), "two": (5.0, 12.1, 20.0)}
    for name, position in at.items():
        AnnotationEditor(session).place(name, position)
    session.select_landmark(current)
    session.crosshair.move_to(at[current])
    got = click(planes.views[0], at[other], to=(5.0, 18.0, 25.0))
    np.testing.assert_allclose(on_disk(session)[current].position[1:], got[1:], atol=0.2)
    assert on_disk(session)[other].position == at[other]
    assert session.current_landmark == current


def test_of_landmarks_that_can_be_told_apart_the_nearer_one_is_dragged(planes, session):
    at = {"one": (5.0, 12.0, 20.0), "two": (5.0, 14.0, 20.0)}
    for name, position in at.items():
        AnnotationEditor(session).place(name, position)
    session.select_landmark("one")
    session.crosshair.move_to(at["one"])
    click(planes.views[0], at["two"], to=(5.0, 18.0, 25.0))
    assert on_disk(session)["one"].position == at["one"]
    assert on_disk(session)["two"].position != at["two"]


def test_a_click_on_a_landmark_selects_it_and_places_nothing(planes, session):
    AnnotationEditor(session).place("three", (5.0, 12.0, 20.0))
    session.crosshair.move_to((5.0, 30.0, 5.0))
    session.select_landmark("one")
    click(planes.views[0], (5.0, 12.0, 20.0))
    assert session.current_landmark == "three"
    assert session.crosshair.position == (5.0, 12.0, 20.0)
    assert on_disk(session)["one"].position is None


def test_outside_of_the_volume_nothing_happens(planes, session):
    before = session.crosshair.position
    QTest.mouseClick(planes.views[0], Qt.MouseButton.LeftButton, pos=QPoint(1, 1))
    assert session.crosshair.position == before and on_disk(session).ndim is None


def test_voxels_have_their_true_size(planes):
    for view in planes.views:
        lengths = []
        for axis in (view.plane.row_axis, view.plane.column_axis):
            moved = CENTRE.copy()
            moved[axis] += 2
            step = view.to_screen(tuple(moved)) - view.to_screen(tuple(CENTRE))
            lengths.append(np.hypot(step.x(), step.y()) / (2 * SPACING[axis]))
        assert lengths[0] == pytest.approx(lengths[1])


def test_going_to_a_landmark_centres_all_planes(planes, session):
    planes._on_zoomed(4.0)
    AnnotationEditor(session).place("three", (4.0, 30.0, 5.0))
    session.select_landmark("three")
    for view in planes.views:
        at = view.to_screen((4.0, 30.0, 5.0))
        assert abs(at.x() - view.width() / 2) < 1 and abs(at.y() - view.height() / 2) < 1


def test_they_survive_the_layers(planes, session, volume_viewer):
    volume_viewer.layers.clear()
    click(planes.views[0], (7.0, 10.0, 10.0))
    assert on_disk(session)["one"].position is not None
    session.step(1)
    planes.grab()


def test_windows_of_ct_are_offered_for_ct_alone(planes, session, volume_study):
    offered = [planes.window_level.itemText(row) for row in range(planes.window_level.count())]
    assert offered == ["Automatic", "Bone", "Lung", "Soft tissue", "Brain"]
    planes.window_level.setCurrentText("Brain")
    planes.window_level.textActivated.emit("Brain")
    layer = planes.layer_manager.image
    assert tuple(layer.contrast_limits) == (0, 80) == session.display.limits
    session.step(1)
    assert tuple(layer.contrast_limits) == (0, 80)  # Hounsfield units mean the same there
    layer.contrast_limits = (10, 50)
    assert session.display.window == "As adjusted" == planes.window_level.currentText()
    write_volume(volume_study[1].paths[0], np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE))
    session.display.show_image(volume_study[1].read(0), volume_study[1].paths[0])
    offered = [planes.window_level.itemText(row) for row in range(planes.window_level.count())]
    assert offered == ["Automatic", *PARTS]


def test_the_drawing_shows_the_slice(planes, session):
    session.set_placing(False)
    session.crosshair.move_to(tuple(CENTRE))
    view = planes.views[0]
    picture = view.grab().toImage()
    ratio = picture.devicePixelRatio()
    inside = view.to_screen((CENTRE[0], CENTRE[1] + 7, CENTRE[2] + 6)) * ratio
    outside = view.to_screen((CENTRE[0], 1.0, 1.0)) * ratio
    assert picture.pixelColor(inside.toPoint()).lightness() > 200
    assert picture.pixelColor(outside.toPoint()).lightness() < 30


def test_without_a_volume_they_say_so(viewer, qtbot):
    widget = PlanesWidget(viewer)
    qtbot.addWidget(widget)
    widget.show()
    assert widget.hint.isVisible() and not widget.content.isVisible()


def test_from_volumes_to_pictures_and_back(planes, session, volume_study, study, cohort, volume_viewer):
    session.open(study, cohort)
    assert not planes.content.isVisible() and session.crosshair.position == ()
    session.open(*volume_study)
    assert planes.content.isVisible()
    click(planes.views[2], (5.0, 20.0, session.crosshair.indices[2]))
    assert on_disk(session)["one"].position is not None
