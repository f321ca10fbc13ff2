"""Renaming in a thread: nothing of a person is lost, however it ends."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.study import file_replacement
from napari_landmark.data.study.study import Study
from napari_landmark.gui.jobs.change_landmarks import change_landmarks
from napari_landmark.gui.session.annotation_editor import AnnotationEditor

from ..conftest import NAMES, on_disk, predict

NEW = (*NAMES[:3], "wrist")


@pytest.fixture
def placed(session, truth):
    """A session with an annotation and a prediction."""
    AnnotationEditor(session).place("capitate", (5, 5))
    predict(session, "hand_001.png", truth["hand_001.png"])
    return session


@pytest.fixture
def gate(monkeypatch):
    """Holds a renaming before its files are flushed to the disk, until it is set."""
    opened, sync = threading.Event(), file_replacement.os.fsync

    def fsync(handle):
        if threading.current_thread() is not threading.main_thread():
            opened.wait(10)
        sync(handle)

    monkeypatch.setattr(file_replacement.os, "fsync", fsync)
    yield opened
    opened.set()


def rename(session):
    return change_landmarks(session, replace(session.schema, names=NEW), {"capitate": "wrist"})


def idle(session):
    return lambda: session.job is None


def test_it_renames_and_tells_everyone(placed, qtbot, truth):
    changed = []
    placed.study_changed.connect(lambda: changed.append(placed.schema.names))
    placed.select_landmark("capitate")
    rename(placed)
    qtbot.waitUntil(idle(placed), timeout=10_000)
    assert changed == [NEW]
    assert placed.current_landmark == "wrist"
    assert placed.annotation()["wrist"].position == (5, 5)
    assert on_disk(placed)["wrist"].position == (5, 5)
    assert placed.prediction("hand_001.png")["wrist"].position == pytest.approx(
        tuple(truth["hand_001.png"][3]), abs=1e-5
    )
    assert placed.undo_stack.undo_label == ""
    AnnotationEditor(placed).place("wrist", (6, 6))
    assert on_disk(placed)["wrist"].position == (6, 6)


def test_nothing_can_be_placed_meanwhile_and_the_old_names_stay(placed, qtbot, gate):
    rename(placed)
    with pytest.raises(InputError, match="being renamed"):
        AnnotationEditor(placed).place("thumb_tip", (1, 1))
    with pytest.raises(InputError, match="is running"):
        rename(placed)
    assert placed.annotation()["capitate"].position == (5, 5)
    gate.set()
    qtbot.waitUntil(idle(placed), timeout=10_000)
    AnnotationEditor(placed).place("thumb_tip", (1, 1))
    found = on_disk(placed)
    assert (found["thumb_tip"].position, found["wrist"].position) == ((1, 1), (5, 5))


def test_cancelling_leaves_all_as_it_was(placed, qtbot, gate, messages):
    job = rename(placed)
    job.cancel()
    gate.set()
    qtbot.waitUntil(idle(placed), timeout=10_000)
    assert "Renaming was cancelled" in messages[-1][1]
    assert placed.schema.names == NAMES
    assert Study.open(placed.study.folder).schema.names == NAMES
    AnnotationEditor(placed).place("capitate", (7, 7))
    assert on_disk(placed)["capitate"].position == (7, 7)


def test_a_failure_is_told_and_leaves_all_as_it_was(placed, qtbot, monkeypatch, messages):
    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(file_replacement.os, "fsync", full)
        rename(placed)
        qtbot.waitUntil(idle(placed), timeout=10_000)
    assert "No space left" in messages[-1][1]
    assert placed.schema.names == NAMES
    AnnotationEditor(placed).place("capitate", (7, 7))
    assert on_disk(placed)["capitate"].position == (7, 7)


def test_other_changes_are_made_at_once(placed):
    assert change_landmarks(placed, replace(placed.schema, definitions=("new", "", "", "")), {}) is None
    assert placed.job is None
    assert placed.schema.definitions[0] == "new"
