"""Header of the dock: study and its commands, current image, state of the cohort, running job."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtGui import QAction
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QListView,
    QMenu,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_landmark.detection.training.whole_progress import WholeProgress
from napari_landmark.gui.controls import button, emphasise, note, problem_text
from napari_landmark.gui.dialogs.copy_log import COPY_LOG, copy_log
from napari_landmark.gui.dialogs.new_study import show_new_study_dialog
from napari_landmark.gui.jobs.add_images import add_images_job, remove_images_job
from napari_landmark.gui.jobs.job import time_left
from napari_landmark.gui.jobs.open_study import open_job
from napari_landmark.gui.jobs.sample_data import sample_hands_job
from napari_landmark.gui.keys import keys_text
from napari_landmark.gui.listener import Listener
from napari_landmark.gui.next_turn import in_next_turn
from napari_landmark.gui.session.recent_studies import recent_studies
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.widgets.display_button import DisplayButton
from napari_landmark.gui.widgets.first_steps import FirstSteps
from napari_landmark.gui.widgets.image_list_model import ImageListModel
from napari_landmark.gui.widgets.progress_bar import ProgressBar
from napari_landmark.progress import ProgressEvent


class StudyBar(Listener):
    """Study with a menu of its commands, its images, and the progress of the running job.

    While no study is open there are buttons to begin with, a line each.

    Parameters
    ----------
    viewer : ViewerModel
    session : Session

    Attributes
    ----------
    commands : QPushButton
        Button with the menu.
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        super().__init__(session)
        self._asks_for_study, self._shows_training = True, True
        self._viewer = viewer
        self._whole: WholeProgress | None = None
        self.sample = button(
            "Sample data", self._on_sample, tip="Drawn hand radiographs, with a list of landmarks"
        )
        self.new = button("New study…", self._on_new, tip="From a folder of images, or from the open images")
        self.open = button("Open study…", self._on_open, tip="Folder of a study")
        emphasise(self.new)
        self.first = FirstSteps((self.sample, self.new, self.open))
        self.commands = QPushButton("Study")
        self.commands.setToolTip("Make or open a study, add images to it; copy a log for a report")
        self._add_commands()
        self.title = QLabel()
        self.title.setSizePolicy(
            QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred
        )  # long names of folders
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
            (session.image_order.changed, self._show_place),
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
        self.state.setVisible(has)
        self.first.setVisible(not has and self._asks_for_study)
        self._enable_commands()
        self._show_read_only()
        if study is None:
            self.title.setText("No study is open")
            self.title.setToolTip("")
            self._on_layers()
            return
        reading = f" – reading of {escape(study.reader)}" if study.reader else ""
        self.title.setText(f"<b>{study.folder.name}</b>{reading}")
        self.title.setToolTip(str(study.folder))
        self._listed.update()
        self._on_image()

    def set_step(self, *, asks_for_study: bool, shows_training: bool, begins: bool = True) -> None:
        """Suit the step that is shown below.

        Parameters
        ----------
        asks_for_study : bool
            Whether there is nothing to do without a study.
        shows_training : bool
            Whether the progress of a training is shown here, and not below.
        begins : bool, optional
            Whether work begins with this step, with a new study; else one is usually there to be opened.
        """
        emphasise(self.new, begins)
        emphasise(self.open, not begins)
        self._asks_for_study, self._shows_training = asks_for_study, shows_training
        self.first.setVisible(self.session.study is None and asks_for_study)
        self._show_running()

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.commands)
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
        layout.addLayout(head)
        for widget in (self.first, self.navigation, self.state, self.read_only, self.running):
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
        self.new.setText(_FROM_LAYERS if found else _NEW)
        self._new.setText(_FROM_LAYERS if found else _NEW)
        for line, text in zip(self.first.notes, _STEPS_OPEN if found else _STEPS, strict=True):
            line.setText(text)
        self.sample.setVisible(not found)
        self.first.notes[0].setVisible(not found)

    def _add_commands(self) -> None:
        menu = QMenu(self.commands)
        menu.setToolTipsVisible(True)
        self._new = QAction(_NEW, menu)
        self._new.setToolTip(self.new.toolTip())
        self._new.triggered.connect(self._on_new)
        self._open = QAction("Open study…", menu)
        self._open.setToolTip(self.open.toolTip())
        self._open.triggered.connect(self._on_open)
        menu.addActions([self._new, self._open])
        self.add = QMenu("Add images", menu)
        self.add.setToolTipsVisible(True)
        self.add.setToolTip("A folder or files may also be dropped onto the canvas")
        self.add.addAction("Image files…", self._on_add_files)
        self.add.addAction("All images of a folder…", self._on_add_folder)
        look = self.add.addAction("New files in the folder of the study's images", self._on_look)
        if look is not None:
            look.setToolTip("Files that came there since the study was opened")
        self.add.addSeparator()
        self._remove_added = QAction(self.add)
        self._remove_added.triggered.connect(lambda: self.remove_images(self.session.added_images))
        self._remove_shown = QAction("Take the shown image out again", self.add)
        self._remove_shown.setToolTip("Of images from elsewhere; its file stays where it is")
        self._remove_shown.triggered.connect(lambda: self.remove_images((self.session.current_image,)))
        self.add.addActions([self._remove_added, self._remove_shown])
        self.add.aboutToShow.connect(self._enable_removal)
        self.recent = QMenu("Recent studies", menu)
        self.recent.setToolTipsVisible(True)
        menu.addMenu(self.recent)
        menu.aboutToShow.connect(self._offer_recent)
        menu.addMenu(self.add)
        menu.addSeparator()
        menu.addAction(COPY_LOG, self._on_copy_log)
        self.commands.setMenu(menu)

    def _enable_commands(self) -> None:
        """Allow what is possible now: nothing that opens a study or adds to it during a job."""
        study, idle = self.session.study, self.session.job is None
        for widget in (self.sample, self.new, self.open, self._new, self._open):
            widget.setEnabled(idle)
        self.add.setEnabled(idle and study is not None and not study.reader)

    def _enable_removal(self) -> None:
        study, added = self.session.study, len(self.session.added_images)
        outside = () if study is None else study.extra.values()
        self._remove_shown.setEnabled(self.session.current_image in outside)
        self._remove_added.setVisible(added > 0)
        last = "image" if added == 1 else f"{added} images"
        self._remove_added.setText(f"Take the {last} added last out again")

    def remove_images(self, names: Sequence[str]) -> None:
        """Take added images out of the open study."""
        self.session.attempt(lambda: self.session.run(remove_images_job(self.session, names)))

    def _offer_recent(self) -> None:
        """List the studies that were opened last, without the open one."""
        study = self.session.study
        others = [folder for folder in recent_studies() if study is None or folder != study.folder.absolute()]
        self.recent.clear()
        for folder in others:
            action = self.recent.addAction(folder.name, lambda folder=folder: self._open_folder(folder))
            if action is not None:
                action.setToolTip(str(folder))
        self.recent.setEnabled(bool(others) and self.session.job is None)

    def _open_folder(self, folder: Path) -> None:
        self.session.attempt(lambda: self.session.run(open_job(self.session, folder)))

    def _on_add_files(self) -> None:
        chosen, _ = QFileDialog.getOpenFileNames(self, "Add images to the study")
        self.add_images([Path(path) for path in chosen])

    def _on_add_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Add all images of a folder to the study")
        self.add_images([Path(chosen)] if chosen else [])

    def _on_look(self) -> None:
        self.session.attempt(lambda: self.add_images([self.session.require_study().require_images()]))

    def add_images(self, paths: Sequence[Path]) -> None:
        """Add images and folders to the open study; nothing happens without any."""
        if paths:
            self.session.attempt(lambda: self.session.run(add_images_job(self.session, paths)))

    def _on_copy_log(self) -> None:
        copy_log(self.session)

    def _on_sample(self) -> None:
        def begin() -> None:
            job = sample_hands_job(self.session)
            self.follow(job, (job.succeeded, self._on_drawn), until=(job.succeeded, job.failed))
            self.session.run(job)

        self.session.attempt(begin)

    def _on_drawn(self, _: object) -> None:
        """Open the sample image and the dialog that is filled in for it."""
        open_sample = getattr(self._viewer, "open_sample", None)
        if open_sample is not None:
            open_sample("napari-landmark", "hands")
            in_next_turn(self, self._on_new)

    def _on_image(self) -> None:
        session = self.session
        if not session.current_image:
            return
        self.images.setCurrentIndex(session.require_cohort().index(session.current_image))
        self._show_place()
        self._show_state()

    def _show_place(self) -> None:
        """Show the place of the current image in the order of the list on show."""
        order = self.session.image_order
        place, total = order.place(self.session.current_image), len(order.names)
        self.count.setText(f"{place + 1} of {total}" if place >= 0 else f"– of {total}")
        self.count.setToolTip("Place in the list of images below" if order.is_of_list else "")
        self.previous.setEnabled(bool(total) and place != 0)
        self.next.setEnabled(bool(total) and place + 1 < total)

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
        show_new_study_dialog(self._viewer, self.session, self)

    def _on_open(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Open a study: choose its folder")
        if chosen:
            self._open_folder(Path(chosen))

    def _on_job(self) -> None:
        job = self.session.job
        self._show_running()
        self._enable_commands()
        self._whole = WholeProgress() if job is not None and job.kind is JobKind.TRAIN else None
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

    def _show_running(self) -> None:
        job = self.session.job
        self.running.setVisible(job is not None and (self._shows_training or job.kind is not JobKind.TRAIN))

    def _on_progress(self, event: ProgressEvent) -> None:
        if self._whole is not None:
            event = self._whole.whole(event)
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


_NEW, _FROM_LAYERS = "New study…", "Start with the open images…"
_STEPS = (
    "Try it: drawn hand radiographs.",
    "Your images: a folder of one kind. You annotate one; the plugin finds the same landmarks in all others.",
    "Go on where you stopped.",
)
_STEPS_OPEN = (
    "",
    "Annotate the open image, and the plugin finds its landmarks in all images of the folder.",
    _STEPS[2],
)


def open_layers_count(viewer: ViewerModel) -> int:
    """Count the image layers of a viewer from which a study can be made."""
    from napari.layers import Image

    return sum(isinstance(layer, Image) and layer.ndim in (2, 3) for layer in viewer.layers)
