"""Section of the step Register that trains a registration model on the images of the study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from magicgui.types import FileDialogMode
from magicgui.widgets import CheckBox, FileEdit, FloatSpinBox
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from napari_landmark.gui.controls import button, note, problem_text
from napari_landmark.gui.jobs.register_train import TrainedRegistration, train_registration_job
from napari_landmark.gui.listener import Listener
from napari_landmark.gui.preferences import Preferences
from napari_landmark.gui.session.running_job import JobKind, RunningJob
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.widgets.live_text import LiveText
from napari_landmark.gui.widgets.loss_plot import LossPlot
from napari_landmark.gui.widgets.region_weights import RegionWeights
from napari_landmark.progress import ProgressEvent


class RegistrationTraining(Listener):
    """Label maps, duration and the button of a registration training.

    Parameters
    ----------
    weights : RegionWeights
        Table of the step Register; its weights are used for pairs and for training.
    """

    trained = Signal(object)
    """Folder of a new model."""

    def __init__(self, session: Session, weights: RegionWeights) -> None:
        super().__init__(session)
        self._weights = weights
        self._training: RunningJob | None = None
        self._outcome = ""
        self.about = note()
        self.labels = FileEdit(
            mode=FileDialogMode.EXISTING_DIRECTORY,
            label="Label maps",
            nullable=True,
            value=None,
            tooltip="Folder of label maps of some of the images: files of the same names",
        )
        self.labels.line_edit.native.setAccessibleName("Folder of label maps")
        self.labels.choose_btn.text = "Browse…"
        self.minutes = FloatSpinBox(
            label="Time",
            value=0,
            min=0,
            max=24 * 60,
            step=1,
            tooltip="Duration of the training; automatic: suited to the device",
        )
        self.minutes.native.setSpecialValueText("automatic")
        self.landmarks = CheckBox(
            value=False,
            text="Landmarks of the study guide it",
            tooltip="Annotations and predictions",
        )
        self.form = QWidget()
        form = QFormLayout(self.form)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for row in (self.labels, self.minutes):
            form.addRow(row.label, row.native)
        form.addRow(self.landmarks.native)
        self.run = button("Train on the study", self._on_run)
        self.resume = button("Resume", self._on_resume, tip="Resume the training that was stopped")
        self.stage_text = note()
        self.live = LiveText("State of the training")
        self.plot = LossPlot()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.about, self.form, self.run, self.resume, self.stage_text, self.live, self.plot):
            layout.addWidget(widget)
        for signal in (session.study_changed, session.models_changed):
            self.listen(signal, self.refresh)
        self.listen(session.job_changed, self._on_job)
        self._on_job()
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Show the state of the session."""
        study, training = self.session.study, self._training
        count = len(self.session.names)
        self.about.setText(
            "Open or make a study first: the model is trained on its images."
            if study is None
            else f"Trains on the {count} images of {study.folder.name}. Label maps of a few of them help."
        )
        idle = training is None
        ready = count > 1 and self.session.job is None
        self.run.setText("Train on the study" if training is None else "Training…")  # the header cancels
        self.run.setEnabled(ready)
        self.resume.setVisible(idle and self.session.models.interrupted_registration is not None)
        self.resume.setEnabled(ready)
        self.form.setEnabled(idle and study is not None)
        self.live.setVisible(not idle)
        self.stage_text.setText(self._outcome if idle else "")
        self.stage_text.setVisible(bool(self.stage_text.text()))
        self.plot.setVisible(not idle or bool(self.plot.stages))

    def _on_run(self) -> None:
        self._start()

    def _on_resume(self) -> None:
        stopped = self.session.models.interrupted_registration
        if stopped is None:  # deleted meanwhile
            self.refresh()
        else:
            self._start(resume=stopped)

    def _start(self, *, resume: Path | None = None) -> None:
        def begin() -> None:
            folder = self.labels.value
            self._outcome = ""
            self.plot.clear()
            self.session.run(
                train_registration_job(
                    self.session,
                    labels=folder if isinstance(folder, Path) and folder != Path() else None,
                    minutes=self.minutes.value or None,
                    weights=self._weights.weights(),
                    landmarks=self.landmarks.value,
                    device=Preferences.read().device,
                    resume=resume,
                )
            )

        self.session.attempt(begin)

    def _on_job(self) -> None:
        job = self.session.job
        if job is not self._training:
            self._training = None
            if job is not None and job.kind is JobKind.TRAIN_REGISTRATION:
                self._training = job
                self.follow(
                    job,
                    (job.progressed, self._on_progress),
                    (job.succeeded, self._on_done),
                    (job.failed, self._on_failed),
                    until=(job.succeeded, job.failed),
                )
        self.refresh()

    def _on_progress(self, event: ProgressEvent) -> None:
        self.plot.add(event)
        self.live.show_text(f"{event.stage[:1].upper()}{event.stage[1:]}")
        self.plot.setVisible(True)

    def _on_done(self, done: Any) -> None:
        self._outcome = done.describe() if isinstance(done, TrainedRegistration) else "Cancelled."
        if isinstance(done, TrainedRegistration):
            self.trained.emit(done.folder)
        self.refresh()

    def _on_failed(self, text: str) -> None:
        self._outcome = problem_text(text)
        self.refresh()
