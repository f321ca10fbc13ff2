"""Ellipses instead of rings where covariances are known, fitted to corrections."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.calibration.region_calibration import RegionCalibration
from napari_landmark.data.landmarks import Landmark, LandmarkSet, Status
from napari_landmark.gui.layers.error_ellipses import NAME, ellipse
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.session import region_coverage
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.region_coverage import RegionCoverage

from ..conftest import predict

COVARIANCE = ((1.0, 0.0), (0.0, 9.0))
RADIUS = np.sqrt(2 * np.log(10))  # of the 90% region of a normal distribution with two axes


@pytest.fixture
def session(viewer):
    return get_session(viewer)


def stated(session, positions):
    """Show predictions with covariances in the current image."""
    image = session.current_image
    rows = np.broadcast_to(np.array(COVARIANCE), (len(positions), 2, 2))
    marks = LandmarkSet.from_array(
        session.schema,
        positions,
        Status.PREDICTED,
        np.full(len(positions), 0.5),
        np.full(len(positions), 2.7),
        rows,
    )
    session.study.save_predictions(image, marks, session.geometry(image))
    session.load_predictions({image: marks})


def test_border_of_the_region():
    lines = ellipse(Landmark("a", (10, 20), Status.PREDICTED, covariance=COVARIANCE), 2.0)
    offsets = lines[:, 0] - (10, 20)
    assert np.abs(offsets).max(0) == pytest.approx([2 * RADIUS, 2 * 3 * RADIUS], rel=0.01)
    np.testing.assert_allclose(lines[0, 0], lines[-1].sum(0), atol=1e-9)


def test_ellipses_instead_of_rings(viewer, session, truth):
    positions = truth[session.current_image]
    stated(session, positions)
    layer = viewer.layers[NAME]
    assert len(layer.data) == 40 * len(positions)
    assert viewer.layers["Expected error (average)"].size.max() < 0.01
    bright = layer.edge_color[:, 3].reshape(len(positions), -1)
    assert (bright[0] > 0.9).all() == (session.current_landmark == session.schema.names[0])
    predict(session, session.current_image, positions, error=3.0)
    assert NAME not in viewer.layers
    assert viewer.layers["Expected error (average)"].size.max() == pytest.approx(6)


def test_each_is_scaled_as_corrections_calibrate_its_landmark(viewer, session, truth, monkeypatch):
    factors = np.array([1.0, 2.0, 0.5, 3.0])
    calibration = RegionCalibration(factors, np.ones(4), 5, 20, 0.8)
    monkeypatch.setattr(region_coverage, "region_coverage", lambda _: RegionCoverage(calibration))
    stated(session, truth[session.current_image])
    starts = viewer.layers[NAME].data[:, 0].reshape(4, 40, 2)
    assert np.ptp(starts, axis=1)[:, 1] == pytest.approx(2 * 3 * RADIUS * factors, rel=0.01)


def test_a_corrected_landmark_has_none(viewer, session, truth):
    positions = truth[session.current_image]
    stated(session, positions)
    AnnotationEditor(session).place(session.schema.names[0], positions[0] + 1)
    assert len(viewer.layers[NAME].data) == 40 * (len(positions) - 1)
