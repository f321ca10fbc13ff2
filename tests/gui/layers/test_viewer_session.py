"""Each viewer has one session, which ends with it."""

from __future__ import annotations

import gc
import weakref

from napari.components import ViewerModel

from napari_landmark.gui.layers.viewer_session import get_session


def test_a_viewer_that_is_gone_takes_its_session_along(study, cohort):
    viewer = ViewerModel()
    session = get_session(viewer)
    session.open(study, cohort)
    gone = weakref.ref(session)
    session.close()
    del viewer, session
    gc.collect()
    assert gone() is None
