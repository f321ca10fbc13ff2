"""The session of the viewer that the widgets are in."""

from __future__ import annotations

import pytest

from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.session.session import Session


@pytest.fixture
def session(viewer) -> Session:
    return get_session(viewer)
