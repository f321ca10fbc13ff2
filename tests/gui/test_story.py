"""The whole story in a real viewer: sample data to corrected landmarks, and back again the next day."""

from __future__ import annotations

import json

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.landmarks import Status
from napari_landmark.data.study.study import Study
from napari_landmark.gui.dialogs.export import export
from napari_landmark.gui.dialogs.new_study import NewStudyDialog
from napari_landmark.gui.jobs.open_study import open_job
from napari_landmark.gui.layers.layer_transforms import camera_of
from napari_landmark.gui.layers.viewer_session import get_layer_manager, get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.synthetic import hand_phantom, sample

from .conftest import docked


@pytest.fixture(autouse=True)
def small(monkeypatch, stage_steps):
    """Few images and few steps."""
    monkeypatch.setattr(sample, "TRAINING_IMAGES", 4)
    monkeypatch.setattr(sample, "HELD_OUT_IMAGES", 1)
    stage_steps(3, 2, 3, 3, 2, 2)


@pytest.fixture
def dock(make_napari_viewer):
    """A viewer, and a function that opens a widget in it."""
    viewer = make_napari_viewer(show=True)

    def open_widget(name):
        return docked(viewer, name)[1]

    return viewer, open_widget


def wait_for_job(qtbot, session):
    qtbot.waitUntil(lambda: session.job is None, timeout=120_000)


SHARES_OF_A_DRAG = (0.3, 0.7, 1.0)


class CanvasMouse:
    """Clicks and drags on positions of a layer, in its data coordinates.

    The events are given to the window itself. `QTest.mouseMove` moves the one pointer of the screen, which the
    viewers of other test processes move too, and the screen answers when it likes.
    """

    def __init__(self, viewer, qtbot):
        self._viewer, self._qtbot = viewer, qtbot
        self._canvas = viewer.window._qt_viewer.canvas.native

    def click(self, layer, position) -> None:
        """Click with the left button where a position is drawn."""
        self._settle()
        point = self._on_screen(layer, position)
        self._send(QEvent.Type.MouseMove, point)
        self._send(QEvent.Type.MouseButtonPress, point, pressed=True)
        self._send(QEvent.Type.MouseButtonRelease, point)
        self._qtbot.wait(5)

    def drag(self, layer, start, end) -> None:
        """Drag with the left button from one position to another."""
        self._settle()
        first, last = self._on_screen(layer, start), self._on_screen(layer, end)
        self._send(QEvent.Type.MouseMove, first)
        self._send(QEvent.Type.MouseButtonPress, first, pressed=True)
        for share in SHARES_OF_A_DRAG:
            self._send(QEvent.Type.MouseMove, first + (last - first) * share, pressed=True)
            self._qtbot.wait(10)
        self._send(QEvent.Type.MouseButtonRelease, last)
        self._qtbot.wait(5)

    def _on_screen(self, layer, position) -> QPointF:
        """The pixel of the canvas at which a position of a layer is drawn."""
        world = np.asarray(layer.data_to_world(position))
        camera = camera_of(self._viewer)
        size = np.array([self._canvas.height(), self._canvas.width()])
        y, x = (world[-2:] - np.asarray(camera.center)[-2:]) * camera.zoom + size / 2
        return QPointF(round(x), round(y))

    def _settle(self) -> None:
        """Wait until the layout has come to rest: panels that a job opened or widened move the canvas."""
        seen = []

        def at_rest() -> bool:
            seen.append((self._canvas.size(), camera_of(self._viewer).zoom, camera_of(self._viewer).center))
            return len(seen) > 3 and all(state == seen[-1] for state in seen[-4:-1])

        self._qtbot.waitUntil(at_rest, timeout=10_000)

    def _send(self, kind, point: QPointF, *, pressed: bool = False) -> None:
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        button = none if kind == QEvent.Type.MouseMove else left
        place = QPointF(self._canvas.mapToGlobal(point))
        event = QMouseEvent(
            kind, point, place, button, left if pressed else none, Qt.KeyboardModifier.NoModifier
        )
        QApplication.sendEvent(self._canvas, event)


