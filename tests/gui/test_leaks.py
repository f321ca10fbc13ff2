"""A widget that was closed is gone: no hidden window, no thread, nothing that still listens to the session."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
from qtpy.QtWidgets import QApplication

from napari_landmark.detection import template_selection as template
from napari_landmark.detection.suggestion import Suggestion
from napari_landmark.gui.canvas.canvas_view import show_canvas_view
from napari_landmark.gui.dialogs.edit_landmarks import SchemaDialog
from napari_landmark.gui.dialogs.new_study import NewStudyDialog
from napari_landmark.gui.jobs import train as training
from napari_landmark.gui.keys import review_queue
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor

from .conftest import docked, predict

WIDGETS = ("Place", "Train", "Review", "Error map", "Register", "Planes")


@pytest.fixture
def threads():
    """Fails where threads of this plugin outlive the test."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("landmark"):
            thread.join(5)
    assert {t for t in threading.enumerate() if t.name.startswith("landmark")} <= before


@pytest.fixture
def window(threads, make_napari_viewer, study, cohort):
    """A viewer that fails the test where widgets are left after it; the study is open in it."""
    viewer = make_napari_viewer(strict_qt="raise", show=True)
    get_session(viewer).open(study, cohort)
    return viewer


def close_dock(dock, qtbot):
    """What the cross of a dock does."""
    dock.destroyOnClose()
    qtbot.wait(50)


def top_level():
    return {
        type(w).__name__ for w in QApplication.topLevelWidgets() if type(w).__module__.startswith("napari_l")
    }


def assert_collected(gone, qtbot):
    def collected():
        gc.collect()
        return gone() is None

    qtbot.waitUntil(collected, timeout=30_000)  # a thread may hold it until it has read its files


def use(viewer, widget, truth):
    session = get_session(viewer)
    for name in session.names:
        predict(session, name, truth[name])
    AnnotationEditor(session).place("capitate", truth[session.current_image][3])
    session.step(1)
    session.skip()
    AnnotationEditor(session).undo()
    widget.grab()


def test_closing_the_docks(window, qtbot, truth):
    session = get_session(window)
    # These are the viewer's: the first dock makes them, and they stay.
    show_canvas_view(window)
    review_queue(window, session)
    heard = len(session.study_changed), len(session.job_changed), len(window.layers.events.inserted.callbacks)
    for name in WIDGETS:
        dock, widget = docked(window, name)
        use(window, widget, truth)
        gone = weakref.ref(widget)
        del widget
        close_dock(dock, qtbot)
        del dock
        assert top_level() == set()
        assert_collected(gone, qtbot)
        session.step(1)  # nothing that is gone hears of it
    assert heard == (
        len(session.study_changed),
        len(session.job_changed),
        len(window.layers.events.inserted.callbacks),
    )


def test_closing_the_viewer(window, qtbot, truth):
    for name in WIDGETS:
        use(window, docked(window, name)[1], truth)
    window.close()
    qtbot.wait(50)
    assert top_level() == set()


def test_closing_while_a_training_runs(window, qtbot, truth, stage_steps):
    stage_steps(5000, 5000, 5000, 5000, 5000, 5000)
    session = get_session(window)
    AnnotationEditor(session).place("capitate", truth[session.current_image][3])
    for name in WIDGETS:
        docked(window, name)
    qtbot.wait(50)
    docks = [content.dock for content in window.window.dock_widgets.values()]
    assert len(docks) == 3
    job = training.train_job(session, device="cpu")
    session.run(job)
    qtbot.waitUntil(lambda: job.last_event is not None and job.last_event.step > 0, timeout=60_000)
    for _ in range(2):  # the last one goes with the window
        gone = weakref.ref(docks[0].inner_widget())
        close_dock(docks.pop(0), qtbot)
        assert_collected(gone, qtbot)
    assert session.job is job
    window.close()
    qtbot.waitUntil(lambda: job.cancelled, timeout=5000)
    assert job.wait(0)


def test_closing_while_the_images_are_compared(window, qtbot, monkeypatch):
    """The widget goes, the work goes on, and what it found is kept."""
    go = threading.Event()

    def suggest(cohort, **_):
        go.wait(10)
        return [Suggestion(name, 0.5) for name in cohort.names]

    monkeypatch.setattr(template, "suggest", suggest)
    session = get_session(window)
    heard = len(session.suggestions_changed), len(session.job_changed)
    dock, widget = docked(window, "Place")
    widget.suggest.run.click()
    gone = weakref.ref(widget.suggest)
    del widget
    close_dock(dock, qtbot)
    del dock
    assert_collected(gone, qtbot)
    go.set()
    qtbot.waitUntil(lambda: session.job is None, timeout=10_000)
    assert len(session.suggestions.best) == 4
    assert heard == (len(session.suggestions_changed), len(session.job_changed))


def test_closing_dialogs(window, qtbot):
    _, widget = docked(window, "Place")
    session = get_session(window)
    for dialog in (NewStudyDialog(window, session, widget), SchemaDialog(session, widget)):
        dialog.show()
        qtbot.wait(20)
        dialog.reject()
        dialog.deleteLater()


def test_closing_the_planes_of_a_volume(threads, make_napari_viewer, volume_study, qtbot):
    viewer = make_napari_viewer(strict_qt="raise", show=True)
    session = get_session(viewer)
    docked(viewer, "Place")
    session.open(*volume_study)  # opens the planes
    signals = (session.crosshair.moved, session.display.changed, session.image_changed)
    dock, widget = docked(viewer, "Planes")
    qtbot.wait(50)
    heard = [len(signal) for signal in signals]
    AnnotationEditor(session).place("one", (8.0, 7.0, 17.0))
    widget.rendered.click()
    viewer.layers.clear()
    session.step(1)
    widget.grab()
    gone = weakref.ref(widget)
    del widget
    close_dock(dock, qtbot)
    del dock
    assert_collected(gone, qtbot)
    assert [len(signal) for signal in signals] == [n - 1 for n in heard]
    session.step(-1)  # nothing that is gone hears of it
    assert top_level() == set()
