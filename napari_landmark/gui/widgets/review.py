"""The widget in which a person sees what was found, and corrects it."""

from __future__ import annotations

from napari.components import ViewerModel
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel

from napari_landmark.data.landmarks import LandmarkSet, Status
from napari_landmark.detection.model.store import default_folder, was_cancelled
from napari_landmark.gui.dialogs.export import ExportButton
from napari_landmark.gui.jobs.train import Maps, detect_job, heatmap_job, model_names, train_job
from napari_landmark.gui.keys import keys_text
from napari_landmark.gui.preferences import Preferences
from napari_landmark.gui.widgets.base import DockWidget, button, emphasise, note
from napari_landmark.gui.widgets.cohort_table import CohortTable
from napari_landmark.gui.widgets.landmark_table import LandmarkTable


class DetectWidget(DockWidget):
    """Detect and review: run a model, look at the worst images first, drag what is wrong, export."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.hint = note()
        self.models = QComboBox()
        self.models.setToolTip("Which of the study's models detects; the newest is on top")
        self.detect_all = button(
            "Detect in all", lambda: self._on_detect(None), tip="In all images of the study"
        )
        self.detect_one = button(
            "In this", lambda: self._on_detect(self.session.image), tip="Only in the image at hand"
        )
        self.heatmaps = QCheckBox("Heatmap of the landmark")
        self.heatmaps.setToolTip("Where the model sees the landmark at hand: brighter is more likely")
        self.heatmaps.toggled.connect(self._on_heatmaps)
        self.colors = QComboBox()
        self.colors.addItems(["Colour: confidence", "Colour: landmark"])
        self.colors.activated.connect(self._on_colors)
        self.cohort = CohortTable(self.session)
        self.about = note()
        self.table = LandmarkTable(self.session, with_errors=True)
        self.table.picked.connect(self.stage.look_at)
        self.accept = button(
            "Accept image", self._on_accept, tip=f"All its points are right: {keys_text('k')}"
        )
        self.missing = button("Missing", self._on_missing, tip=keys_text("u"))
        self.back = button("Back to prediction", self._on_back, tip="Forget what I said about this landmark")
        self.again = button(
            "Train again with my corrections",
            self._on_again,
            tip="Every image that you corrected or accepted teaches the next model",
        )
        self.export = ExportButton(self.session)
        self._lay_out()
        # Heatmaps wait until a person stays at an image.
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(250)
        self._pause.timeout.connect(self._compute_heatmaps)
        session = self.session
        for signal in (
            session.study_changed,
            session.landmarks_changed,
            session.landmark_changed,
            session.predictions_changed,
            session.job_changed,
            session.view_changed,
        ):
            self.listen(signal, self.refresh)
        self.listen(session.image_changed, self._on_image)
        self.refresh()

    def _lay_out(self) -> None:
        for widgets in (
            (self.hint,),
            (QLabel("Model"), self.models, self.detect_all, self.detect_one),
            (self.cohort,),
            (self.colors, self.heatmaps),
            (self.about,),
            (self.table,),
            (self.accept, self.missing, self.back),
        ):
            row = QHBoxLayout()
            for widget in widgets:
                row.addWidget(
                    widget, 0 if isinstance(widget, QLabel) and widget not in (self.about, self.hint) else 1
                )
            stretch = 2 if self.cohort in widgets else 3 if self.table in widgets else 0
            self.body.addLayout(row, stretch)
        self.keys = note(
            f"<small>Drag a point to correct it. {keys_text('.', ',', 'k', 'u', 'Control-Z')}</small>"
        )
        self.body.addWidget(self.keys)
        row = QHBoxLayout()
        row.addWidget(self.again, 1)
        row.addWidget(self.export)
        self.body.addLayout(row)

    def refresh(self, *_: object) -> None:
        """Show the session as it is."""
        session = self.session
        has = bool(session.image)
        self.content.setVisible(has)
        if not has:
            return
        names = model_names(session)
        self._offer(names)
        idle = session.job is None
        result = session.result()
        predicted = any(mark.status is Status.PREDICTED for mark in result.values())
        anything = any(session.known.state(name) in ("predicted", "corrected") for name in session.names)
        self.hint.setVisible(not names)
        self.hint.setText("There is no model yet: place landmarks in one image and <b>train</b> first.")
        for widget in (self.detect_all, self.detect_one, self.again):
            widget.setEnabled(idle and bool(names))
        self.heatmaps.setEnabled(bool(names))
        emphasise(self.detect_all, bool(names) and not anything)
        self.accept.setEnabled(predicted)
        emphasise(self.accept, predicted)
        self.colors.setCurrentIndex(0 if session.color_by_confidence else 1)
        mark = result.get(session.landmark)
        prediction = session.prediction().get(session.landmark)
        self.back.setEnabled(
            mark is not None
            and mark.status.is_manual
            and prediction is not None
            and prediction.position is not None
        )
        self.missing.setEnabled(mark is not None and mark.status is not Status.MISSING)
        definition = ""
        if session.landmark in session.schema:
            definition = session.schema.definitions[session.schema.index(session.landmark)]
        self.about.setText(f"<b>{session.landmark}</b> {definition}")

    def _offer(self, names: list[str]) -> None:
        """Show the models; the one that the terminal would take is chosen."""
        study = self.session.study
        labels = [
            f"{name} (stopped early)" if was_cancelled(study.models_dir / name) else name for name in names
        ]
        if labels == [self.models.itemText(row) for row in range(self.models.count())]:
            return
        self.models.clear()
        for label, name in zip(labels, names, strict=True):
            self.models.addItem(label, name)
        chosen = default_folder(study)
        self.models.setCurrentIndex(self.models.findData(chosen.name) if chosen else -1)

    def _on_image(self) -> None:
        self.refresh()
        if self.heatmaps.isChecked():
            self._pause.start()

    def _on_detect(self, image: str | None) -> None:
        session = self.session

        def begin() -> None:
            job = detect_job(
                session,
                model=self.models.currentData(),
                device=Preferences.read().device,
                image=image,
            )
            self.listen(job.succeeded, self._on_found)
            session.run(job)

        session.attempt(begin)

    def _on_found(self, found: dict[str, LandmarkSet]) -> None:
        if self.heatmaps.isChecked():
            self._pause.start()

    def _on_colors(self, choice: int) -> None:
        self.session.color_by_confidence = choice == 0
        self.session.view_changed.emit()

    def _on_heatmaps(self, on: bool) -> None:
        if on:
            self._compute_heatmaps()
        else:
            self.stage.heatmaps.clear()

    def _compute_heatmaps(self) -> None:
        session = self.session
        if not self.heatmaps.isChecked() or not session.image:
            return
        if session.job is not None:  # tried again when that is done
            if session.job.title != "Training":
                self._pause.start()
            return
        job = heatmap_job(session, model=self.models.currentData(), device=Preferences.read().device)
        self.listen(job.succeeded, self._on_maps)
        session.attempt(lambda: session.run(job))

    def _on_maps(self, maps: Maps) -> None:
        if maps.image == self.session.image:
            self.stage.heatmaps.show(maps.names, maps.heatmaps, maps.matrix, maps.offset)

    def _on_accept(self) -> None:
        self.session.attempt(self.session.edits.accept)

    def _on_missing(self) -> None:
        self.session.attempt(lambda: self.session.edits.mark_missing(self.session.landmark))

    def _on_back(self) -> None:
        self.session.attempt(lambda: self.session.edits.clear(self.session.landmark))

    def _on_again(self) -> None:
        def begin() -> None:
            # The Train widget shows how it goes, with all its settings at their defaults.
            self.open_dock("Train")
            self.session.run(train_job(self.session, device=Preferences.read().device))

        self.session.attempt(begin)
