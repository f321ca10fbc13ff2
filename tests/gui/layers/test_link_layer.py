from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose

from napari_landmark.data.curves import Curve
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.links import Link
from napari_landmark.data.measurement_language.definition import MeasurementSchema
from napari_landmark.data.study.schema_migration import with_curve
from napari_landmark.gui.layers.viewer_session import get_layer_manager, get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.schema_editor import SchemaEditor
from napari_landmark.measurement.superimposition import superimpose

from ..conftest import NAMES


@pytest.fixture
def links(viewer):
    session = get_session(viewer)
    SchemaEditor(session).set_measurements(MeasurementSchema(), links=(Link((NAMES[0], NAMES[3], NAMES[1])),))
    return get_layer_manager(viewer).links


def test_links_are_drawn_between_placed_landmarks(viewer, links, truth):
    session = get_session(viewer)
    editor, points = AnnotationEditor(session), truth[session.current_image]
    assert len(links.layer.data) == 0
    for row in (0, 3):
        editor.place(NAMES[row], points[row])
    assert_allclose(links.layer.data, [[points[0], points[3] - points[0]]], atol=1e-5)
    names = [layer.name for layer in viewer.layers]
    assert names.index("Links") < names.index("Landmarks")


def test_links_follow_a_point_that_is_dragged(viewer, links, truth):
    session = get_session(viewer)
    editor, points = AnnotationEditor(session), truth[session.current_image]
    for row in (0, 3):
        editor.place(NAMES[row], points[row])
    layer = get_layer_manager(viewer).landmarks.layer
    session.set_placing(False)
    layer.selected_data = {0}
    heard = []
    session.landmark_dragged.connect(lambda name, position: heard.append((name, position)))
    layer._set_drag_start([0], points[0])
    with layer.events.data.blocker():  # as napari does while the mouse moves
        layer._move([0], points[0] + [2, 4])
    assert heard[-1][0] == NAMES[0]
    assert_allclose(heard[-1][1], points[0] + [2, 4], atol=1e-5)
    assert_allclose(links.layer.data[0, 0], points[0] + [2, 4], atol=1e-5)
    assert_allclose(session.annotation()[NAMES[0]].position, points[0], atol=1e-5)


def test_curves_are_drawn_as_links_are(viewer, truth):
    session = get_session(viewer)
    SchemaEditor(session).set_schema(with_curve(session.schema, Curve("edge", NAMES[0], NAMES[1], 1)))
    links, points = get_layer_manager(viewer).links, truth[session.current_image]
    for name, position in ((NAMES[0], points[0]), (NAMES[1], points[1]), ("edge[1]", points[2])):
        AnnotationEditor(session).place(name, position)
    expected = [[points[0], points[2] - points[0]], [points[2], points[1] - points[2]]]
    assert_allclose(links.layer.data, expected, atol=1e-5)


def test_a_study_without_links_has_no_layer(viewer, links):
    session = get_session(viewer)
    assert links.layer is not None
    schema = dataclasses.replace(session.study.schema, links=())
    SchemaEditor(session).set_schema(schema)
    assert links.layer is None


def test_another_image_is_drawn_over_and_removed_with_the_next(viewer, links, truth):
    session = get_session(viewer)
    first, second = session.names[:2]
    marks = {name: LandmarkSet.from_array(session.schema, truth[name]) for name in (first, second)}
    geometry = Geometry((300, 300))
    found = superimpose(
        marks[first], marks[second], NAMES[:3], fixed_geometry=geometry, moving_geometry=geometry
    )
    layers = get_layer_manager(viewer).superimposition
    before = len(viewer.layers)
    layers.show(second, found)
    assert len(viewer.layers) == before + 2
    assert_allclose(np.asarray(viewer.layers[f"Landmarks of {second}"].data), found.moved)
    session.show(second)
    assert len(viewer.layers) == before
