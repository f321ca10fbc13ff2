"""Row of controls that choose the listed images."""

from __future__ import annotations

import pytest

from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.review_filter import ReviewFilter, ReviewState
from napari_landmark.gui.widgets.cohort_table import CohortTable

from ..conftest import NAMES, predict


@pytest.fixture
def table(session, qtbot, truth):
    for number, name in enumerate(session.names):
        predict(session, name, truth[name], error=1.0 + number)
    made = CohortTable(session)
    qtbot.addWidget(made)
    made.resize(390, 200)
    made.show()
    return made


def choose(box, text):
    box.setCurrentIndex(box.findText(text))
    box.activated.emit(box.currentIndex())


def test_it_tells_how_many_of_how_many(table, session):
    bar = table.filter
    assert bar.count.text() == "4 of 4"
    assert not bar.count.isEnabled()
    session.show("hand_001.png")
    AnnotationEditor(session).accept()
    choose(bar.state, "To review")
    assert bar.count.text() == "3 of 4 ✕"
    assert table.names == ["hand_003.png", "hand_002.png", "hand_000.png"]
    bar.count.click()
    assert bar.value == ReviewFilter()
    assert len(table.names) == 4


def test_a_landmark_has_its_own_error_in_the_list_and_a_click_selects_it(table, session):
    choose(table.filter.landmark, "capitate")
    assert table.model.index(0, 2).data() == "4.0 px"
    session.select_landmark("thumb_tip")
    table._on_chosen(table.model.index(1, 0))
    assert (session.current_image, session.current_landmark) == ("hand_002.png", "capitate")


def test_a_row_stays_while_it_is_worked_on(table, session):
    choose(table.filter.state, str(ReviewState.TO_REVIEW))
    session.show(table.names[0])
    AnnotationEditor(session).accept()
    assert len(table.names) == 4
    choose(table.filter.state, str(ReviewState.TO_REVIEW))  # chosen again: listed anew
    assert len(table.names) == 3


def test_the_least_error_has_the_unit_of_the_images(table, session):
    bar = table.filter
    assert bar.least.suffix() == " px"
    bar.least.setValue(3.5 * session.pixel_lengths["hand_003.png"])
    assert table.names == ["hand_003.png"]


def test_it_offers_the_landmarks_of_the_study(table):
    box = table.filter.landmark
    assert [box.itemText(number) for number in range(box.count())] == ["Any landmark", *NAMES]


def test_an_image_is_ticked_once_all_its_landmarks_are_decided_on(table, session):
    session.show("hand_003.png")
    AnnotationEditor(session).place("thumb_tip", (5, 5))
    assert table.model.index(0, 1).data() == "1 of 4 reviewed"
    AnnotationEditor(session).accept()
    assert table.model.index(0, 1).data() == "✓ corrected"
