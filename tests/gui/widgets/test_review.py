"""Models and buttons of the Review widget."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
from qtpy.QtCore import Qt

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.errors import InputError
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.images.dicom_view import StatedView
from napari_landmark.data.landmarks import LandmarkSet, Status
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.data.study.prediction_models import write_prediction_models
from napari_landmark.detection.model import store
from napari_landmark.detection.pose.pose_table import POSE_TABLE, read_pose_table, write_pose_table
from napari_landmark.detection.training import train as pipeline
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.odd_shapes import OddShapes
from napari_landmark.gui.widgets import review
from napari_landmark.gui.widgets.review import ReviewWidget
from napari_landmark.gui.widgets.train import TrainWidget
from napari_landmark.shape.analysis import OddShape

from ..conftest import NAMES, predict


def test_a_model_that_was_stopped_is_marked_and_not_chosen(viewer, session, qtbot):
    widget = ReviewWidget(viewer)
    qtbot.addWidget(widget)
    for name, complete in (("001", False), ("002", True), ("003", False)):
        folder = session.study.models_dir / name
        folder.mkdir()
        (folder / "model.json").write_text(json.dumps({"training": {"complete": complete}}))
        session.refresh_models()
        chosen = widget.models.currentData()
        assert chosen == ("001" if name == "001" else "002")
    labels = [widget.models.itemText(row) for row in range(3)]
    assert labels == ["003 (stopped early)", "002", "001 (stopped early)"]
    train = TrainWidget(viewer)
    qtbot.addWidget(train)
    assert train.models.text().count("stopped early") == 2


def test_buttons_follow_the_state(viewer, session, qtbot, truth):
    widget = ReviewWidget(viewer)
    qtbot.addWidget(widget)
    assert not widget.detect_all.isEnabled()
    assert not widget.hint.isHidden()
    predict(session, session.current_image, truth[session.current_image])
    assert widget.accept.isEnabled()
    AnnotationEditor(session).place("thumb_tip", (5, 5))
    session.select_landmark("thumb_tip")
    assert widget.back.isEnabled()
    widget.back.click()
    assert session.result()["thumb_tip"].status is Status.PREDICTED
    widget.accept.click()
    assert not widget.accept.isEnabled()


def test_a_user_decides_on_an_image_that_the_model_is_unsure_of(viewer, session, qtbot, truth):
    name, store = session.current_image, session.require_store()
    widget = ReviewWidget(viewer)
    qtbot.addWidget(widget)
    predict(session, name, truth[name])
    assert widget.confirm.isHidden()
    predict(session, name, truth[name], image_state=ImageState.FOREIGN)
    assert "something else" in widget.flag.text()
    assert store.is_flagged(name)
    assert widget.cohort.names[0] == name
    widget.confirm.click()
    assert store.decision(name) is ImageDecision.CONFIRMED
    assert not store.is_flagged(name)
    assert widget.flag.text() == ""
    widget.leave_out.click()
    assert session.study.decisions() == {name: ImageDecision.LEFT_OUT}
    assert not widget.confirm.isChecked()
    predict(session, name, truth[name], image_state=ImageState.FOUND)  # a new model
    assert store.decision(name) is ImageDecision.LEFT_OUT
    widget.leave_out.click()
    assert session.study.decisions() == {}
    assert widget.confirm.isHidden()


def test_the_list_can_be_ordered_by_odd_shapes(viewer, session, qtbot, truth):
    for name in session.names:
        predict(session, name, truth[name])
    widget = ReviewWidget(viewer)
    qtbot.addWidget(widget)
    before = widget.cohort.names
    widget.order.setCurrentIndex(1)
    widget._on_order(1)
    qtbot.waitUntil(lambda: session.job is None and session.odd_shapes is not None, timeout=30_000)
    assert widget.order.currentIndex() == 1
    assert widget.cohort.model.headerData(2, Qt.Orientation.Horizontal) == "Shape"
    odd = OddShape(session.names[2], 9.0, NAMES[0], 12.0, (NAMES[0],), ((NAMES[0], NAMES[3]),), False, False)
    session.set_odd_shapes(
        OddShapes((odd.image, *(n for n in session.names if n != odd.image)), {odd.image: odd})
    )
    assert widget.cohort.names[0] == odd.image
    assert widget.cohort.model.index(0, 2).data() == "⇄ thumb_tip – capitate"
    session.show(odd.image)
    assert "thumb_tip and capitate seem exchanged" in widget.shape.text()
    AnnotationEditor(session).place(NAMES[0], (5.0, 5.0))  # mended: it is not said any more
    assert widget.shape.isHidden()
    predict(session, session.names[0], truth[session.names[0]])  # new predictions: shapes are unknown
    assert widget.order.currentIndex() == 0
    assert widget.cohort.model.headerData(2, Qt.Orientation.Horizontal) == "Expected error"
    assert sorted(widget.cohort.names) == sorted(before)


def test_the_images_to_correct_next_are_named_and_a_click_shows_them(viewer, session, qtbot, truth):
    widget = ReviewWidget(viewer)
    qtbot.addWidget(widget)
    assert widget.advice.text() == ""
    for name in session.names:
        predict(session, name, truth[name])
    qtbot.waitUntil(lambda: "Correct next" in widget.advice.text(), timeout=10_000)
    wanted = next(name for name in session.names if f'href="{name}"' in widget.advice.text())
    widget.advice.linkActivated.emit(wanted)
    assert session.current_image == wanted


def test_corrections_go_on_from_the_last_model(viewer, session, qtbot, monkeypatch):
    asked = {}

    def train_job(session, **options):
        asked.update(options)
        raise InputError("enough seen")

    monkeypatch.setattr(review, "train_job", train_job)
    widget = ReviewWidget(viewer)
    qtbot.addWidget(widget)
    widget._on_again()
    assert asked["update"] is True


def test_the_pose_of_the_image_and_what_its_header_states_are_shown(viewer, session, qtbot, truth):
    first, second = session.names[:2]
    mirrored = Pose(np.array([[0.0, -1.0], [-1.0, 0.0]]), np.zeros(2), False)
    widget = ReviewWidget(viewer)
    qtbot.addWidget(widget)
    assert widget.pose.isHidden()
    table = session.study.folder / POSE_TABLE
    write_pose_table(table, {first: mirrored, second: Pose.upright(2)}, {first: StatedView("L")})
    predict(session, first, truth[first])  # a detection ends
    session.show(first)
    assert widget.pose.text() == f"Pose: {read_pose_table(table)[first].in_words}."
    assert "mirror image" in widget.pose.text()
    assert "side L" in widget.pose.text()
    session.show(second)
    assert widget.pose.isHidden()


def test_a_model_that_learned_too_little_is_not_trusted(viewer, session, qtbot, truth):
    folder = session.study.models_dir / "001"
    folder.mkdir()
    (folder / "model.json").write_text(json.dumps({"training": {"complete": True}}))
    stages = [
        {"stage": "a", "steps": 500, "least_steps": 468},
        {"stage": "b", "steps": 2, "least_steps": 45},
    ]
    (folder / "history.json").write_text(json.dumps({"cancelled": False, "stages": stages}))
    session.refresh_models()
    widget = ReviewWidget(viewer)
    qtbot.addWidget(widget)
    predict(session, session.current_image, truth[session.current_image])
    assert widget.models.itemText(0) == "001 (too few steps)"
    assert "Model 001 learned too little" in widget.hint.text()
    assert not widget.hint.isHidden()
    stages[1]["steps"] = 45
    (folder / "history.json").write_text(json.dumps({"cancelled": False, "stages": stages}))
    session.refresh_models()
    assert widget.models.itemText(0) == "001"
    assert widget.hint.isHidden()


def test_new_images_alone_are_detected(viewer, session, qtbot, truth, monkeypatch):
    """Those that the chosen model did not predict: such as added ones, or all others where it is another model."""
    for name in ("001", "002"):
        folder = session.study.models_dir / name
        folder.mkdir()
        (folder / "model.json").write_text(json.dumps({"training": {"complete": True}}))
    predicted = session.names[:3]
    for name in predicted:
        predict(session, name, truth[name])
    write_prediction_models(session.study.folder, predicted[:1], "001")
    write_prediction_models(session.study.folder, predicted[1:], "002")
    session.refresh_models()
    widget = ReviewWidget(viewer)
    qtbot.addWidget(widget)
    assert widget.models.currentData() == "002"
    assert widget.detect_new.text() == "Detect in 2 new images"
    widget.models.setCurrentIndex(widget.models.findData("001"))
    widget.models.activated.emit(1)
    assert widget.detect_new.text() == "Detect in 3 new images"
    asked = []

    def predict_cohort(model, cohort, *, study, model_name, images, **_):
        asked.append((model_name, images))
        for image in images:
            marks = LandmarkSet.from_array(study.schema, truth[image], Status.PREDICTED)
            study.save_predictions(image, marks, model=model_name)
        return dict.fromkeys(images)

    monkeypatch.setattr(pipeline, "predict_cohort", predict_cohort)
    monkeypatch.setattr(store, "load_model", lambda *_, **__: SimpleNamespace(device="cpu"))
    heard = []
    session.message.connect(lambda kind, text: heard.append(text))
    widget.detect_new.click()
    qtbot.waitUntil(lambda: session.job is None and bool(heard), timeout=10_000)
    assert asked == [("001", list(session.names[1:]))]
    assert heard[0].startswith("Landmarks found in 3 images.")
    assert widget.detect_new.isHidden()  # nothing is new for it now
