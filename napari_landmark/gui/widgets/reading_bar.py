"""Bar to begin a blind reading, and to interrupt or finish the one that goes on."""

from __future__ import annotations

from html import escape

from qtpy.QtWidgets import QHBoxLayout, QMessageBox, QVBoxLayout

from napari_landmark.data.study.readers import is_read, readers
from napari_landmark.gui.controls import button, emphasise, note
from napari_landmark.gui.dialogs.reading import AgreementDialog, BeginReadingDialog
from napari_landmark.gui.jobs.reading import FinishedReading, begin_reading_job, end_reading_job
from napari_landmark.gui.listener import Listener
from napari_landmark.gui.session.session import Session


class ReadingBar(Listener):
    """Button to begin a blind reading; during one its reader, what is read, and buttons to end it."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.begin = button(
            "Blind reading…",
            self._on_begin,
            tip="Place the landmarks of annotated images once more, without seeing them, to compare both readings",
        )
        self.state = note()
        self.interrupt = button(
            "Interrupt",
            lambda: self._end(finish=False),
            tip="Go back to the study; the reading can go on later",
        )
        self.finish = button(
            "Finish…", self._on_finish, tip="Close the reading, and compare it with the first one"
        )
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.begin, 1)
        row.addWidget(self.interrupt, 1)
        row.addWidget(self.finish, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.state)
        layout.addLayout(row)
        for signal in (session.study_changed, session.landmarks_changed, session.job_changed):
            self.listen(signal, self.refresh)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Show whether a reading goes on."""
        session = self.session
        study, store = session.study, session.landmark_store
        reading = study is not None and bool(study.reader)
        idle = session.job is None
        self.begin.setVisible(not reading)
        for widget in (self.state, self.interrupt, self.finish):
            widget.setVisible(reading)
        self.begin.setEnabled(idle and store is not None and store.any_annotation)
        for widget in (self.interrupt, self.finish):
            widget.setEnabled(idle)
        if study is None or not reading:
            return
        done, total = self.counts()
        self.state.setText(
            f"<b>Blind reading of {escape(study.reader)}</b>: {done} of {total} images read. Earlier landmarks "
            "and predictions "
            "are hidden."
        )
        emphasise(self.finish, done == total)
        self.finish.setEnabled(idle and done > 0)

    def counts(self) -> tuple[int, int]:
        """Number of images of the reading that are read, and of all."""
        store, names = self.session.require_store(), self.session.names
        placed = store.placed_counts(names)  # most are not begun: their sets need not be made
        missing = [name for name in names if name in placed or store.state(name)]
        return sum(is_read(store.annotation(name)) for name in missing), len(names)

    def _on_begin(self) -> None:
        session = self.session

        def begin() -> None:
            study = session.require_study()
            unfinished = [
                name
                for name, reader in readers(study).items()
                if (plan := reader.plan) is not None and not plan.finished
            ]
            store = session.require_store()
            dialog = BeginReadingDialog(len(store.placed_counts(session.names)), unfinished, self)
            agreed = dialog.exec()
            name, count, seed = dialog.name, dialog.count.value(), dialog.seed.value()
            dialog.deleteLater()
            if agreed:
                self.start(name, count=count, seed=seed)

        session.attempt(begin)

    def start(self, reader: str, *, count: int | None = None, seed: int = 0) -> None:
        """Begin a reading, or go on with an unfinished one; InputError while other work is running."""
        self.session.run(begin_reading_job(self.session, reader, count=count, seed=seed))

    def _on_finish(self) -> None:
        done, total = self.counts()
        if done < total:
            text = (
                f"{total - done} of {total} images are not read completely. Finish all the same? A finished reading "
                "cannot be changed."
            )
            if QMessageBox.question(self, "Finish the reading", text) != QMessageBox.StandardButton.Yes:
                return
        self._end(finish=True)

    def _end(self, *, finish: bool) -> None:
        def begin() -> None:
            job = end_reading_job(self.session, finish=finish)
            if finish:
                self.follow(job, (job.succeeded, self._on_finished), until=(job.succeeded, job.failed))
            self.session.run(job)

        self.session.attempt(begin)

    def _on_finished(self, finished: FinishedReading) -> None:
        if finished.readings is None:
            self.session.message.emit("warning", f"Nothing to compare: {finished.problem}")
            return
        dialog = AgreementDialog(finished, self)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()
