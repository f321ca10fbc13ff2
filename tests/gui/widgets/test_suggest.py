"""Which image to annotate is found out beside the viewer, listed, and told where it cannot be said."""

from __future__ import annotations

import shutil
import threading

import pytest

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.study.study import Study
from napari_landmark.detection import template_selection as template
from napari_landmark.detection.suggestion import Suggestion
from napari_landmark.detection.template_selection import DEFAULT_MINUTES
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.widgets.annotate import AnnotateWidget
from napari_landmark.progress import ProgressEvent


@pytest.fixture
def panel(viewer, qtbot):
    widget = AnnotateWidget(viewer)
    qtbot.addWidget(widget)
    yield widget.suggest  # the widget itself must live as long


@pytest.fixture
def heard(session):
    found = []
    session.message.connect(lambda kind, text: found.append((kind, text)))
    return found


@pytest.fixture
def asked(monkeypatch):
    """A comparison that waits for `go`, then ranks the images from the last to the first, or raises `error`."""
    said = {"go": threading.Event(), "error": None}
    said["go"].set()

    def suggest(cohort, *, count, minutes, device, seed, progress, cancel):
        said.update(count=count, minutes=minutes, device=device)
        progress(ProgressEvent("judging the images", 0.5))
        while not said["go"].wait(0.01) and not cancel.cancelled:
            pass
        if said["error"] is not None:
            raise said["error"]
        return [Suggestion(name, 0.5 + row / 10) for row, name in enumerate(cohort.names)][::-1][:count]

    monkeypatch.setattr(template, "suggest", suggest)
    yield said
    said["go"].set()


def wait(session, qtbot):
    qtbot.waitUntil(lambda: session.job is None, timeout=10_000)


def lines(panel):
    return [panel.best.item(row).text() for row in range(panel.best.count())]


def test_the_best_are_listed_and_a_click_goes_there(panel, session, qtbot, asked, heard):
    assert panel.best.isHidden()
    assert panel.meaning.isHidden()
    panel.run.click()
    wait(session, qtbot)
    assert (asked["count"], asked["minutes"], asked["device"]) == (5, DEFAULT_MINUTES, "cpu")
    assert lines(panel) == [f"{row + 1}.   hand_00{3 - row}.png" for row in range(4)]
    assert [panel.best.item(row).toolTip() for row in range(2)] == ["Score 0.80 of 1", "Score 0.70 of 1"]
    assert not panel.best.isHidden()
    assert "Best first" in panel.meaning.text()
    assert heard == [("info", "Best to annotate: hand_003.png, hand_002.png, hand_001.png, hand_000.png.")]
    assert panel.best.currentRow() == 3  # the image at hand
    panel.best.itemClicked.emit(panel.best.item(1))
    assert session.current_image == "hand_002.png"
    session.step(1)
    assert panel.best.currentRow() == 0
    assert session.annotation().ndim is None  # nothing was annotated by it


def test_the_minutes_are_the_persons(panel, session, qtbot, asked):
    panel.minutes.setValue(0.5)
    panel.run.click()
    wait(session, qtbot)
    assert asked["minutes"] == 0.5


def test_nothing_else_is_started_meanwhile(panel, session, qtbot, asked):
    asked["go"].clear()
    panel.run.click()
    assert session.job.kind is JobKind.SUGGEST
    assert not panel.run.isEnabled()
    assert "still running" in panel.run.toolTip()
    with pytest.raises(InputError, match=f"{JobKind.SUGGEST} is still running"):
        session.run(Job(JobKind.TRAIN, lambda *_: None))
    AnnotationEditor(session).place_next((5, 5))  # while a person may go on
    asked["go"].set()
    wait(session, qtbot)
    assert panel.run.isEnabled()
    assert "minutes" in panel.run.toolTip()
    assert session.annotation()["thumb_tip"].position == (5, 5)


def test_cancelling_keeps_what_was_compared(panel, session, qtbot, asked, heard):
    asked["go"].clear()
    panel.run.click()
    qtbot.waitUntil(lambda: session.job.last_event.stage == "judging the images", timeout=10_000)
    session.job.cancel()
    wait(session, qtbot)
    assert len(lines(panel)) == 4
    assert "only a part of the images" in panel.meaning.text()
    assert "only a part of the images" in heard[-1][1]


def test_cancelling_before_anything_was_compared_is_no_error(panel, session, qtbot, asked, heard):
    asked["error"] = InputError("stopped before the first image was judged")
    asked["go"].clear()
    panel.run.click()
    session.job.cancel()
    wait(session, qtbot)
    assert heard == [("info", "Stopped before any image was compared: nothing is suggested.")]
    assert panel.best.isHidden()


@pytest.mark.parametrize(
    ("error", "text"),
    [(InputError("no GPU 7"), "no GPU 7"), (MemoryError(), "Out of memory. Choose a smaller")],
)
def test_what_fails_is_told_once(panel, session, qtbot, asked, heard, error, text):
    asked["error"] = error
    panel.run.click()
    wait(session, qtbot)
    assert [kind for kind, _ in heard] == ["error"]
    assert heard[0][1].startswith(text)
    assert panel.run.isEnabled()


def test_it_is_offered_with_a_template_and_not_with_one_image(panel, session, cohort, tmp_path):
    AnnotationEditor(session).place_next((5, 5))
    assert panel.run.isEnabled()
    (tmp_path / "one").mkdir()
    shutil.copy(cohort.paths[0], tmp_path / "one")
    single = Cohort.from_folder(tmp_path / "one", working_size=128)
    session.open(Study.create(tmp_path / "other", schema=LandmarkSchema(("a",))), single)
    assert not panel.run.isEnabled()
    assert "only one image" in panel.run.toolTip()


def test_it_is_kept_for_the_next_widget_and_not_for_another_study(
    panel, viewer, session, cohort, qtbot, asked, tmp_path
):
    panel.run.click()
    wait(session, qtbot)
    again = AnnotateWidget(viewer)
    qtbot.addWidget(again)
    assert len(lines(again.suggest)) == 4
    session.open(session.study, cohort)  # read again, as after calibrating
    assert len(lines(panel)) == 4
    session.open(Study.create(tmp_path / "other", schema=LandmarkSchema(("a",))), cohort)
    assert lines(panel) == lines(again.suggest) == []
    assert panel.best.isHidden()


def test_the_list_goes_once_a_landmark_is_placed_and_comes_back_with_the_next_one(
    panel, session, asked, qtbot
):
    panel.run.click()
    wait(session, qtbot)
    assert not panel.best.isHidden()
    AnnotationEditor(session).place(session.schema.names[0], (5, 5))
    assert panel.best.isHidden()
    panel.run.click()
    wait(session, qtbot)
    assert not panel.best.isHidden()
