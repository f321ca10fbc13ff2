"""Private names of napari: the installed version has them, and a version without them gives the same landmarks."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Points
from qtpy.QtWidgets import QWidget

import napari_landmark.gui
from napari_landmark.data.landmarks import Status
from napari_landmark.gui.canvas.canvas_view import show_canvas_view
from napari_landmark.gui.keys import bind_keys
from napari_landmark.gui.layers import napari_internals
from napari_landmark.gui.layers.viewer_session import get_layer_manager, get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor

from ..conftest import NAMES, on_disk, predict


@pytest.fixture
def absent(monkeypatch):
    """A version of napari without any of the names."""
    monkeypatch.setattr(napari_internals, "_private", lambda owner, name: None)


def test_the_installed_version_has_all(make_napari_viewer):
    """Where this fails, a name was changed by napari: the viewer is right, and slower than it need be."""
    viewer = make_napari_viewer()
    layer = viewer.add_points(np.zeros((1, 2)))
    assert isinstance(napari_internals.canvas_widget(viewer), QWidget)
    assert isinstance(napari_internals.main_window(viewer), QWidget)
    assert len(napari_internals.color_managers(layer)) == 2
    assert napari_internals.slider_setter(viewer) is not None
    layer.data = np.array([[5.0, 5.0], [5.0, 5.2]])
    asked = []
    napari_internals.choose_point(layer, lambda top, shown, at: asked.append((top, set(shown))) or 0)
    assert layer.get_value((5.0, 5.1)) == 0
    assert asked == [(1, {0, 1})]
    with napari_internals.undrawn(layer):
        drawn = []
        layer.events.set_data.connect(drawn.append)
        layer.refresh()
        assert not drawn
    viewer.add_image(np.zeros((5, 4, 4)))
    viewer.dims.set_current_step(0, 2)
    for key, step in (("Left", 1), ("Right", 2)):
        napari_internals.slider_step(viewer, key)()
        assert viewer.dims.current_step[0] == step
    assert napari_internals.slider_step(viewer, "Up") is None


def test_no_other_module_uses_them():
    names = set(re.findall(r'"(_[a-z]\w+)"', Path(napari_internals.__file__).read_text(encoding="utf-8")))
    assert len(names) == 10
    used = re.compile(rf"""(?:(?<!self)\.|["'])(?:{"|".join(names)})\b""")
    modules = Path(napari_landmark.gui.__file__).parent.rglob("*.py")
    users = [path.name for path in modules if used.search(path.read_text(encoding="utf-8"))]
    assert users == ["napari_internals.py"]


@pytest.mark.usefixtures("absent")
def test_without_them_landmarks_are_placed_shown_and_kept(make_napari_viewer, study, cohort, truth):
    viewer = make_napari_viewer()
    session = get_session(viewer)
    session.open(study, cohort)
    predict(session, "hand_001.png", truth["hand_001.png"])
    assert show_canvas_view(viewer) is None
    bind_keys(viewer, session)
    layer = get_layer_manager(viewer).landmarks.layer
    layer.add([[20.0, 15.0]])  # as a click does
    assert on_disk(session)[NAMES[0]].position == (20, 15)
    session.step(1)
    np.testing.assert_allclose(layer.data, truth["hand_001.png"], atol=1e-3)
    editor = AnnotationEditor(session)
    editor.place(NAMES[2], (30.0, 25.0))
    np.testing.assert_allclose(layer.data[2], (30, 25))
    assert on_disk(session)[NAMES[2]].status is Status.CORRECTED
    editor.undo()
    np.testing.assert_allclose(layer.data, truth["hand_001.png"], atol=1e-3)
    assert layer.size.min() > 0, "they are seen as napari's own points"
    session.close()


@pytest.mark.usefixtures("absent")
def test_without_them_every_change_is_drawn(make_napari_viewer):
    viewer = make_napari_viewer()
    layer = Points(np.zeros((1, 2)))
    with napari_internals.undrawn(layer):
        layer.data = np.ones((2, 2))
    assert napari_internals.color_managers(layer) == []
    assert napari_internals.slider_step(viewer, "Left") is None
    assert len(layer.data) == 2
