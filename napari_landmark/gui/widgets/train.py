"""The widget in which the cohort is learned."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QFormLayout, QProgressBar, QSpinBox, QWidget
from superqt import QCollapsible

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.model.store import was_cancelled
from napari_landmark.gui.jobs.job import Job, time_left
from napari_landmark.gui.jobs.open_study import Opened, regather_job
from napari_landmark.gui.jobs.train import (
    Preview,
    interrupted_training,
    model_names,
    train_job,
    training_outcome,
)
from napari_landmark.gui.preferences import DEVICES, WORKING_SIZES, Preferences
from napari_landmark.gui.widgets.base import DockWidget, button, emphasise, note, problem_text
from napari_landmark.gui.widgets.loss_plot import LossPlot
from napari_landmark.progress import ProgressEvent


class TrainWidget(DockWidget):
    """Train: one button; what it needs to know has good defaults."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self._preferences = Preferences.read()
        self._drawn: Cohort | None = None  # whose working resolution is shown
        self.study_bar.shows_training = False  # it is shown larger here
        self._training: Job | None = None
        self._outcome, self._failed, self._resuming = "", False, False
        self.ready = note()
        self.run = button("Train", self._on_run)
        self.resume = button("Resume", self._on_resume, tip="Go on with the training that was stopped")
        self.stage_text = note()
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.plot = LossPlot()
        self.onward = button("Next: review what was found ▸", lambda: self.open_dock("Detect and review"))
        self.report = button(
            "Open the report", self._on_report, tip="Loss, template and predictions as a page"
        )
        self.models = note()
        self._advanced()
        for widget in (
            self.ready,
            self.run,
            self.resume,
            self.stage_text,
            self.progress,
            self.plot,
            self.onward,
            self.report,
            self.models,
            self.advanced,
        ):
            self.body.addWidget(widget)
        self.body.addStretch(1)
        for signal in (self.session.study_changed, self.session.landmarks_changed, self.session.job_changed):
            self.listen(signal, self.refresh)
        self.listen(self.session.job_changed, self._on_job)
        self.listen(self.session.image_changed, self.refresh)
        self._on_job()
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Show the session as it is."""
        session, training = self.session, self._training
        self.content.setVisible(session.study is not None)
        if session.study is None:
            return
        annotated = session.known.placed_counts(session.names)
        placed = sum(annotated.values())
        idle = training is None
        count = len(annotated)
        if not annotated:
            self.ready.setText("Place the landmarks of one image first, with <b>Annotate template</b>.")
        else:
            images = "one image" if count == 1 else f"{count} images"
            marks = "one landmark" if placed == 1 else f"{placed} landmarks"
            self.ready.setText(f"Learns {len(session.names)} images from the {marks} you placed in {images}.")
        self.run.setText("Train" if idle else "Cancelling…" if training.cancelled else "Cancel")
        busy_otherwise = session.job is not None and idle
        self.run.setEnabled(bool(annotated) and not busy_otherwise and (idle or not training.cancelled))
        names = model_names(session)
        emphasise(self.run, idle and not names)
        stopped = interrupted_training(session) if idle else None
        self.resume.setVisible(stopped is not None)
        self.resume.setEnabled(session.job is None)
        self.progress.setVisible(not idle)
        self.stage_text.setText(self._outcome if idle else self.stage_text.text())
        self.stage_text.setVisible(bool(self.stage_text.text()))
        done = idle and bool(names)
        self.onward.setVisible(done)
        emphasise(self.onward, done and not self._failed)
        self.report.setVisible(done and (session.study.folder / "report" / "report.html").exists())
        if names:
            made = [f"{name} ({_made(session.study.models_dir / name)})" for name in names[:4]]
            self.models.setText("Models of this study, all kept: " + ", ".join(made))
        self.models.setVisible(bool(names))
        self.plot.setVisible(not idle or bool(self.plot.stages))
        self.advanced.setEnabled(idle)
        self._show_size()

    def _advanced(self) -> None:
        self.minutes = QDoubleSpinBox()
        self.minutes.setRange(0, 24 * 60)
        self.minutes.setDecimals(1)
        self.minutes.setSpecialValueText("automatic")
        self.minutes.setSuffix(" min")
        self.minutes.setToolTip("How long to train; automatic suits the device")
        self.device = QComboBox()
        self.device.addItems(DEVICES)
        self.device.setCurrentText(self._preferences.device)
        self.seed = QSpinBox()
        self.seed.setRange(0, 10**6)
        self.seed.setToolTip("The same seed on the same device gives the same model")
        self.size = QComboBox()
        self._offer_sizes(self._preferences.working_size)
        self.size.setToolTip("Longest side the images are drawn at for training; smaller needs less memory")
        holder = QWidget()
        form = QFormLayout(holder)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Time", self.minutes)
        form.addRow("Device", self.device)
        form.addRow("Seed", self.seed)
        form.addRow("Working resolution", self.size)
        self.advanced = QCollapsible("Advanced", expandedIcon="▼", collapsedIcon="▶")
        self.advanced.addWidget(holder)

    def _offer_sizes(self, chosen: int) -> None:
        self.size.clear()
        sizes = sorted({*WORKING_SIZES, self._preferences.working_size, chosen})
        self.size.addItems([f"{size} pixels" for size in sizes])
        self.size.setCurrentText(f"{chosen} pixels")

    def _show_size(self) -> None:
        """The size that the images are drawn at, whatever was asked for; a choice waits until it is used."""
        cohort = self.session.cohort
        if cohort is not None and cohort is not self._drawn:
            self._drawn = cohort
            self._offer_sizes(max(cohort.canvas))

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
            size = int(self.size.currentText().split()[0])
            if size == max(self.session.cohort.canvas):
                self._train(resume=resume)
                return
            reading = regather_job(self.session, preferences=replace(self._preferences, working_size=size))
            self._resuming = resume
            self.listen(reading.succeeded, self._on_read_again)
            self.session.run(reading)

        self.session.attempt(begin)

    def _train(self, *, resume: bool) -> None:
        def begin() -> None:
            self._outcome, self._failed = "", False
            self.plot.clear()
            self.session.run(
                train_job(
                    self.session,
                    device=self.device.currentText(),
                    seed=self.seed.value(),
                    minutes=self.minutes.value() or None,
                    resume=resume,
                )
            )

        self.session.attempt(begin)

    def _on_read_again(self, opened: object) -> None:
        if isinstance(opened, Opened) and opened.cohort is self.session.cohort:
            self._train(resume=self._resuming)

    def _on_job(self) -> None:
        job = self.session.job
        if job is self._training:
            return
        if job is None or job.title != "Training":
            self._training = None
            return
        self._training = job
        self.stage_text.setText("Preparing…")
        for signal, slot in (
            (job.progressed, self._on_progress),
            (job.shown, self._on_shown),
            (job.succeeded, self._on_done),
            (job.failed, self._on_failed),
            (job.cancelling, self.refresh),
        ):
            self.listen(signal, slot)
        self.refresh()

    def _on_progress(self, event: ProgressEvent) -> None:
        self.plot.add(event)
        self.progress.setValue(round(1000 * event.fraction))
        left = time_left(event)
        self.stage_text.setText(f"{event.stage[:1].upper()}{event.stage[1:]}{' · ' + left if left else ''}")
        self.stage_text.setVisible(True)

    def _on_shown(self, shown: object) -> None:
        running = isinstance(shown, Preview) and self._training is not None
        if running and shown.image == self.session.image:
            self.stage.show_preview(shown.landmarks)

    def _on_done(self, report: Any) -> None:
        self._outcome = training_outcome(report)
        self.refresh()

    def _on_failed(self, text: str) -> None:
        self._outcome, self._failed = problem_text(text), True
        self.refresh()

    def _on_report(self) -> None:
        page = self.session.study.report_dir / "report.html"
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(page))):
            self.session.message.emit("warning", f"No browser opened; the report is {page}")


def _made(folder: Path) -> str:
    """When a model was made, and whether its training was cut short."""
    try:
        when = datetime.fromtimestamp((folder / "model.json").stat().st_mtime).strftime("%d %b %H:%M")
    except OSError:
        return "incomplete"
    return f"{when}, stopped early" if was_cancelled(folder) else when
