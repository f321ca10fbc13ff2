"""State and expected error of an image, from its annotation and its prediction."""

from __future__ import annotations

import math

import pytest

from napari_landmark.data.image_state import ImageState
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.schema_editor import SchemaEditor

from ..conftest import predict


def test_the_expected_error_is_of_predictions_that_no_annotation_replaces(session, truth):
    name = session.current_image
    store = session.require_store()
    assert store.expected_error(name) == (-math.inf, -math.inf)
    predict(session, name, truth[name], error=2.0)
    assert store.expected_error(name) == pytest.approx((2.0, 2.0))
    editor = AnnotationEditor(session)
    editor.place("thumb_tip", (5, 5))
    editor.mark_missing("index_tip")
    assert store.expected_error(name) == pytest.approx((2.0, 2.0))
    editor.accept()
    assert store.expected_error(name) == (-math.inf, -math.inf)
    editor.undo()
    assert store.expected_error(name) == pytest.approx((2.0, 2.0))


def test_the_state_of_an_image(session, truth):
    name, store, editor = session.current_image, session.require_store(), AnnotationEditor(session)
    assert store.state(name) == ""
    editor.mark_missing("index_tip")
    assert store.state(name) == "annotated"
    editor.undo()
    predict(session, name, truth[name])
    assert store.state(name) == "predicted"
    editor.place("thumb_tip", (5, 5))
    assert store.state(name) == "corrected"


def test_states_are_counted_and_flagged_as_they_are_now(session, truth):
    first, second = session.names[:2]
    store, editor = session.require_store(), AnnotationEditor(session)
    predict(session, first, truth[first], error=3.0, image_state=ImageState.FOREIGN)
    assert store.state_counts(session.names)["predicted"] == 1
    assert store.flagged_images() == {first}
    assert store.expected_errors((second, first)) == {
        second: (-math.inf, -math.inf),
        first: pytest.approx((3.0, 3.0)),
    }
    session.show(first)
    editor.place("thumb_tip", (5, 5))
    assert store.state_counts(session.names) == {"corrected": 1, "": len(session.names) - 1}
    assert not store.flagged_images()
    assert store.result(first)["thumb_tip"].position == (5, 5)
    editor.undo()
    assert store.result(first)["thumb_tip"].position == pytest.approx(truth[first][0], abs=1e-6)
    predict(session, first, truth[first] + 1)
    assert store.result(first)["thumb_tip"].position == pytest.approx(truth[first][0] + 1, abs=1e-6)


def test_states_are_those_of_the_landmarks_of_now_after_a_change_of_names(session, truth):
    name, store = session.current_image, session.require_store()
    predict(session, name, truth[name], error=2.0)
    AnnotationEditor(session).place("thumb_tip", (5, 5))
    assert store.state_counts(session.names)["corrected"] == 1
    SchemaEditor(session).rename("thumb_tip", "thumb")
    assert store.state_counts(session.names)["corrected"] == 1
    assert store.result(name)["thumb"].position == (5, 5)
    SchemaEditor(session).set_schema(session.schema.part(session.schema.names[1:]))
    assert store.state_counts(session.names) == {"predicted": 1, "": len(session.names) - 1}