def test_from_sample_data_to_export_and_back(dock, qtbot, tmp_path, make_napari_viewer):
    viewer, open_widget = dock
    annotate = open_widget("Place")
    session, layer_manager = get_session(viewer), get_layer_manager(viewer)
    viewer.open_sample("napari-landmark", "hands")
    assert "open images" in viewer.window.dock_widgets["Landmarks"].study_bar.new.text()

    dialog = NewStudyDialog(viewer, session, annotate)
    dialog.folder.edit.setText(str(tmp_path / "study"))
    dialog._on_accept()
    assert dialog.problem.text() == ""
    dialog.deleteLater()
    wait_for_job(qtbot, session)
    assert session.current_image == "hand_000.png"
    qtbot.waitUntil(lambda: len(viewer.layers) == 4, timeout=60_000)  # a layer a turn of the event loop
    assert [layer.name for layer in viewer.layers] == [
        "hand_000.png",
        "Links",
        "Expected error (average)",
        "Landmarks",
    ]

    # Simulated clicks on the canvas place every landmark, one after another.
    mouse = CanvasMouse(viewer, qtbot)
    truth = hand_phantom(0).landmarks.positions(2)
    for position in truth:
        mouse.click(layer_manager.landmarks.layer, position)
    placed = Study.open(tmp_path / "study").load_annotations("hand_000.png")
    assert {mark.status for mark in placed.values()} == {Status.PLACED}
    # A click hits a pixel of the screen, not less.
    assert np.abs(placed.positions() - truth).max() < 0.75 / camera_of(viewer).zoom + 1e-6
    assert not annotate.onward.isHidden()

    train = open_widget("Train")
    train.run.click()
    assert train.run.text() == "Cancel"
    wait_for_job(qtbot, session)
    assert "Trained" in train.stage_text.text()
    assert train.plot.stages
    assert len(Study.open(tmp_path / "study").predictions()) == 4

    review = open_widget("Review")
    cohort, store = session.require_cohort(), session.require_store()
    numbers = [cohort.index(name) for name in review.cohort.names[:3]]
    # In pixels of the working grid: the images are of several sizes.
    errors = [
        (store.is_flagged(name), store.expected_error(name)[0] / cohort.canvas_transform(number).scale)
        for number, name in ((number, cohort.names[number]) for number in numbers)
    ]
    assert errors == sorted(errors, reverse=True)  # flagged ones and the worst come first, the template last
    assert review.cohort.names[-1] == "hand_000.png"
    review.cohort.view.clicked.emit(review.cohort.view.model().index(0, 0))
    worst = session.current_image
    assert worst == review.cohort.names[0]
    assert session.color_by_confidence
    review.heatmaps.setChecked(True)
    wait_for_job(qtbot, session)
    qtbot.wait(20)
    assert {"Heatmap", "All heatmaps"} <= {layer.name for layer in viewer.layers}

    # A point is dragged: it counts as corrected and is on the disk.
    layer = layer_manager.landmarks.layer
    assert layer.mode == "select"
    rows, shape = layer.data, np.array(session.geometry().shape)
    apart = [np.linalg.norm(np.delete(rows, n, 0) - rows[n], axis=1).min() for n in range(len(rows))]
    # A model of so few steps may put a landmark off the image, where the mouse would grab a border of the window.
    inside = ((rows > 0) & (rows < shape - 1)).all(1)
    row = int(np.argmax(np.where(inside, apart, -1)))
    name, start = layer.features["name"][row], rows[row].copy()
    aim = shape / 2
    mouse.drag(layer, start, aim)
    corrected = Study.open(tmp_path / "study").load_annotations(worst)[name]
    assert corrected.status is Status.CORRECTED
    assert np.linalg.norm(corrected.position - aim) < 3

    review.detect_all.click()
    wait_for_job(qtbot, session)
    assert session.result()[name] == corrected
    # After so few steps a landmark may be called missing.
    decided = {Status.PREDICTED, Status.PREDICTED_MISSING}
    assert sum(mark.status in decided for mark in session.result().values()) == 22

    assert export(session, tmp_path / "all.csv", suffix=".csv", whole=True) == 4
    written = read_landmarks(tmp_path / "all.csv")
    assert written[worst][name].status is Status.CORRECTED

    # The next day, in a new viewer, everything is there.
    again = make_napari_viewer()
    reopened = get_session(again)
    reopened.run(open_job(reopened, tmp_path / "study"))
    wait_for_job(qtbot, reopened)
    assert reopened.current_image == "hand_000.png"
    reopened.show(worst)
    assert reopened.result() == session.result()
    placed = sum(mark.position is not None for mark in session.result().values())
    assert len(again.layers["Landmarks"].data) == placed
    assert reopened.models.names == ("001",)


