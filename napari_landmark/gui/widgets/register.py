"""Step that registers two images and trains registration models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QLabel, QSlider, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_landmark.gui.controls import button, emphasise, note, problem_text
from napari_landmark.gui.dialogs.study_pair import StudyPairDialog
from napari_landmark.gui.jobs.label_study import label_study_job
from napari_landmark.gui.jobs.process_job import ProcessJob
from napari_landmark.gui.jobs.register import register_job, save_pair_job
from napari_landmark.gui.jobs.register_study import register_study_job
from napari_landmark.gui.jobs.study_pair import StudyImage
from napari_landmark.gui.layers.pair_inputs import read_pair
from napari_landmark.gui.layers.pair_result import PairResult
from napari_landmark.gui.layers.registration_layers import (
    ARROWS,
    CHECKERBOARD,
    GRID,
    JACOBIAN,
    JACOBIAN_COLORS,
    WARPED,
    same_place,
)
from napari_landmark.gui.layers.study_pair_layers import add_study_pair, study_pair_layers
from napari_landmark.gui.layers.warp_layers import warp_layers
from napari_landmark.gui.preferences import Preferences
from napari_landmark.gui.session.running_job import JobKind, RunningJob
from napari_landmark.gui.widgets.color_legend import ColorLegend
from napari_landmark.gui.widgets.measures_text import measures_text
from napari_landmark.gui.widgets.pair_form import PairForm
from napari_landmark.gui.widgets.register_train import RegistrationTraining
from napari_landmark.gui.widgets.step_widget import StepWidget

_SWITCHES = {
    CHECKERBOARD: "Squares of the fixed and the warped image by turns: edges should continue across them",
    GRID: "Deformed grid: its lines are straight in the moving image",
    ARROWS: "Displacement from points of the fixed image to the same points of the moving one",
    JACOBIAN: "Green: the moving image shrinks; pink: it grows. Folds are marked in a layer of their own",
}


class RegisterWidget(StepWidget):
    """A fixed and a moving image, the warped image over the fixed one, and quality metrics."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self._registering: RunningJob | None = None
        self._problem = ""
        self._set_aside: list[Layer] = []  # hidden while another step is shown
        self.form = PairForm(self.viewer, self.layer_manager, self.session)
        self.from_study = button(
            "Choose from the study…",
            self._on_from_study,
            tip="Two images of the open study, with their label maps and landmarks",
        )
        self.run = button("Register", self._on_run, strong=True)
        self.outcome = note()
        self.numbers = note()
        self.blend = QSlider(Qt.Orientation.Horizontal)
        self.blend.setAccessibleName("Blend of the fixed and the moving image")
        self.blend.setRange(0, 100)
        self.blend.setValue(50)
        self.blend.setToolTip(
            "Left: only the fixed image; right: only the warped one. Hold G to see the fixed image alone"
        )
        self.blend.valueChanged.connect(self._on_blend)
        self.switches = {kind: QCheckBox(kind) for kind in _SWITCHES}
        for kind, box in self.switches.items():
            box.setToolTip(_SWITCHES[kind])
            box.toggled.connect(self._on_switch)
        self.legend = ColorLegend(
            JACOBIAN_COLORS, "0: folded", "1: as large", "2: twice as large in the moving image"
        )
        self.linked = QCheckBox("Linked cursor")
        self.linked.setToolTip("The place under the mouse in the moving image, in a corner of the canvas")
        self.linked.toggled.connect(self._on_linked)
        self.save = button(
            "Save…",
            self._on_save,
            tip="Warped image, label map and points, the transform and the quality metrics",
        )
        self.warp = button(
            "Warp selected layers",
            self._on_warp,
            tip="Adds warped copies of the layers that are selected in the list of layers: images, labels and points "
            "of the moving image",
        )
        self.all = button(
            "Register all images of the study…",
            self._on_all,
            tip="Every image to the one that is shown, by the model chosen above, into a folder; goes on when the "
            "viewer closes",
        )
        self.label_all = button(
            "Label all images of the study…",
            self._on_label_all,
            tip="Label maps of a few images are carried to all others, which they vote for, into a folder; goes on "
            "when the viewer closes",
        )
        self.training = RegistrationTraining(self.session, self.form.weights)
        self.training.trained.connect(self._on_trained)
        self.fold = QCollapsible("Train a model on the study", expandedIcon="▼", collapsedIcon="▶")
        self.fold.addWidget(self.training)
        self._lay_out()
        self.listen(self.session.job_changed, self._on_job)
        self.listen(self.session.study_changed, self.refresh)
        self.form.changed.connect(self.refresh)
        for event in (self.viewer.layers.events.inserted, self.viewer.layers.events.removed):
            self.listen(event, self.refresh)
        self._on_job()
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Show the state of the registration and its result."""
        running, result = self._registering, self.layer_manager.registration.result
        idle = running is None
        self.run.setText("Register" if idle else "Registering…")  # the header has the button that cancels
        self.run.setEnabled(self.session.job is None)
        emphasise(self.run, idle)
        self.form.setEnabled(idle)
        text = self._problem
        if not text and result is not None:
            early = ", stopped early" if result.cancelled else ""
            seconds = result.registration.seconds
            text = f"<b>{result.pair.moving.name}</b> on <b>{result.pair.fixed.name}</b> in {seconds:.0f} s{early}"
        self.outcome.setText(text)
        self.outcome.setVisible(bool(text))
        self.numbers.setText("" if result is None else measures_text(result.measures, guided=result.guided))
        self.shown.setVisible(result is not None and self.layer_manager.registration.get(WARPED) is not None)
        self.numbers.setVisible(result is not None)
        self.save.setVisible(result is not None)
        self.warp.setVisible(result is not None)
        self.save.setEnabled(self.session.job is None)
        several = bool(self.session.current_image) and len(self.session.names) > 1
        self.from_study.setVisible(several)
        self.from_study.setEnabled(self.session.job is None)
        for work in (self.all, self.label_all):
            work.setVisible(several)
            work.setEnabled(self.session.job is None)
        for kind, box in self.switches.items():
            layer = self.layer_manager.registration.get(kind)
            with QSignalBlocker(box):
                box.setChecked(layer is not None and layer.visible)
        self.legend.setVisible(self.switches[JACOBIAN].isChecked())
        with QSignalBlocker(self.linked):
            self.linked.setChecked(self.layer_manager.registration.cursor_linked)

    def _lay_out(self) -> None:
        self.shown = QWidget()
        shown = QVBoxLayout(self.shown)
        shown.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        row.addWidget(QLabel("Fixed"))
        row.addWidget(self.blend)
        row.addWidget(QLabel("Warped"))
        shown.addLayout(row)
        boxes = list(self.switches.values())
        for pair in (boxes[:2], boxes[2:]):
            row = QHBoxLayout()
            for box in pair:
                row.addWidget(box, 1)
            shown.addLayout(row)
        shown.addWidget(self.legend)
        shown.addWidget(self.linked)
        for widget in (self.from_study, self.form, self.run, self.outcome, self.numbers, self.shown):
            self.body.addWidget(widget)
        row = QHBoxLayout()
        row.addWidget(self.save, 1)
        row.addWidget(self.warp, 1)
        self.body.addLayout(row)
        self.body.addWidget(self.all)
        self.body.addWidget(self.label_all)
        self.body.addWidget(self.fold)
        self.body.addStretch(1)

    def _on_run(self) -> None:
        def begin() -> None:
            chosen = self.form.chosen()
            pair = read_pair(chosen)
            layers = self.layer_manager.registration
            places = same_place(chosen.fixed), same_place(chosen.moving)
            fixed, moving = chosen.fixed, chosen.moving
            job = register_job(
                self.session,
                pair,
                model=self.form.model_folder,
                weights=self.form.weights.weights(),
                guide=self.form.guide.value,
                device=Preferences.read().device,
            )

            def show(result: PairResult) -> None:
                layers.show(result, *places)
                if fixed is not None and moving is not None:
                    fixed.visible, moving.visible = True, False  # the moving one would hide the fixed one

            job.succeeded.connect(show)  # whether this widget is still open or not
            self.session.run(job)

        self._problem = ""
        self.session.attempt(begin)

    def _on_from_study(self) -> None:
        dialog = StudyPairDialog(self.session, self)
        dialog.exec()
        job = dialog.job
        dialog.deleteLater()
        if job is not None:
            self.follow(job, (job.succeeded, self._on_pair_read), until=(job.succeeded, job.failed))

    def _on_pair_read(self, pair: tuple[StudyImage, StudyImage] | None) -> None:
        """Show the images that were read and choose them; None where that was cancelled."""
        if pair is None:
            return
        parts = dict(zip(("fixed", "moving"), pair, strict=True))
        self._set_aside.clear()
        self.layer_manager.show_study(False)  # marks of another image over this one would mislead
        self.form.choose(
            add_study_pair(
                self.viewer,
                {part: one.image for part, one in parts.items()},
                labels={part: one.labels for part, one in parts.items() if one.labels is not None},
                landmarks={part: one.landmarks for part, one in parts.items() if one.landmarks is not None},
            )
        )

    def showEvent(self, event: QShowEvent | None) -> None:
        """Show a pair of the study, and its result, again."""
        super().showEvent(event)
        shown = [layer for layer in self._set_aside if layer in self.viewer.layers]
        self._set_aside.clear()
        if shown:
            self.layer_manager.show_study(False)
        for layer in shown:
            layer.visible = True

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Make room for the image of the study where a pair of it lies above."""
        super().hideEvent(event)
        pair = study_pair_layers(self.viewer)
        if not pair or (event is not None and event.spontaneous()):
            return
        above = [layer for layer in (*pair, *self.layer_manager.registration.layers) if layer.visible]
        for layer in above:
            layer.visible = False
        self._set_aside = above
        self.layer_manager.show_study(True)

    def _on_job(self) -> None:
        job = self.session.job
        if job is not self._registering:
            self._registering = None
            if job is not None and job.kind is JobKind.REGISTER:
                self._registering = job
                self.follow(
                    job,
                    (job.succeeded, self._on_registered),
                    (job.failed, self._on_failed),
                    until=(job.succeeded, job.failed),
                )
        self.refresh()

    def _on_registered(self, result: Any) -> None:
        self._on_blend(self.blend.value())
        self.refresh()

    def _on_failed(self, text: str) -> None:
        self._problem = problem_text(text)
        self.refresh()

    def _on_blend(self, value: int) -> None:
        layer = self.layer_manager.registration.get(WARPED)
        if layer is not None:
            layer.opacity = value / 100
            layer.visible = True

    def _on_switch(self, on: bool) -> None:
        for kind, box in self.switches.items():
            layer = self.layer_manager.registration.get(kind)
            if layer is not None:
                layer.visible = box.isChecked()
        self.legend.setVisible(self.switches[JACOBIAN].isChecked())

    def _on_linked(self, on: bool) -> None:
        self.layer_manager.registration.cursor_linked = on

    def _on_trained(self, folder: Path) -> None:
        self.form.offer_models(choose=folder)

    def _on_all(self) -> None:
        chosen = QFileDialog.getExistingDirectory(
            self, f"Folder for all images registered to {self.session.current_image}"
        )
        if chosen:
            self.session.attempt(lambda: self.session.run(self._all_job(Path(chosen))))

    def _all_job(self, folder: Path) -> ProcessJob:
        return register_study_job(
            self.session,
            folder,
            model=self.form.model_folder,
            weights=self.form.weights.weights(),
            guide=self.form.guide.value,
            device=Preferences.read().device,
        )

    def _on_label_all(self) -> None:
        given = self.training.labels.value
        start = str(given) if isinstance(given, Path) and given != Path() else ""
        labels = QFileDialog.getExistingDirectory(self, "Folder with the label maps of a few images", start)
        if not labels:
            return
        out = QFileDialog.getExistingDirectory(self, "Folder for the label maps of the other images")
        if out:
            job = label_study_job(
                self.session,
                Path(labels),
                Path(out),
                model=self.form.model_folder,
                device=Preferences.read().device,
            )
            self.session.attempt(lambda: self.session.run(job))

    def _on_warp(self) -> None:
        shown = self.layer_manager.registration
        if shown.result is None or shown.places is None:
            return
        transform, (fixed, moving) = shown.result.registration.transform, shown.places
        selected = [layer for layer in self.viewer.layers if layer in self.viewer.layers.selection]
        chosen = [layer for layer in selected if not shown.owns(layer)]
        self.session.attempt(
            lambda: warp_layers(self.viewer, chosen, transform, fixed_place=fixed, moving_place=moving)
        )

    def _on_save(self) -> None:
        result = self.layer_manager.registration.result
        chosen = QFileDialog.getExistingDirectory(self, "Folder for the registered images")
        if chosen and result is not None:
            self.session.attempt(lambda: self.session.run(save_pair_job(self.session, result, Path(chosen))))
