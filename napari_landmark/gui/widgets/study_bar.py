"""Bar on top of every dock widget: study, current image, state of the cohort, running job."""

from __future__ import annotations

from html import escape
from pathlib import Path

from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QListView,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_landmark.gui.controls import button, emphasise, note, problem_text
from napari_landmark.gui.dialogs.new_study import NewStudyDialog
from napari_landmark.gui.jobs.job import time_left
from napari_landmark.gui.jobs.open_study import open_job
from napari_landmark.gui.keys import keys_text
from napari_landmark.gui.listener import Listener
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.widgets.display_button import DisplayButton
from napari_landmark.gui.widgets.image_list_model import ImageListModel
from napari_landmark.gui.widgets.progress_bar import ProgressBar
from napari_landmark.progress import ProgressEvent


class StudyBar(Listener):
    """Buttons to open a study and to step through its images, and the progress of the running job."""

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        super().__init__(session)
        self.shows_training = True
        self.asks_for_study = True
        self._viewer = viewer
        self.new = button("New study…", self._on_new, tip="From a folder of images, or from the open images")
        self.open = button("Open study…", self._on_open, tip="Folder of a study")
        self.hint = note()
        self.title = QLabel()
        self.title.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._listed = ImageListModel(session)
        self.images = QComboBox()
        self.images.setAccessibleName("Image")
        view = QListView()
        view.setUniformItemSizes(True)  # else the height of every row is asked for when the list opens
        self.images.setView(view)
        self.images.setModel(self._listed)
        self.images.setMinimumContentsLength(12)
        self.images.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.images.activated.connect(self._on_chosen)
        self.previous = self._arrow("◀", -1, ",", name="Previous image")
        self.next = self._arrow("▶", 1, ".", name="Next image")
        self.count = QLabel()
        self.display = DisplayButton(session)
        self.progress = ProgressBar()
        self.cancel = button("Cancel", self._on_cancel)
        self.state = note()
        self.read_only = note()
        self._lay_out()
        for signal, slot in (
            (session.study_changed, self.refresh),
            (session.image_changed, self._on_image),
            (session.landmarks_changed, self._on_landmarks),
            (session.predictions_changed, self.refresh),
            (session.view_changed, self._on_image),
            (session.job_changed, self._on_job),
        ):
            self.listen(signal, slot)
        # A study becomes free, or is taken, when something is tried, which ends in a message.
        self.listen(session.message, self._show_read_only)
        self.listen(viewer.layers.events.inserted, self._on_layers)
        self.listen(viewer.layers.events.removed, self._on_layers)
        self.refresh()
        self._on_job()

    def refresh(self) -> None:
        """Show the state of the session."""
        study = self.session.study
        has = study is not None
        self.navigation.setVisible(has)
        self.title.setVisible(has)
        self.state.setVisible(has)
        self.hint.setVisible(not has and self.asks_for_study)
        emphasise(self.new, not has and self.asks_for_study)
        self.new.setText("New study…")
        self._show_read_only()
        if study is None:
            self._on_layers()
            return
        reading = f" – reading of {escape(study.reader)}" if study.reader else ""
        self.title.setText(f"<b>{study.folder.name}</b>{reading}")
        self.title.setToolTip(str(study.folder))
        self._listed.update()
        self._on_image()

    def _lay_out(self) -> None:
        files = QHBoxLayout()
        files.addWidget(self.new, 1)
        files.addWidget(self.open, 1)
        self.navigation = QWidget()
        row = QHBoxLayout(self.navigation)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.previous)
        row.addWidget(self.images, 1)
        row.addWidget(self.next)
        row.addWidget(self.count)
        row.addWidget(self.display)
        self.running = QWidget()
        run = QHBoxLayout(self.running)
        run.setContentsMargins(0, 0, 0, 0)
        run.addWidget(self.progress, 1)
        run.addWidget(self.cancel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(files)
        for widget in (self.hint, self.title, self.navigation, self.state, self.read_only, self.running):
            layout.addWidget(widget)

    def _arrow(self, text: str, by: int, key: str, *, name: str) -> QPushButton:
        made = button(text, lambda: self.session.attempt(lambda: self.session.step(by)), tip=keys_text(key))
        made.setAccessibleName(name)
        made.setFixedWidth(34)
        return made

    def _on_layers(self, event: object = None) -> None:
        if self.session.study is not None:
            return
        found = open_layers_count(self._viewer)
        self.new.setText("Start with the open images…" if found else "New study…")
        self.hint.setText(
            "Annotate the open image, and the plugin detects its landmarks in all images of the folder."
            if found
            else "Begin with a folder of images of one kind. You annotate one of them; the plugin detects the "
            "same landmarks in all others.<br>To try it: <b>File › Open Sample › Landmarks</b>."
        )

    def _on_image(self) -> None:
        session = self.session
        if not session.current_image:
            return
        number = session.require_cohort().index(session.current_image)
        self.images.setCurrentIndex(number)
        self.count.setText(f"{number + 1} of {len(session.names)}")
        self.previous.setEnabled(number > 0)
        self.next.setEnabled(number + 1 < len(session.names))
        self._show_state()

    def _on_landmarks(self, image: str) -> None:
        if image:
            self._listed.update_image(self.session.require_cohort().index(image))
            self._show_state()

    def _show_state(self) -> None:
        counts = self.session.require_store().state_counts(self.session.names)
        parts = [
            f"{counts[state]} {state}" for state in ("annotated", "corrected", "predicted") if counts[state]
        ]
        if self.session.study is not None and self.session.study.reader:
            self.state.setText(" · ".join(parts))  # which images are annotated, or the template, is hidden
            return
        template = self.session.study.template if self.session.study else ""
        about = f"Template: {template}" if template else "No template yet: annotate the current image"
        device = [f"Device: {self.session.device}"] if self.session.device else []
        self.state.setText(" · ".join([*parts, about, *device]))

    def _show_read_only(self, *_: object) -> None:
        """Say as long as it is so that another program annotates the study."""
        store = self.session.landmark_store
        text = "" if store is None else store.in_use
        self.read_only.setText(problem_text(text) if text else "")
        self.read_only.setVisible(bool(text))

    def _on_chosen(self, number: int) -> None:
        self.session.attempt(lambda: self.session.show(self.session.names[number]))
        self._on_image()  # back to the current image where the chosen one could not be read

    def _on_new(self) -> None:
        dialog = NewStudyDialog(self._viewer, self.session, self)
        dialog.exec()
        dialog.deleteLater()

    def _on_open(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Open a study: choose its folder")
        if chosen:
            self.session.attempt(lambda: self.session.run(open_job(self.session, Path(chosen))))

    def _on_job(self) -> None:
        job = self.session.job
        self.running.setVisible(job is not None and (self.shows_training or job.kind is not JobKind.TRAIN))
        for widget in (self.new, self.open):
            widget.setEnabled(job is None)
        if job is not None:
            self._on_job_cancelling()
            self.progress.setFormat(job.title)
            self.follow(
                job,
                (job.progressed, self._on_progress),
                (job.cancelling, self._on_job_cancelling),
                until=(job.ended,),
            )
            if job.last_event is not None:
                self._on_progress(job.last_event)

    def _on_progress(self, event: ProgressEvent) -> None:
        left = time_left(event)
        self.progress.show_part(event.fraction, f"{event.stage}{', ' + left if left else ''}")

    def _on_cancel(self) -> None:
        if self.session.job is not None:
            self.session.job.cancel()

    def _on_job_cancelling(self) -> None:
        job = self.session.job
        if job is not None:
            self.cancel.setEnabled(job.can_cancel)
            self.cancel.setText(job.cancel_text)


def open_layers_count(viewer: ViewerModel) -> int:
    """Count the image layers of a viewer from which a study can be made."""
    from napari.layers import Image

    return sum(isinstance(layer, Image) and layer.ndim in (2, 3) for layer in viewer.layers)
