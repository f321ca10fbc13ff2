"""The result of a training is shown once, whichever widgets are open when it ends."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from napari_landmark.backend.jobs import train as train_worker
from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSet, Status
from napari_landmark.detection.model import store
from napari_landmark.detection.training import report
from napari_landmark.detection.training import train as pipeline
from napari_landmark.detection.training.summary import summarize
from napari_landmark.detection.training.train import TrainingReport
from napari_landmark.gui.jobs.train import Preview, train_job, training_outcome
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.widgets.train import TrainWidget
from napari_landmark.learning.loop import History


@pytest.fixture
def session(viewer):
    return get_session(viewer)


@pytest.fixture
def heard(session):
    found = []
    session.message.connect(lambda kind, text: found.append((kind, text)))
    return found


@pytest.fixture
def finish(monkeypatch, truth, stage_steps):
    """A training with given predictions and a given end."""
    event, end = threading.Event(), {"images": list(truth), "cancelled": False, "error": None}

    def train(study, cohort, **_):
        event.wait(10)
        found = {
            name: LandmarkSet.from_array(study.schema, truth[name], Status.PREDICTED)
            for name in end["images"]
        }
        for name, marks in found.items():
            study.save_predictions(name, marks)
        if end["error"]:
            raise end["error"]
        model = study.models_dir / "001"
        return TrainingReport(model, [], {} if end["cancelled"] else found, end["cancelled"], 60.0)

    monkeypatch.setattr(pipeline, "train", train)
    monkeypatch.setattr(report, "write_report", lambda *_: None)
    monkeypatch.setattr(train_worker, "_write_journal", lambda *_: None)
    monkeypatch.setattr(store, "load_model", lambda *_, **__: SimpleNamespace(digest=lambda: ""))
    stage_steps(1, 1, 1, 1, 1, 1)

    def run(session, qtbot, **ending):
        end.update(ending)
        job = train_job(session, device="cpu")
        session.run(job)
        event.set()
        qtbot.waitUntil(lambda: session.job is None, timeout=10_000)

    return run


def test_without_any_widget(session, layer_manager, viewer, qtbot, finish, heard, truth):
    session.set_placing(True)
    layer_manager.preview.show(
        LandmarkSet.from_array(session.schema, truth[session.current_image], Status.PREDICTED)
    )
    finish(session, qtbot)
    assert "Training preview" not in viewer.layers
    assert not session.placing
    assert layer_manager.landmarks.layer.mode == "select"
    AnnotationEditor(session).place("capitate", (30, 30))
    assert session.annotation()["capitate"].status is Status.CORRECTED
    assert "✓ Trained" in heard[-1][1]


def test_two_widgets_show_it_and_it_is_told_once(session, viewer, qtbot, finish, heard):
    widgets = [TrainWidget(viewer), TrainWidget(viewer)]
    for widget in widgets:
        qtbot.addWidget(widget)
    taken = []
    session.predictions_changed.connect(lambda: taken.append(1))
    finish(session, qtbot)
    assert taken == [1]
    assert [text for _, text in heard if "Trained" in text] == [widgets[0].stage_text.text()]
    assert widgets[0].stage_text.text() == widgets[1].stage_text.text()


@pytest.mark.parametrize("ending", [{"cancelled": True}, {"error": InputError("the disk is full")}])
def test_what_was_found_before_the_end_is_kept(session, layer_manager, qtbot, finish, heard, ending):
    finish(session, qtbot, images=["hand_000.png", "hand_002.png"], **ending)
    assert session.landmark_store.state("hand_002.png") == "predicted"
    assert session.landmark_store.state("hand_001.png") == ""
    assert len(layer_manager.landmarks.layer.data) == 4
    assert heard[-1] == ("error", "the disk is full") if "error" in ending else "Stopped" in heard[-1][1]


def test_an_early_end_leaves_the_view_alone(session, qtbot, finish):
    session.set_placing(True)
    finish(session, qtbot, images=[], cancelled=True)
    assert session.placing
    assert not session.color_by_confidence


def test_a_missing_graphics_card_is_told_once_without_any_widget(session, qtbot, finish, heard):
    for _ in range(2):
        finish(session, qtbot)
    assert sum("No graphics card" in text for _, text in heard) == 1
    assert session.device.startswith("cpu")


class TestOutcome:
    """A model is never praised for what it did not learn."""

    @pytest.fixture
    def outcome(self, cohort, truth, study):
        def make(*, steps=600, error=2.0, confidence=0.5, cancelled=False):
            found = {
                name: LandmarkSet.from_array(
                    study.schema, rows, Status.PREDICTED, np.full(4, confidence), np.full(4, error)
                )
                for name, rows in truth.items()
            }
            histories = [History("matching", 600), History("detector", steps, least_steps=75)]
            done = TrainingReport(study.models_dir / "001", histories, found, cancelled, 90.0)
            return training_outcome(summarize(done, cohort))

        return make

    def test_a_good_one_tells_its_error(self, outcome):
        assert outcome().usable
        assert outcome().text == (
            "✓ Trained in 1.5 minutes: model 001. Landmarks were found in 4 images, about 2.0 pixels off on average."
        )

    @pytest.mark.parametrize(
        ("how", "reason"),
        [
            ({"steps": 1}, "a stage made only 1 step."),
            ({"steps": 60}, "detector: 60 of at least 75 steps"),
            ({"confidence": 0.001}, "flat"),
            ({"error": 20.0}, "about 20.0 pixels off"),
            ({"steps": 1, "cancelled": True}, "learned next to nothing"),
        ],
    )
    def test_a_useless_one_is_called_so(self, outcome, how, reason):
        found = outcome(**how)
        assert not found.usable
        assert "✓" not in found.text
        assert reason in found.text


def test_a_cancelled_training_leaves_the_report_alone(session, qtbot, finish, monkeypatch):
    written = []
    monkeypatch.setattr(report, "write_report", lambda *_: written.append(1))
    finish(session, qtbot, cancelled=True)
    assert written == []
    finish(session, qtbot, cancelled=False)
    assert written == [1]


def test_a_preview_after_the_end_is_not_shown(session, viewer, qtbot, truth):
    widget = TrainWidget(viewer)
    qtbot.addWidget(widget)
    marks = LandmarkSet.from_array(session.schema, truth[session.current_image], Status.PREDICTED)
    widget._on_shown(Preview(session.current_image, marks))
    assert "Training preview" not in viewer.layers
