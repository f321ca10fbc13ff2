"""Odd shapes as an order of review, of what persons and models placed."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.odd_shapes import OddShapes

from ..conftest import predict

NAMES = ("a", "b", "c", "d", "e", "f")


@pytest.fixture
def positions() -> np.ndarray:
    rng = np.random.default_rng(0)
    shape = rng.uniform(0, 100, (6, 2))
    return shape + rng.normal(0, 0.5, (12, 6, 2))


def images(count: int) -> list[str]:
    return [f"{n}.png" for n in range(count)]


def test_exchanged_landmarks_are_first_and_named(positions):
    positions[7, [1, 4]] = positions[7, [4, 1]]
    found = OddShapes.find(images(12), NAMES, positions, [Geometry((200, 200))] * 12)
    assert found.images[0] == "7.png"
    assert found.shapes["7.png"].exchanged == (("b", "e"),)
    assert found.shapes["7.png"].finding == "b and e seem exchanged"
    assert found.n_found == 1
    found.forget("7.png")
    assert found.n_found == 0
    assert found.images[0] == "7.png"


def test_pixels_that_are_not_square_are_no_other_shape(positions):
    """The same shape in millimetres in images of different pixels."""
    geometries = [Geometry((900, 900), (0.2, 0.8) if n % 2 else (1.0, 0.5)) for n in range(12)]
    index = np.stack([geometry.to_index(rows) for geometry, rows in zip(geometries, positions, strict=True)])
    found = OddShapes.find(images(12), NAMES, index, geometries)
    assert found.n_found == 0
    distorted = OddShapes.find(images(12), NAMES, positions.copy(), geometries)
    usual = np.median([shape.oddness for shape in found.shapes.values()])
    assert usual < 2
    assert distorted.images != found.images


def test_the_store_gives_what_persons_placed_before_what_models_did(session, truth):
    first, second, *_ = session.names
    predict(session, first, truth[first])
    predict(session, second, truth[second])
    session.show(first)
    editor, names = AnnotationEditor(session), session.schema.names
    editor.place(names[0], (3.0, 4.0))
    editor.mark_missing(names[1])
    found = session.require_store().positions(session.names, 2)
    np.testing.assert_allclose(found[0, 0], (3, 4))
    assert np.isnan(found[0, 1]).all()
    np.testing.assert_allclose(found[0, 2:], truth[first][2:], atol=1e-5)
    np.testing.assert_allclose(found[1], truth[second], atol=1e-5)
    assert np.isnan(found[2:]).all()
    editor.decide(ImageDecision.LEFT_OUT)
    assert np.isnan(session.require_store().positions(session.names, 2)[0]).all()


def test_a_changed_image_is_not_said_to_be_odd_any_more(session, truth):
    first = session.names[0]
    session.show(first)
    session.set_odd_shapes(
        OddShapes.find(session.names, NAMES[:4], np.full((len(session.names), 4, 2), np.nan), [])
    )
    assert first in session.odd_shapes.shapes
    AnnotationEditor(session).place(session.schema.names[0], (3.0, 4.0))
    assert first not in session.odd_shapes.shapes
    predict(session, first, truth[first])
    assert session.odd_shapes is None
