"""What the Train widget offers before a training."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.sides import Mirroring
from napari_landmark.data.study.study import Study
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.widgets import train
from napari_landmark.gui.widgets.train import TrainWidget

from ..conftest import predict


def test_it_waits_for_a_template(viewer, session, qtbot):
    widget = TrainWidget(viewer)
    qtbot.addWidget(widget)
    assert not widget.run.isEnabled()
    AnnotationEditor(session).place_next((5, 5))
    assert widget.run.isEnabled()
    assert "1 landmarks" not in widget.ready.text()


@pytest.fixture
def started(monkeypatch):
    """Trainings that end at once: longest side of the working grid, and whether one was resumed."""
    started = []

    def train_job(session, *, resume, **_):
        started.append((max(session.cohort.canvas), resume))
        return Job(JobKind.WRITE, lambda *_: None)

    monkeypatch.setattr(train, "train_job", train_job)
    return started


@pytest.fixture
def widget(viewer, session, qtbot):
    """The widget of a study that was read at 64 pixels, annotated, with a training that can be resumed."""
    session.open(session.study, Cohort.from_folder(session.study.images, working_size=64))
    AnnotationEditor(session).place("thumb_tip", (12, 12))
    widget = TrainWidget(viewer)
    qtbot.addWidget(widget)
    return widget


def idle(session):
    return session.job is None


def test_the_working_size_is_that_of_the_cohort(widget, session, qtbot, started):
    assert widget.working_size.currentText() == "64 pixels"
    widget.run.click()
    qtbot.waitUntil(lambda: idle(session))
    assert started == [(64, False)]


def test_another_working_size_is_read_with_the_next_training(widget, session, qtbot, started):
    widget.working_size.setCurrentText("128 pixels")
    AnnotationEditor(session).place("index_tip", (12, 12))
    assert widget.working_size.currentText() == "128 pixels"  # a choice waits
    widget.resume.click()
    qtbot.waitUntil(lambda: bool(started) and idle(session), timeout=20_000)
    assert started == [(128, True)]
    widget.run.click()
    qtbot.waitUntil(lambda: idle(session))
    assert started[1:] == [(128, False)]


def test_where_reading_fails_nothing_is_trained(widget, session, qtbot, started, monkeypatch):
    widget.working_size.setCurrentText("128 pixels")
    with monkeypatch.context() as patch:
        patch.setattr(Study, "images", Path("nowhere"))
        widget.run.click()
        qtbot.waitUntil(lambda: idle(session), timeout=20_000)
    assert started == []
    assert max(session.cohort.canvas) == 64


def test_a_size_that_no_image_has_is_not_kept(viewer, session, qtbot, started):
    AnnotationEditor(session).place("thumb_tip", (12, 12))
    widget = TrainWidget(viewer)
    qtbot.addWidget(widget)
    widget.working_size.setCurrentText("1024 pixels")
    widget.run.click()
    qtbot.waitUntil(lambda: bool(started) and idle(session), timeout=20_000)
    assert started == [(128, False)]
    assert widget.working_size.currentText() == "128 pixels"


def test_what_mirror_images_mean_is_saved_when_a_training_begins(viewer, session, qtbot, started):
    AnnotationEditor(session).place("thumb_tip", (12, 12))
    widget = TrainWidget(viewer)
    qtbot.addWidget(widget)
    assert widget.mirrored.currentText() == "same names"
    widget.mirrored.setCurrentText("never mirrored")
    assert not session.study.chose_sides  # chosen, not used yet
    widget.run.click()
    qtbot.waitUntil(lambda: bool(started) and idle(session), timeout=20_000)
    assert Study.open(session.study.folder).sides.mirroring is Mirroring.NEVER
    again = TrainWidget(viewer)
    qtbot.addWidget(again)
    assert again.mirrored.currentText() == "never mirrored"


def test_sizes_of_volumes(viewer, session, qtbot, started, tmp_path):
    """A volume of 384 voxels a side would exceed any memory; what is chosen is what is made."""
    folder = tmp_path / "volumes"
    folder.mkdir()
    nib.save(nib.Nifti1Image(np.ones((200, 8, 8), np.float32), np.eye(4)), folder / "a.nii")
    study = Study.create(tmp_path / "of volumes", schema=session.schema, images=folder)
    session.open(study, Cohort.from_folder(folder))
    AnnotationEditor(session).place("thumb_tip", (4, 4, 100))
    widget = TrainWidget(viewer)
    qtbot.addWidget(widget)
    sizes = [widget.working_size.itemText(row) for row in range(widget.working_size.count())]
    assert sizes == ["64 voxels", "128 voxels", "192 voxels"]
    assert widget.working_size.currentText() == "128 voxels"
    widget.working_size.setCurrentText("192 voxels")
    widget.run.click()
    qtbot.waitUntil(lambda: bool(started) and idle(session), timeout=20_000)
    assert started == [(192, False)]
    assert widget.working_size.currentText() == "192 voxels"


def test_the_review_begins_at_the_most_doubtful_landmark(viewer, session, qtbot, truth):
    first, second = session.names[:2]
    predict(session, first, truth[first], error=1.0)
    predict(session, second, truth[second], error=5.0)
    widget = TrainWidget(viewer)
    qtbot.addWidget(widget)
    assert session.current_image == first
    widget.onward.click()
    assert session.current_image == second
