"""The canvas is drawn, and layers are made, in turns of the event loop; no click or key goes to another image."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QTimer

from napari_landmark.data.landmarks import LandmarkSet, Status
from napari_landmark.gui.jobs.open_study import open_job
from napari_landmark.gui.layers.viewer_session import get_session

from ..conftest import NAMES


@pytest.fixture
def opened(make_napari_viewer, qtbot, study, cohort, truth):
    """A viewer with a window, in which a study with predictions is about to be opened."""
    for name in cohort.names:
        marks = LandmarkSet.from_array(study.schema, truth[name], Status.PREDICTED)
        study.save_predictions(name, marks, cohort.geometry(cohort.index(name)))
    viewer = make_napari_viewer()
    session = get_session(viewer)

    def run():
        session.run(open_job(session, study.folder))
        qtbot.waitUntil(lambda: "Landmarks" in viewer.layers and session.job is None, timeout=30_000)
        qtbot.wait(50)

    yield viewer, session, run
    session.close()


def canvas(viewer):
    return viewer.window._qt_viewer.canvas.native


def test_a_click_right_after_the_next_image_is_saved_for_that_one(opened, truth):
    viewer, session, run = opened
    run()
    first = session.current_image
    session.step(1)
    second = session.current_image
    assert not canvas(viewer).updatesEnabled(), "the screen shows the image before"
    layer = viewer.layers["Landmarks"]
    np.testing.assert_allclose(layer.data, truth[second])
    layer.data = np.vstack([[[20.0, 15.0]], layer.data[1:]])
    assert session.annotation(second)[NAMES[0]].position == (20, 15)
    assert session.annotation(first)[NAMES[0]].position is None


def test_the_canvas_is_drawn_again(opened, qtbot):
    viewer, session, run = opened
    run()
    session.step(1)
    qtbot.waitUntil(lambda: canvas(viewer).updatesEnabled(), timeout=5000)
    session.step(1)
    session.step(-1)
    qtbot.waitUntil(lambda: canvas(viewer).updatesEnabled(), timeout=5000)


def test_layers_are_made_in_turns_that_others_get_in_between(opened):
    viewer, _, run = opened
    turns, made = [0], []
    timer = QTimer()
    timer.timeout.connect(lambda: turns.__setitem__(0, turns[0] + 1))
    viewer.layers.events.inserted.connect(lambda event: made.append((event.value.name, turns[0])))
    timer.start(0)
    run()
    timer.stop()
    assert len(made) == 3
    assert len({turn for _, turn in made}) == 3, made


@pytest.mark.parametrize("number", [1, 2])
def test_the_next_image_between_two_turns(opened, truth, number):
    """A key that is pressed while layers are missing shows the next image with its own landmarks."""
    viewer, session, run = opened

    def on_inserted(event):
        if len(viewer.layers) == number and session.current_image:
            QTimer.singleShot(0, lambda: session.step(1))

    viewer.layers.events.inserted.connect(on_inserted)
    run()
    assert session.current_image == session.names[1]
    assert len(viewer.layers) == 3
    assert viewer.layers[0].name == session.names[1]
    np.testing.assert_array_equal(viewer.layers[0].data, session.read_image().array)
    np.testing.assert_allclose(viewer.layers["Landmarks"].data, truth[session.names[1]])
    assert viewer.layers.selection.active is viewer.layers["Landmarks"]
