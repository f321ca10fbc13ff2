"""Spacing from two clicked points."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.gui.dialogs.calibration import Calibration, spacing_from
from napari_landmark.gui.layers.viewer_session import get_session


@pytest.fixture
def session(viewer):
    return get_session(viewer)


class TestCalibration:
    def test_two_clicks_and_a_length(self, viewer, session, qtbot):
        found = []
        calibration = Calibration(viewer, session, ask=lambda: 25.0, done=found.append)
        layer = viewer.layers.selection.active
        layer.add([10, 10])
        layer.add([40, 50])
        qtbot.waitUntil(lambda: bool(found), timeout=1000)
        assert found == [0.5]
        assert layer not in viewer.layers
        calibration.stop()  # twice does no harm

    def test_giving_up_changes_nothing(self, viewer, session, qtbot):
        found = []
        calibration = Calibration(viewer, session, ask=lambda: None, done=found.append)
        viewer.layers.selection.active.add([[10, 10], [40, 50]])
        qtbot.waitUntil(lambda: bool(found), timeout=1000)
        assert found == [None]
        calibration.stop()

    def test_points_on_each_other_are_refused(self):
        with pytest.raises(InputError, match="both ends"):
            spacing_from(np.array([3, 3]), np.array([3, 3.2]), 10)
