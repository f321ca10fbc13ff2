"""Step that trains a landmark model on the cohort."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from napari.components import ViewerModel
from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QFormLayout, QHBoxLayout, QSpinBox, QWidget
from superqt import QCollapsible

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.sides import Mirroring
from napari_landmark.detection.training.whole_progress import WholeProgress
from napari_landmark.gui.controls import button, emphasise, narrow_choice, note, problem_text
from napari_landmark.gui.jobs.job import time_left
from napari_landmark.gui.jobs.open_study import reread_job
from napari_landmark.gui.jobs.process_job import ProcessJob
from napari_landmark.gui.jobs.train import TrainingOutcome, preview_of, train_job
from napari_landmark.gui.keys import review_queue
from napari_landmark.gui.preferences import DEVICES, WORKING_SIZES, Preferences
from napari_landmark.gui.session.model_list import LandmarkModelInfo
from napari_landmark.gui.session.prepared_study import PreparedStudy
from napari_landmark.gui.session.running_job import JobKind, RunningJob
from napari_landmark.gui.widgets.compute_choice import ComputeChoice
from napari_landmark.gui.widgets.live_text import LiveText
from napari_landmark.gui.widgets.loss_plot import LossPlot
from napari_landmark.gui.widgets.progress_bar import ProgressBar
from napari_landmark.gui.widgets.step_widget import StepWidget
from napari_landmark.gui.widgets.steps import Step
from napari_landmark.progress import ProgressEvent

_MIRRORED = {
    Mirroring.SAME: "same names",
    Mirroring.SWAPPED: "names of the other side",
    Mirroring.NEVER: "never mirrored",
}


_VOLUMES_PER_MINUTE = 3  # heads of a mouse in CT, on one core


class TrainWidget(StepWidget):
    """One button that trains, with defaults for all settings."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self._preferences = Preferences.read()
        self._drawn: Cohort | None = None  # cohort whose working resolution is shown
        self._training: RunningJob | None = None
        self._outcome, self._failed, self._resuming = "", False, False
        self.ready = note()
        self.run = button("Train", self._on_run)
        self.resume = button("Resume", self._on_resume, tip="Resume the training that was stopped")
        self.compute = ComputeChoice(self.session)
        self.stage_text = note()
        self.live = LiveText("State of the training")
        self.progress = ProgressBar()
        self.plot = LossPlot()
        self.onward = button("Next: review the predictions ▸", self._on_review)
        self.queue = review_queue(napari_viewer, self.session)
        self.reports = QWidget()
        self.report = button(
            "Open the report",
            lambda: self._on_report(".html"),
            tip="Loss, expected errors, doubtful points and predictions as a page",
        )
        self.report_pdf = button("PDF", lambda: self._on_report(".pdf"), tip="The same as a PDF")
        self.report_of = narrow_choice("Model of the report")
        self.report_of.setToolTip("Model of the report")
        self.report_of.activated.connect(lambda _: self._show_report())
        row = QHBoxLayout(self.reports)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.report, 1)
        row.addWidget(self.report_pdf)
        row.addWidget(self.report_of)
        self.models = note()
        self._whole = WholeProgress()
        self._advanced()
        for widget in (
            self.ready,
            self.compute,
            self.run,
            self.resume,
            self.stage_text,
            self.live,
            self.progress,
            self.plot,
            self.onward,
            self.reports,
            self.models,
            self.advanced,
        ):
            self.body.addWidget(widget)
        self.body.addStretch(1)
        for signal in (self.session.study_changed, self.session.landmarks_changed, self.session.job_changed):
            self.listen(signal, self.refresh)
        self.listen(self.session.job_changed, self._on_job)
        for changed in (self.session.image_changed, self.session.models_changed):
            self.listen(changed, self.refresh)
        self._on_job()
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Show the state of the session."""
        session, training, store = self.session, self._training, self.session.landmark_store
        self.content.setVisible(store is not None)
        if store is None:
            return
        annotated = store.placed_counts(session.names)
        placed = sum(annotated.values())
        idle = training is None
        count = len(annotated)
        if not annotated:
            self.ready.setText("Annotate one image first, in the step <b>Place</b>.")
        else:
            images = "one image" if count == 1 else f"{count} images"
            marks = "one landmark" if placed == 1 else f"{placed} landmarks"
            self.ready.setText(
                f"Trains on {len(session.names)} images, with {marks} annotated in {images}. {self._estimate()}"
            )
        self.run.setText("Train" if training is None else training.cancel_text)
        free = session.job is None if training is None else training.can_cancel
        self.run.setEnabled(bool(annotated) and free)
        names = session.models.names
        emphasise(self.run, idle and not names)
        stopped = session.models.interrupted_training if idle else None
        self.resume.setVisible(stopped is not None)
        self.resume.setEnabled(session.job is None)
        self.compute.setEnabled(idle)
        self.progress.setVisible(not idle)
        self.live.setVisible(not idle)
        self.stage_text.setText(self._outcome if idle else "")
        self.stage_text.setVisible(bool(self.stage_text.text()))
        done = idle and bool(names)
        self.onward.setVisible(done)
        emphasise(self.onward, done and not self._failed)
        self._offer_reports(shown=done)
        if names:
            made = [f"{model.name} ({_made(model)})" for model in session.models.landmark_models[:4]]
            self.models.setText("Models of this study, all kept: " + ", ".join(made))
        self.models.setVisible(bool(names))
        self.plot.setVisible(not idle or bool(self.plot.stages))
        self.advanced.setEnabled(idle)
        self._show_size()

    def _estimate(self) -> str:
        """How long a training takes, in words."""
        if self.minutes.value():
            return f"Learns for {self.minutes.value():g} minutes, longer on a busy machine."
        cohort = self.session.require_cohort()
        if cohort.ndim == 2:
            return "Takes up to 20 minutes on a processor, two on a graphics card."
        minutes = max(2, round(len(cohort) / _VOLUMES_PER_MINUTE))
        return f"Takes about {minutes} minutes on a processor."

    def _advanced(self) -> None:
        self.minutes = QDoubleSpinBox()
        self.minutes.setAccessibleName("Duration of the training")
        self.minutes.setRange(0, 24 * 60)
        self.minutes.setDecimals(1)
        self.minutes.setSpecialValueText("automatic")
        self.minutes.setSuffix(" min")
        self.minutes.setToolTip("Duration of the training; automatic: suited to the device")
        self.device = QComboBox()
        self.device.setAccessibleName("Device")
        self.device.addItems(DEVICES)
        self.device.setCurrentText(self._preferences.device)
        self.seed = QSpinBox()
        self.seed.setAccessibleName("Seed")
        self.seed.setRange(0, 10**6)
        self.seed.setToolTip(
            "The same seed on the same processor gives the same model; graphics cards round in another order each time"
        )
        self.working_size = QComboBox()
        self.working_size.setAccessibleName("Working size")
        self._offer_sizes(self._preferences.working_size, ndim=2)
        self.working_size.setToolTip(
            "Longest side of the images resampled for training; smaller needs less memory"
        )
        self.mirrored = QComboBox()
        self.mirrored.setAccessibleName("Mirror images")
        self.mirrored.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        for mirroring, text in _MIRRORED.items():
            self.mirrored.addItem(text, mirroring)
        self.mirrored.setToolTip(
            "Names of the landmarks in images that are mirror images of what the template shows, "
            "such as left hands where it shows a right one"
        )
        holder = QWidget()
        form = QFormLayout(holder)
        form.setContentsMargins(0, 0, 0, 0)
        self.minutes.valueChanged.connect(self.refresh)
        form.addRow("Time", self.minutes)
        form.addRow("Device", self.device)
        form.addRow("Seed", self.seed)
        form.addRow("Working resolution", self.working_size)
        form.addRow("Mirror images", self.mirrored)
        self.advanced = QCollapsible("Advanced", expandedIcon="▼", collapsedIcon="▶")
        self.advanced.addWidget(holder)

    def _offer_sizes(self, chosen: int, *, ndim: int) -> None:
        self.working_size.clear()
        preferred = {self._preferences.working_size} if ndim == 2 else set()
        for size in sorted({*WORKING_SIZES[ndim], *preferred, chosen}):
            self.working_size.addItem(f"{size} {'pixels' if ndim == 2 else 'voxels'}", size)
        self.working_size.setCurrentIndex(self.working_size.findData(chosen))

    def _show_size(self) -> None:
        """Show the working size of the cohort; another choice of the user takes effect with the next training."""
        cohort = self.session.cohort
        if cohort is not None and cohort is not self._drawn:
            self._drawn = cohort
            self._offer_sizes(max(cohort.canvas), ndim=cohort.ndim)
            mirroring = self.session.require_study().sides.mirroring
            self.mirrored.setCurrentIndex(self.mirrored.findData(mirroring))

    def _on_run(self) -> None:
        if self._training is not None:
            self._training.cancel()
            self.refresh()
            return
        self._start(resume=False)

    def _on_resume(self) -> None:
        self._start(resume=True)

    def _start(self, *, resume: bool) -> None:
        def begin() -> None:
            size = self.working_size.currentData()
            if size == max(self.session.require_cohort().canvas):
                self._train(resume=resume)
                return
            reading = reread_job(self.session, preferences=replace(self._preferences, working_size=size))
            self._resuming = resume
            self.follow(
                reading, (reading.succeeded, self._on_read_again), until=(reading.succeeded, reading.failed)
            )
            self.session.run(reading)

        self.session.attempt(begin)

    def _train(self, *, resume: bool) -> None:
        def begin() -> None:
            study, mirroring = self.session.require_study(), Mirroring(self.mirrored.currentData())
            if mirroring is not study.sides.mirroring:
                study.choose_mirroring(mirroring)
            self._outcome, self._failed = "", False
            host = "" if resume else self.compute.host
            if host and not self.compute.confirms(self.session.require_cohort()):
                return
            self.plot.clear()
            self.session.run(
                train_job(
                    self.session,
                    device=self.device.currentText(),
                    seed=self.seed.value(),
                    minutes=self.minutes.value() or None,
                    resume=resume,
                    host=host,
                )
            )

        self.session.attempt(begin)

    def _on_read_again(self, opened: object) -> None:
        if isinstance(opened, PreparedStudy) and opened.cohort is self.session.cohort:
            self._train(resume=self._resuming)

    def _on_job(self) -> None:
        job = self.session.job
        if job is self._training:
            return
        if job is None or job.kind is not JobKind.TRAIN:
            self._training = None
            return
        self._training = job
        if isinstance(job, ProcessJob):
            self.compute.show_host(job.host)
        self._whole = WholeProgress()
        self.stage_text.setText("Preparing…")
        if job.last_event is not None:
            self._on_progress(job.last_event)
        self.follow(
            job,
            (job.progressed, self._on_progress),
            (job.shown, self._on_shown),
            (job.succeeded, self._on_done),
            (job.failed, self._on_failed),
            (job.cancelling, self.refresh),
            until=(job.succeeded, job.failed),
        )
        self.refresh()

    def _on_progress(self, event: ProgressEvent) -> None:
        self.plot.add(event)
        whole = self._whole.whole(event)
        self.progress.show_part(whole.fraction)
        left = time_left(whole)
        loss = "" if event.loss is None else f"loss {event.loss:.3g}"
        place = "" if self._training is None or event.loss is None else self._training.place
        stage = f"{event.stage[:1].upper()}{event.stage[1:]}"
        self.live.show_text(" · ".join(filter(None, [stage, left, loss, place])))

    def _on_shown(self, shown: object) -> None:
        preview = preview_of(shown, self.session)
        if preview is not None and self._training is not None and preview.image == self.session.current_image:
            self.layer_manager.preview.show(preview.landmarks)

    def _on_done(self, outcome: TrainingOutcome) -> None:
        self._outcome, self._failed = outcome.text, not outcome.usable
        if self._failed:
            self._outcome = problem_text(outcome.text)
        self.refresh()

    def _on_failed(self, text: str) -> None:
        self._outcome, self._failed = problem_text(text), True
        self.refresh()

    def _on_review(self) -> None:
        """Open the review at the most doubtful landmark."""
        self.open_step(Step.REVIEW)
        if self.session.current_image and np.isfinite(self.queue.errors()).any():
            self.session.attempt(self.queue.go_to_next)
            self.layer_manager.center_on(self.session.current_landmark)

    def _offer_reports(self, *, shown: bool) -> None:
        """Offer the reports of the models, first that of the one that detects by default."""
        models = self.session.models
        reported = [model for model in models.landmark_models if model.report is not None]
        offered = [(model.name, model.report) for model in reported]
        if offered != [
            (self.report_of.itemText(row), self.report_of.itemData(row))
            for row in range(self.report_of.count())
        ]:
            self.report_of.clear()
            for name, page in offered:
                self.report_of.addItem(name, page)
            self.report_of.setCurrentIndex(max(self.report_of.findText(models.default), 0))
        self.report_of.setVisible(len(offered) > 1)
        self.reports.setVisible(shown and bool(offered))
        self._show_report()

    def _show_report(self) -> None:
        page = self.report_of.currentData()
        self.report_pdf.setVisible(page is not None and page.with_suffix(".pdf").is_file())

    def _on_report(self, suffix: str) -> None:
        page: Path | None = self.report_of.currentData()
        if page is None:
            return
        file = page.with_suffix(suffix)
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(file))):
            self.session.message.emit("warning", f"No program opened the report; it is {file}")


def _made(model: LandmarkModelInfo) -> str:
    """Date of a model, and whether its training was stopped early."""
    if model.created is None:
        return "incomplete"
    when = model.created.strftime("%d %b %H:%M")
    return f"{when}, stopped early" if model.stopped_early else when
