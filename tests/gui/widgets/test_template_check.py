"""The line of the Annotate widget about the pixels under a landmark."""

from __future__ import annotations

import pytest

from napari_landmark.data.images.self_match import SelfMatch
from napari_landmark.gui.layers.layer_transforms import camera_of
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.widgets.annotate import AnnotateWidget
from napari_landmark.gui.widgets.template_check import check_text


def found(**more):
    values = {
        "across": 0.4,
        "along": 0.8,
        "direction": (1.0, 0.0),
        "reach": 3.0,
        "nearest_edge": 0.0,
        "unit": "mm",
    }
    return SelfMatch(**{**values, **more})


def test_texts():
    assert check_text(found()) == ""
    assert check_text(found(nearest_edge=4.84)) == (
        "There is no structure within 3.0 mm of this landmark; the nearest edge is 4.8 mm away."
    )
    assert "no edge near it" in check_text(found(nearest_edge=None, unit="px"))
    assert "alike for about 2.6 mm along it and 0.4 mm across" in check_text(found(along=2.6))


@pytest.fixture
def annotate(viewer, qtbot):
    widget = AnnotateWidget(viewer)
    qtbot.addWidget(widget)
    return widget


def test_a_landmark_beside_the_hand(annotate, viewer, session, qtbot):
    name = session.current_landmark
    assert annotate.check.isHidden()
    AnnotationEditor(session).place(name, (1.0, 1.0))
    session.select_landmark(name)
    qtbot.waitUntil(lambda: not annotate.check.isHidden(), timeout=20_000)
    assert "no structure" in annotate.check.line.text()
    assert session.result()[name].position == (1.0, 1.0)  # never moved
    zoom = camera_of(viewer).zoom
    annotate.check.closer.click()
    assert camera_of(viewer).zoom == pytest.approx(3 * zoom)
    AnnotationEditor(session).clear(name)
    assert annotate.check.isHidden()
