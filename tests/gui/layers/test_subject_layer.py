"""Further subjects of the current image: shown where they are, and never edited."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.image_state import ImageState
from napari_landmark.gui.layers.subject_layer import NAME
from napari_landmark.gui.layers.viewer_session import get_layer_manager, get_session
from napari_landmark.gui.widgets.review import ReviewWidget

from ..conftest import predict


@pytest.fixture
def session(viewer):
    return get_session(viewer)


@pytest.fixture
def several(session, truth):
    """The first image shows a second subject, 3 pixels to the right of the first, and a third."""
    name = session.names[0]
    beside, below = truth[name] + (0, 3), truth[name] + (4, 0)
    predict(session, name, truth[name], image_state=ImageState.SEVERAL, further=(beside, below))
    session.show(name)
    return beside, below


def test_they_are_shown_where_they_are_once_asked_for(viewer, session, several, qtbot):
    widget = ReviewWidget(viewer)
    qtbot.addWidget(widget)
    assert NAME not in viewer.layers
    assert not widget.subjects.isHidden()
    widget.subjects.click()
    layer = viewer.layers[NAME]
    np.testing.assert_allclose(layer.data, np.concatenate(several), atol=1e-4)
    assert list(layer.features["landmark"])[:1] == [f"{session.schema.names[0]} (2)"]
    assert not layer.editable
    assert viewer.layers.selection.active is get_layer_manager(viewer).landmarks.layer
    widget.subjects.click()
    assert NAME not in viewer.layers


def test_they_follow_the_image_and_new_predictions(viewer, session, several, truth, qtbot):
    widget = ReviewWidget(viewer)
    qtbot.addWidget(widget)
    widget.subjects.click()
    first, second = session.names[:2]
    session.show(second)
    assert NAME not in viewer.layers
    assert widget.subjects.isHidden()
    session.show(first)
    assert NAME in viewer.layers
    predict(session, first, truth[first], image_state=ImageState.FOUND)  # another model saw one subject
    assert NAME not in viewer.layers
    assert widget.subjects.isHidden()


def test_a_damaged_file_is_told_and_nothing_is_shown(viewer, session, several, qtbot):
    heard = []
    session.message.connect(lambda kind, text: heard.append((kind, text)))
    for file in (session.study.folder / "predictions" / "subjects").iterdir():
        file.write_text("image,landmark,x,y\nother.png,thumb_tip,1,2\n")
    get_layer_manager(viewer).subjects.show(True)
    assert NAME not in viewer.layers
    assert [kind for kind, _ in heard] == ["error"]
    assert "subject" in heard[0][1]
