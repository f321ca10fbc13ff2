"""The result of a detection is shown once, whichever widgets are open when it ends."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSet, Status
from napari_landmark.detection.model import store
from napari_landmark.detection.pose.pose_table import POSE_TABLE
from napari_landmark.detection.training import train as pipeline
from napari_landmark.gui.jobs.detect import detect_all_job
from napari_landmark.gui.jobs.model_cache import ModelCache
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.session.model_list import LandmarkModelInfo, ModelList
from napari_landmark.gui.widgets.review import ReviewWidget


@pytest.fixture
def session(viewer):
    return get_session(viewer)


@pytest.fixture
def heard(session):
    found = []
    session.message.connect(lambda kind, text: found.append((kind, text)))
    return found


def test_detecting_without_any_widget(session, layer_manager, qtbot, monkeypatch, heard, truth):
    def predict_cohort(model, cohort, *, study, poses, **_):
        poses["hand_000.png"] = Pose.of_rotation(np.diag([1.0, -1.0]))
        marks = LandmarkSet.from_array(study.schema, truth["hand_000.png"], Status.PREDICTED)
        study.save_predictions("hand_000.png", marks)
        return {"hand_000.png": marks}

    monkeypatch.setattr(pipeline, "predict_cohort", predict_cohort)
    monkeypatch.setattr(store, "load_model", lambda *_, **__: SimpleNamespace(device="cpu"))
    session.run(detect_all_job(session, model=None))
    qtbot.waitUntil(lambda: session.job is None, timeout=10_000)
    assert session.landmark_store.state("hand_000.png") == "predicted"
    table = (session.study.folder / POSE_TABLE).read_text().splitlines()
    assert table[1:] == ["hand_000.png,yes,0,1,no,,"]
    assert heard == [("info", "Landmarks found in 1 image. What you placed or corrected stayed as it is.")]


def test_heatmaps_that_cannot_be_computed_are_told_once(session, viewer, qtbot, monkeypatch, heard):
    def fail(*_, **__):
        raise InputError("the model is damaged; use --device cpu, or auto")

    monkeypatch.setattr(ModelCache, "load", fail)
    session.models = ModelList((LandmarkModelInfo("001", None, False),))
    widget = ReviewWidget(viewer)
    qtbot.addWidget(widget)
    widget.heatmaps.click()
    widget.deleteLater()  # closed meanwhile
    qtbot.waitUntil(lambda: session.job is None, timeout=10_000)
    qtbot.wait(50)
    assert [text for kind, text in heard if kind == "error"] == [
        "the model is damaged; use --device cpu, or auto"
    ]
