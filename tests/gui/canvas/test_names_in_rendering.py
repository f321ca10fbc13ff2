"""Names of landmarks in the 3-D rendering, in a real window."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.study.study import Study
from napari_landmark.gui.canvas.canvas_view import show_canvas_view
from napari_landmark.gui.layers.layer_transforms import camera_of
from napari_landmark.gui.layers.viewer_session import get_layer_manager, get_session
from napari_landmark.gui.session.mark_options import NameMode

from ..conftest import predict
from ..volumes import CENTRE, SPACING

COUNT = 60
SCHEMA = LandmarkSchema(tuple(f"landmark number {number}" for number in range(COUNT)))


@pytest.fixture
def rendered(make_napari_viewer, volume_study, tmp_path, qtbot):
    """A viewer that renders a volume with many landmarks on the surface of a ball."""
    study = Study.create(tmp_path / "many", schema=SCHEMA, images=volume_study[0].images)
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1100, 800)
    session = get_session(viewer)
    session.open(study, volume_study[1])
    directions = np.random.default_rng(5).normal(size=(COUNT, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    predict(session, session.current_image, CENTRE + 12 * directions / SPACING)
    view = show_canvas_view(viewer)
    get_layer_manager(viewer).rendering.show(True)
    camera_of(viewer).angles = (20.0, 35.0, -60.0)
    qtbot.wait(100)
    yield viewer, session, view.overlay
    session.close()


def overlap(first, second) -> bool:
    return bool((first[:2] < second[2:]).all() and (second[:2] < first[2:]).all())


@pytest.mark.parametrize(
    ("perspective", "sides"),
    [(0, ()), (50, ()), (0, ("away", "up", "right")), (0, ("towards", "down", "left"))],
)
def test_names_are_where_napari_draws_the_spheres(rendered, qtbot, perspective, sides):
    viewer, _, overlay = rendered
    if sides:
        camera_of(viewer).orientation = sides
    camera_of(viewer).perspective = perspective
    camera_of(viewer).center = (17.0, 22.0, 14.0)
    qtbot.wait(100)
    layer = get_layer_manager(viewer).landmarks.layer
    node = viewer.window._qt_viewer.canvas.layer_to_visual[layer].node
    drawn = node.get_transform("visual", "canvas").map(np.asarray(layer.data)[:, ::-1])
    expected = (drawn[:, :2] / drawn[:, 3:])[:, ::-1]
    np.testing.assert_allclose(overlay.screen_of.to_screen(layer, layer.data), expected, atol=0.5)


def test_no_name_covers_another_and_the_current_one_is_written(rendered):
    viewer, session, overlay = rendered
    assert not get_layer_manager(viewer).landmarks.layer.text.visible
    for name in (SCHEMA.names[7], SCHEMA.names[41]):
        session.select_landmark(name)
        boxes = overlay.rendered_labels(overlay.rendered())
        assert next(iter(boxes)) == name
        assert 10 < len(boxes) < COUNT
        assert not any(overlap(*pair) for pair in itertools.combinations(boxes.values(), 2))


def test_selected_ones_are_written_though_they_cover_each_other(rendered):
    viewer, session, overlay = rendered
    layer = get_layer_manager(viewer).landmarks.layer
    predict(session, session.current_image, np.tile(CENTRE, (COUNT, 1)))
    assert len(overlay.rendered_labels(overlay.rendered())) < COUNT / 2
    layer.selected_data = set(range(COUNT))
    assert len(overlay.rendered_labels(overlay.rendered())) == COUNT


def test_names_are_those_that_are_wanted(rendered):
    _, session, overlay = rendered
    session.marks.set(names=NameMode.CURRENT)
    assert list(overlay.rendered_labels(overlay.rendered())) == [session.current_landmark]
    session.marks.set(names=NameMode.NONE)
    assert overlay.rendered_labels(overlay.rendered()) == {}


def test_they_follow_the_camera(rendered, qtbot):
    viewer, _, overlay = rendered

    def picture():
        return overlay.grab().toImage()

    before = picture()
    assert picture() == before
    camera_of(viewer).angles = (0.0, 80.0, 10.0)
    qtbot.wait(50)
    assert picture() != before
