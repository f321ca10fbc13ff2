"""Order and pace of review, and accepting many predictions."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.landmarks import LandmarkSet, Status
from napari_landmark.gui.jobs.accept import accept_job, below_limit
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.contact_items import ContactFilter, contact_items
from napari_landmark.gui.session.review_queue import ReviewProgress, ReviewQueue

from ..conftest import NAMES, on_disk, predict


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(session, truth, clock) -> ReviewQueue:
    """Two images with predictions; those of hand_002 are more doubtful."""
    made = ReviewQueue(session, clock=clock)
    predict(session, "hand_001.png", truth["hand_001.png"], error=1.0)
    predict(session, "hand_002.png", truth["hand_002.png"], error=3.0)
    made._on_study()
    return made


def test_the_most_doubtful_comes_first_and_each_once(session, queue):
    seen = []
    for _ in range(8):
        queue.go_to_next()
        seen.append((session.current_image, session.current_landmark))
    assert seen[:4] == [("hand_002.png", name) for name in NAMES]
    assert seen[4:] == [("hand_001.png", name) for name in NAMES]
    queue.go_to_next()
    assert (session.current_image, session.current_landmark) == seen[0]


def test_what_is_decided_is_left_out_and_the_order_goes_on(session, queue):
    editor = AnnotationEditor(session)
    queue.go_to_next()
    editor.accept_landmark(session.current_landmark)
    queue.go_to_next()
    assert session.current_landmark == NAMES[1]
    editor.mark_missing(NAMES[1])
    queue.go_to_next()
    assert (session.current_image, session.current_landmark) == ("hand_002.png", NAMES[2])


def test_nothing_left_is_said(session, queue):
    editor = AnnotationEditor(session)
    for name in ("hand_001.png", "hand_002.png"):
        session.show(name)
        editor.accept()
    with pytest.raises(InputError, match="every prediction"):
        queue.go_to_next()


def test_accepting_an_image_goes_to_the_next_of_the_list_that_is_not_reviewed(session, queue, truth):
    predict(session, "hand_003.png", truth["hand_003.png"], error=2.0)
    session.image_order.follow_list(["hand_002.png", "hand_000.png", "hand_003.png", "hand_001.png"])
    session.show("hand_002.png")
    queue.accept_image()
    assert session.current_image == "hand_003.png"  # hand_000 has no predictions
    assert queue.progress.reviewed == 1
    queue.accept_image()
    queue.accept_image()
    told = []
    session.message.connect(lambda kind, text: told.append((kind, text)))
    assert session.current_image == "hand_001.png"
    assert queue.progress.reviewed == 3
    queue.accept_image()
    assert told == [("info", "Every image of the list is reviewed.")]


def test_it_goes_on_from_the_first_and_to_the_most_doubtful_landmark(session, queue):
    session.show("hand_002.png")
    doubtful = session.prediction("hand_001.png")
    marks = [
        dataclasses.replace(mark, expected_error=9.0) if mark.name == NAMES[2] else mark
        for mark in doubtful.values()
    ]
    session.load_predictions()
    session.landmark_store._predictions.put("hand_001.png", LandmarkSet(doubtful.schema, marks))
    queue.accept_image()
    assert (session.current_image, session.current_landmark) == ("hand_001.png", NAMES[2])


def test_an_image_that_cannot_be_read_does_not_stop_the_way(session, queue, truth, monkeypatch):
    predict(session, "hand_003.png", truth["hand_003.png"])
    session.show("hand_001.png")
    read = session._read

    def fails(name: str) -> object:
        if name == "hand_002.png":
            raise InputError("cannot be read")
        return read(name)

    monkeypatch.setattr(session, "_read", fails)
    queue.accept_image()
    assert session.current_image == "hand_003.png"
    with pytest.raises(InputError, match="cannot be read"):
        queue.accept_image()


def test_without_predictions_there_is_nothing_to_accept(session):
    with pytest.raises(InputError, match="no prediction"):
        ReviewQueue(session).accept_image()


def test_an_image_is_reviewed_once_all_its_landmarks_are_decided(session, queue):
    editor = AnnotationEditor(session)
    session.show("hand_001.png")
    editor.accept_landmark(NAMES[0])
    assert queue.progress.reviewed == 0
    editor.accept()
    assert queue.progress.reviewed == 1
    editor.undo()
    assert queue.progress.reviewed == 0


def test_the_pace_tells_how_long_it_will_take(session, queue, clock, truth):
    editor = AnnotationEditor(session)
    for name in session.names[:3]:
        predict(session, name, truth[name])
    assert queue.progress.seconds_left is None
    for number, name in enumerate(session.names[:3]):
        clock.now += 30 if number != 1 else 20
        session.show(name)
        editor.accept()
    assert queue.progress.seconds_left == pytest.approx(30)
    assert queue.progress.reviewed == 3


def test_text_of_the_progress():
    assert ReviewProgress(37, 148, 12, 540.0).text == "37 of 148 reviewed, 12 corrected, about 9 minutes left"
    assert ReviewProgress(0, 148, 0, None).text == "0 of 148 reviewed"
    assert ReviewProgress(147, 148, 0, 20.0).text == "147 of 148 reviewed, about a minute left"
    assert ReviewProgress(148, 148, 3, 0.0).text == "148 of 148 reviewed, 3 corrected"


class TestContactItems:
    def test_one_landmark_in_all_images_worst_first(self, session, queue):
        items = contact_items(session, landmark="capitate")
        assert [item.image for item in items] == ["hand_002.png", "hand_001.png"]
        assert {item.landmark for item in items} == {"capitate"}

    def test_of_one_image(self, session, queue, truth):
        items = contact_items(session, image="hand_001.png")
        assert [item.landmark for item in items] == list(NAMES)
        np.testing.assert_allclose([item.center for item in items], truth["hand_001.png"], atol=1e-5)

    def test_filters(self, session, queue, truth):
        session.show("hand_002.png")
        AnnotationEditor(session).accept_landmark("capitate")
        chosen = {
            choice: [item.image for item in contact_items(session, landmark="capitate", chosen=choice)]
            for choice in ContactFilter
        }
        assert chosen[ContactFilter.ALL] == ["hand_001.png", "hand_002.png"]
        assert chosen[ContactFilter.UNDECIDED] == ["hand_001.png"]
        assert chosen[ContactFilter.MANUAL] == ["hand_002.png"]
        assert chosen[ContactFilter.DOUBTFUL] == chosen[ContactFilter.ODD] == []
        predict(session, "hand_003.png", truth["hand_003.png"], image_state=ImageState.DOUBTFUL)
        found = contact_items(session, landmark="capitate", chosen=ContactFilter.DOUBTFUL)
        assert [item.image for item in found] == ["hand_003.png"]

    def test_a_least_error_leaves_small_ones_out(self, session, queue):
        limit = 2.0 * session.pixel_lengths["hand_001.png"]
        found = contact_items(session, landmark="capitate", least_error=limit)
        assert [item.image for item in found] == ["hand_002.png"]


class TestAcceptingMany:
    def run(self, qtbot, session, chosen) -> None:
        session.run(accept_job(session, chosen))
        qtbot.waitUntil(lambda: session.job is None, timeout=5000)

    def test_those_below_the_limit_are_accepted_and_undone_as_one(self, session, queue, truth, qtbot):
        limit = 2.0 * session.pixel_lengths["hand_001.png"]
        predict(session, "hand_003.png", truth["hand_003.png"], error=1.0)
        chosen = below_limit(session, queue, limit)
        assert set(chosen) == {"hand_001.png", "hand_003.png"}
        self.run(qtbot, session, chosen)
        for image in chosen:
            assert {mark.status for mark in on_disk(session, image).values()} == {Status.PLACED}
            np.testing.assert_allclose(session.result(image).positions(), truth[image], atol=1e-5)
        assert session.result("hand_002.png")["capitate"].status is Status.PREDICTED
        AnnotationEditor(session).undo()
        for image in chosen:
            assert {mark.status for mark in on_disk(session, image).values()} == {Status.UNPLACED}
        AnnotationEditor(session).redo()
        assert on_disk(session, "hand_003.png")["capitate"].status is Status.PLACED

    def test_what_a_person_placed_stays(self, session, queue, qtbot):
        session.show("hand_001.png")
        AnnotationEditor(session).place("capitate", (5.0, 6.0))
        self.run(qtbot, session, {"hand_001.png": list(NAMES)})
        assert on_disk(session, "hand_001.png")["capitate"].position == (5.0, 6.0)
        assert on_disk(session, "hand_001.png")["capitate"].status is Status.CORRECTED

    def test_flagged_images_are_not_accepted(self, session, queue, truth):
        predict(session, "hand_003.png", truth["hand_003.png"], error=0.1, image_state=ImageState.FOREIGN)
        assert "hand_003.png" not in below_limit(session, queue, 1e9)
