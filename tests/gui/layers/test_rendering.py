"""Clicks in the 3-D rendering meet the surface that is shown."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.gui.layers.viewer_session import get_layer_manager, get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor

from ..conftest import on_disk, predict
from ..volumes import CENTRE, RADIUS, SHAPE, SPACING


@pytest.fixture
def session(volume_viewer):
    return get_session(volume_viewer)


@pytest.fixture
def rendering(volume_viewer):
    rendering = get_layer_manager(volume_viewer).rendering
    rendering.show(True)
    return rendering


@pytest.fixture
def heard(session):
    texts = []

    def hear(kind, text):
        texts.append(text)

    session.message.connect(hear)
    session._hear = hear  # psygnal keeps no strong reference
    return texts


def ray(rendering, through, direction):
    """A click along a ray of the world through an index position, seen from far away."""
    image = get_layer_manager(rendering._viewer()).image
    world = np.asarray(image.data_to_world(through))
    direction = np.asarray(direction, float) / np.linalg.norm(direction)
    rendering.click(world - 300 * direction, direction, (0, 1, 2))


@pytest.mark.parametrize("direction", [(1, 0, 0), (0, -1, 0), (0.4, 0.5, -0.7), (-0.3, 0.9, 0.2)])
def test_a_click_places_on_the_first_bright_surface(rendering, session, direction):
    session.display.set_threshold(520)  # half of bone and water
    ray(rendering, CENTRE, direction)
    placed = np.array(on_disk(session)["one"].position)
    expected = CENTRE * SPACING - RADIUS * np.array(direction) / np.linalg.norm(direction)
    assert np.linalg.norm(placed * SPACING - expected) < 0.5 * max(SPACING)
    assert session.crosshair.position == pytest.approx(tuple(placed), abs=1e-5)


def test_it_says_why_nothing_was_placed(rendering, session, heard, volume_viewer):
    for change, word in (
        (lambda: ray(rendering, (8, 1, 1), (1, 0, 0)), "lower the threshold"),
        (lambda: ray(rendering, (-90, -90, -90), (0, 0, 1)), "beside the volume"),
    ):
        change()
        assert "Nothing was placed" in heard[-1] and word in heard[-1]
    get_layer_manager(volume_viewer).image.visible = False
    ray(rendering, CENTRE, (1, 0, 0))
    assert "hidden" in heard[-1]
    volume_viewer.layers.clear()
    rendering.click((0, 0, 0), (1, 0, 0), (0, 1, 2))
    assert "removed" in heard[-1]
    assert on_disk(session).ndim is None


def test_the_threshold_that_is_shown_is_the_one_that_is_met(rendering, session, volume_viewer):
    image = get_layer_manager(volume_viewer).image
    assert image.rendering == "iso" and image.iso_threshold == session.display.threshold == 300
    image.iso_threshold = 700
    assert session.display.threshold == 700
    low, high = image.contrast_limits
    assert low < 700 < high
    session.display.choose("Brain")  # 0 to 80: all of the surface is beyond
    low, high = image.contrast_limits
    assert low < 700 < high
    rendering.show(False)
    assert tuple(image.contrast_limits) == (0, 80)


def test_no_tool_of_napari_places_or_drags_there(rendering, session, volume_viewer):
    layer = volume_viewer.layers["Landmarks"]
    assert session.placing and str(layer.mode) == "pan_zoom"
    layer.mode = "add"
    assert str(layer.mode) == "pan_zoom" and session.placing
    layer.add((4.0, 4.0, 4.0))
    assert on_disk(session).ndim is None and not len(layer.data)
    rendering.show(False)
    assert str(layer.mode) == "add"


def test_an_unnamed_study_gets_no_landmark_by_a_click_beside(rendering, session):
    session.adding = True
    ray(rendering, (8, 1, 1), (1, 0, 0))
    assert session.schema == LandmarkSchema(("one", "two", "three"))


def test_a_click_on_a_landmark_selects_it(rendering, session):
    AnnotationEditor(session).place("two", tuple(CENTRE))
    session.set_placing(False)
    session.select_landmark("one")
    ray(rendering, CENTRE, (0.2, 0.3, 0.9))
    assert session.current_landmark == "two"


def test_rings_are_spheres_of_the_expected_error(rendering, session, volume_viewer):
    predict(session, session.current_image, np.tile(CENTRE, (3, 1)), error=2.0)
    rings = volume_viewer.layers["Expected error (average)"]
    assert str(rings.shading) == "spherical"
    # napari takes sizes along the last axis; errors are in voxels of the mean spacing.
    mean = np.prod(SPACING) ** (1 / 3)
    np.testing.assert_allclose(rings.size * rings.scale[-1], 2 * 2.0 * mean)
    rendering.show(False)
    assert str(rings.shading) == "none"


def test_pictures_are_not_rendered(viewer):
    get_layer_manager(viewer).rendering.show(True)
    assert viewer.dims.ndisplay == 2


def test_from_the_rendering_to_a_study_of_pictures(rendering, session, volume_viewer, study, cohort):
    session.open(study, cohort)
    assert volume_viewer.dims.ndisplay == 2
    assert len(SHAPE) == 3 and str(volume_viewer.layers["Landmarks"].mode) == "add"