@pytest.fixture
def trained_on(dock, qtbot, study, cohort, truth):
    """A viewer with a study whose template is annotated, and the Train widget."""
    viewer, open_widget = dock
    session = get_session(viewer)
    session.open(study, cohort)
    for position in truth["hand_000.png"]:
        AnnotationEditor(session).place_next(position)
    return viewer, session, open_widget("Train")


class TestCancelling:
    @pytest.fixture(autouse=True)
    def long(self, stage_steps, small):
        stage_steps(5000, 5000, 5000, 5000, 5000, 5000)

    def test_it_leaves_a_model_and_a_working_widget(self, trained_on, qtbot, stage_steps):
        _, session, widget = trained_on
        widget.run.click()
        qtbot.waitUntil(lambda: bool(widget.plot.stages), timeout=60_000)
        widget.run.click()
        assert widget.run.text() == "Cancelling…"
        assert not widget.run.isEnabled()
        wait_for_job(qtbot, session)
        qtbot.waitUntil(lambda: widget.run.text() == "Train", timeout=5000)
        assert "Stopped" in widget.stage_text.text()
        assert session.models.names == ("001",)
        assert not widget.resume.isHidden()
        stage_steps(2, 1, 2, 2, 1, 2)
        widget.run.click()
        wait_for_job(qtbot, session)
        assert session.models.names == ("002", "001")
        assert len(session.study.predictions()) == 4

    def test_resume_goes_on_where_it_stopped(self, trained_on, qtbot):
        _, session, widget = trained_on
        assert widget.resume.isHidden()
        widget.run.click()
        qtbot.waitUntil(lambda: bool(widget.plot.stages), timeout=60_000)
        widget.run.click()
        wait_for_job(qtbot, session)
        (stopped,) = json.loads((session.study.models_dir / "001" / "history.json").read_text())["stages"]
        widget.resume.click()
        assert widget.resume.isHidden()
        assert widget.run.text() == "Cancel"
        qtbot.waitUntil(lambda: bool(widget.plot.stages), timeout=60_000)
        ((first, _), *_) = next(iter(widget.plot.stages.values()))
        widget.run.click()
        wait_for_job(qtbot, session)
        (history,) = json.loads((session.study.models_dir / "001" / "history.json").read_text())["stages"]
        assert first > stopped["steps"] > 0
        assert history["steps"] > stopped["steps"]
        assert session.models.names == ("001",)
        assert not widget.resume.isHidden()

    def test_closing_the_dock_leaves_the_training_alone(self, trained_on, qtbot):
        viewer, session, widget = trained_on
        widget.run.click()
        job = session.job
        qtbot.waitUntil(lambda: bool(widget.plot.stages), timeout=60_000)
        viewer.window.remove_dock_widget(viewer.window.dock_widgets["Landmarks"])
        qtbot.wait(100)
        assert session.job is job
        _, widget = docked(viewer, "Train")
        assert widget.run.text() == "Cancel"
        widget.run.click()
        wait_for_job(qtbot, session)
        qtbot.waitUntil(lambda: widget.run.text() == "Train", timeout=5000)

    def test_closing_the_viewer_ends_work_in_its_threads(self, trained_on, qtbot):
        viewer, session, widget = trained_on
        widget.run.click()
        job = session.job
        qtbot.waitUntil(lambda: bool(widget.plot.stages), timeout=60_000)
        viewer.close()
        qtbot.waitUntil(lambda: job.cancelled, timeout=5000)
        assert job.wait(0)  # the window waited for the thread
