"""Curves drawn in the viewer become evenly spaced semilandmarks."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_landmark.data.curves import Curve
from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import Status
from napari_landmark.data.study.schema_migration import with_curve
from napari_landmark.gui.layers.curve_drawing import CurveDrawing
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.schema_editor import SchemaEditor
from napari_landmark.gui.session.session import Session

from ..conftest import NAMES, on_disk, predict

FINGER = Curve("finger", "index_tip", "capitate", 3)


@pytest.fixture
def curved(viewer: ViewerModel) -> Session:
    session = get_session(viewer)
    SchemaEditor(session).set_schema(with_curve(session.schema, FINGER))
    AnnotationEditor(session).place("index_tip", (10.0, 20.0))
    AnnotationEditor(session).place("capitate", (50.0, 20.0))
    return session


def placed(session) -> np.ndarray:
    return np.array([session.result()[name].position or (np.nan, np.nan) for name in FINGER.semilandmarks])


def test_a_drawn_line_is_resampled_and_saved_as_one_change(curved):
    editor = AnnotationEditor(curved)
    editor.place_curve(FINGER, [[50, 20], [50, 40], [10, 40], [10, 20]])  # from the end on
    np.testing.assert_allclose(placed(curved), [[10, 40], [30, 40], [50, 40]])
    assert all(on_disk(curved)[name].status is Status.PLACED for name in FINGER.semilandmarks)
    assert curved.undo_stack.undo_label == "Draw finger"
    editor.undo()
    assert np.isnan(placed(curved)).all()
    assert curved.result()["index_tip"].position == (10.0, 20.0)


def test_predicted_semilandmarks_become_corrected(curved):
    predict(curved, curved.current_image, np.full((len(NAMES) + 3, 2), 30.0))
    AnnotationEditor(curved).place_curve(FINGER, [[10, 20], [50, 20]])
    assert {on_disk(curved)[name].status for name in FINGER.semilandmarks} == {Status.CORRECTED}


def test_its_ends_must_be_placed(curved):
    AnnotationEditor(curved).clear("capitate")
    with pytest.raises(InputError, match="place capitate first"):
        AnnotationEditor(curved).place_curve(FINGER, [[10, 20], [50, 20]])


def test_a_line_outside_the_image_is_refused(curved):
    with pytest.raises(InputError, match="leaves the image"):
        AnnotationEditor(curved).place_curve(FINGER, [[10, 20], [-500, 20], [50, 20]])
    assert np.isnan(placed(curved)).all()


def test_the_layer_gives_the_line_and_goes(curved, viewer, qtbot):
    drawn = []
    drawing = CurveDrawing(viewer, curved, FINGER, done=drawn.append)
    layer = viewer.layers[f"Draw finger: from {FINGER.start} to {FINGER.end}"]
    assert layer.mode == "add_path"
    layer.add([[10.0, 20.0], [30.0, 60.0], [50.0, 20.0]], shape_type="path")
    qtbot.waitUntil(lambda: bool(drawn), timeout=2000)
    np.testing.assert_allclose(drawn[0], [[10, 20], [30, 60], [50, 20]])
    assert layer not in viewer.layers
    drawing.stop()
    assert len(drawn) == 1


def test_another_image_ends_the_drawing(curved, viewer):
    drawn = []
    drawing = CurveDrawing(viewer, curved, FINGER, done=drawn.append)
    curved.step(1)
    assert drawn == [None]
    drawing.stop()
    assert drawn == [None]
    assert not any(layer.name.startswith("Draw") for layer in viewer.layers)


def test_a_press_alone_is_no_line(curved, viewer, qtbot):
    """As napari reports a line: at the press with one position twice, and at its end."""
    drawn = []
    drawing = CurveDrawing(viewer, curved, FINGER, done=drawn.append)
    layer = drawing._layer
    layer.add([[10.0, 20.0], [10.0, 20.0]], shape_type="path")
    qtbot.wait(50)
    assert drawn == []
    layer.data = []
    layer.add([[10.0, 20.0], [50.0, 60.0]], shape_type="path")
    qtbot.waitUntil(lambda: bool(drawn), timeout=2000)
    np.testing.assert_allclose(drawn[0], [[10, 20], [50, 60]])
