"""Expected errors of a cohort as an array."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.error_map import CellState, ErrorMap

from ..conftest import NAMES, predict


@pytest.fixture
def shown(session, truth) -> ErrorMap:
    for number, name in enumerate(session.names[1:], 1):
        predict(session, name, truth[name], error=float(number))
    return ErrorMap.of(session)


def test_rows_are_in_the_order_of_review_and_errors_compare_images(shown, session):
    assert shown.landmarks == NAMES
    assert shown.images == ("hand_003.png", "hand_002.png", "hand_001.png", "hand_000.png")
    lengths = np.array(
        [session.pixel_lengths[name] for name in shown.images[:3]]
    )  # pictures of several sizes
    expected = np.repeat((np.array([3.0, 2.0, 1.0]) * lengths)[:, None], 4, axis=1)
    np.testing.assert_allclose(shown.errors[:3], expected)
    assert np.isnan(shown.errors[3]).all()
    assert (shown.states[3] == CellState.EMPTY).all()
    assert (shown.states[:3] == CellState.PREDICTED).all()


def test_a_change_of_an_image_changes_its_row_alone(shown, session):
    session.show("hand_002.png")
    editor = AnnotationEditor(session)
    editor.place("thumb_tip", (5, 5))
    editor.mark_missing("index_tip")
    editor.accept_landmark("middle_tip")
    before = shown.states.copy()
    assert shown.update(session, "hand_002.png")
    expected = [CellState.CORRECTED, CellState.MISSING, CellState.PLACED, CellState.PREDICTED]
    assert shown.states[1].tolist() == expected
    np.testing.assert_array_equal(np.isnan(shown.errors[1]), [True, True, True, False])
    np.testing.assert_array_equal(shown.states[[0, 2, 3]], before[[0, 2, 3]])
    assert not shown.update(session, "another.png")


def test_a_row_of_several_images_has_their_worst_error():
    errors = np.array([[1.0, np.nan], [5.0, np.nan], [2.0, 3.0]])
    states = np.where(np.isnan(errors), CellState.CORRECTED, CellState.PREDICTED).astype(np.uint8)
    shown = ErrorMap(("a", "b", "c"), ("first", "second"), errors, states)
    reduced, kinds = shown.reduced(2)
    np.testing.assert_array_equal(reduced, [[5.0, np.nan], [2.0, 3.0]])
    assert kinds.tolist() == [
        [CellState.PREDICTED, CellState.CORRECTED],
        [CellState.PREDICTED, CellState.PREDICTED],
    ]
    assert shown.worst_row(0, 2, 0) == 1
    assert shown.worst_row(2, 3, 0) == 2
    assert (shown.row("b"), shown.row("d"), shown.column("second"), shown.column("")) == (1, -1, 1, -1)


def test_an_error_that_is_not_known_counts_as_the_largest():
    errors = np.array([[1.0], [np.inf]])
    shown = ErrorMap(("a", "b"), ("first",), errors, np.full((2, 1), CellState.PREDICTED, np.uint8))
    assert shown.worst_row(0, 2, 0) == 1
    assert shown.top == 1.0
