"""All images of the study are registered to the one that is shown."""

from __future__ import annotations

import csv

import pytest
from qtpy.QtWidgets import QFileDialog

from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.widgets.register import RegisterWidget

from ..conftest import predict
from ..pairs import wait


@pytest.fixture
def widget(viewer, qtbot, monkeypatch):
    """With registrations of two steps."""
    from napari_landmark.registration.pairwise import cohort_registration

    honest = cohort_registration.PairOptions
    monkeypatch.setattr(
        cohort_registration,
        "PairOptions",
        lambda **given: honest(**{**given, "steps": 2, "working_size": 64}),
    )
    made = RegisterWidget(viewer)
    qtbot.addWidget(made)
    return made


def test_all_images_but_those_left_out(widget, viewer, truth, qtbot, tmp_path, monkeypatch):
    session, told = get_session(viewer), []
    session.message.connect(lambda kind, text: told.append((kind, text)))
    for name, points in truth.items():
        predict(session, name, points)
    session.study.decide("hand_003.png", ImageDecision.LEFT_OUT)
    out = tmp_path / "all of them"
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(out))
    assert not widget.all.isHidden()
    widget.all.click()
    assert session.job.kind is JobKind.REGISTER_STUDY
    assert not widget.all.isEnabled()
    wait(qtbot, viewer)
    assert told[-1] == (
        "info", "2 images registered: registrations.csv in the chosen folder has a row for each."
    )  # fmt: skip
    with (out / "registrations.csv").open(newline="") as stream:
        rows = {row["image"]: row for row in csv.DictReader(stream)}
    assert list(rows) == ["hand_001.png", "hand_002.png"]
    assert all(float(row["tre_px"]) >= 0 for row in rows.values())
    assert (out / "hand_001.png" / "warped_landmarks.csv").exists()
    widget.form.guide.value = not widget.form.guide.value
    widget.all.click()
    wait(qtbot, viewer)
    assert told[-1][0] == "error"
    assert "holds registrations with other settings (guided" in told[-1][1]


def test_without_a_study_there_is_no_button(pair_viewer, qtbot):
    made = RegisterWidget(pair_viewer)
    qtbot.addWidget(made)
    assert made.all.isHidden()
