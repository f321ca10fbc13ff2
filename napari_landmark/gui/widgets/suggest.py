"""Which image to annotate: asked for with a button, found as long work, shown as a short list."""

from __future__ import annotations

from dataclasses import dataclass

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QListWidget, QListWidgetItem, QVBoxLayout

from napari_landmark.data.errors import InputError
from napari_landmark.detection.template_selection import DEFAULT_MINUTES, Suggestion
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.preferences import Preferences
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.widgets.base import Listener, button, note
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

SUGGESTING = "Comparing the images"
_COUNT = 5
_ROW_HEIGHT = 20
_SMALLER = (
    "Choose a smaller 'Working resolution' in Train > Advanced and close other programs, then try again."
)
_TIP = (
    "Names the images that are best annotated: it learns from all images for the minutes given, without any "
    "landmark, and tries how surely places of each are found in the others"
)
_MEANING = (
    "<small>Best first; click one to go to it. The number, 0 to 1, says how surely places of that image were "
    "found in the others and back. Annotate one of these in which you can see every landmark.{}</small>"
)
_PART = " Stopped early: only a part of the images was compared."


@dataclass(frozen=True)
class Suggested:
    """The images that are best annotated.

    Parameters
    ----------
    best : tuple of Suggestion
        The best first.
    partial : bool
        Whether it was stopped before all were compared.
    """

    best: tuple[Suggestion, ...]
    partial: bool = False


def suggest_job(session: Session, *, minutes: float = DEFAULT_MINUTES, device: str = "auto") -> Job:
    """Long work that ranks the images of the open study as templates.

    Succeeds with a `Suggested`, which the session keeps; None where it was cancelled before an image was judged.
    """
    study, cohort = session.study, session.cohort
    assert study is not None and cohort is not None

    def work(progress: Progress, cancel: CancelToken) -> Suggested | None:
        progress(ProgressEvent("Preparing", 0.0))
        from napari_landmark.detection.template_selection import suggest

        try:
            best = suggest(
                cohort, count=_COUNT, minutes=minutes, device=device, progress=progress, cancel=cancel
            )
        except InputError:
            if cancel.cancelled:  # it has nothing to say then, which is no failure
                return None
            raise
        return Suggested(tuple(best), cancel.cancelled)

    job = Job(SUGGESTING, work, smaller=_SMALLER)

    def done(found: Suggested | None) -> None:
        if found is None:
            session.message.emit("info", "Stopped before any image was compared: nothing is suggested.")
        elif session.study is not None and session.study.folder == study.folder:
            session.take_suggestions(found)
            names = ", ".join(suggestion.image for suggestion in found.best)
            session.message.emit("info", f"Best to annotate: {names}.{_PART if found.partial else ''}")

    # Here and not in the widget, which may be closed meanwhile.
    job.succeeded.connect(done)
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job


class SuggestImage(Listener):
    """A button with the minutes it may take, and what was suggested."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.run = button("Suggest image", self._on_run)
        self.minutes = QDoubleSpinBox()
        self.minutes.setRange(0.1, 24 * 60)
        self.minutes.setDecimals(1)
        self.minutes.setValue(DEFAULT_MINUTES)
        self.minutes.setSuffix(" min")
        self.minutes.setToolTip("How long to learn from the images; comparing them takes a little longer")
        self.best = QListWidget()
        # Letters are keys of the viewer; the list would search its rows for them.
        self.best.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.best.itemClicked.connect(self._on_clicked)
        self.meaning = note()
        row = QHBoxLayout()
        row.addWidget(self.run, 1)
        row.addWidget(self.minutes)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.best)
        layout.addWidget(self.meaning)
        for signal in (session.study_changed, session.suggestions_changed):
            self.listen(signal, self.refresh)
        self.listen(session.image_changed, self._mark)
        self.listen(session.job_changed, self._offer)
        self.refresh()

    def refresh(self) -> None:
        """Show what was suggested, and whether more can be asked for."""
        found, names = self.session.suggestions, self.session.names
        self.best.clear()
        for suggestion in found.best if found else ():
            if suggestion.image in names:
                item = QListWidgetItem(f"{suggestion.score:.2f}   {suggestion.image}")
                item.setSizeHint(QSize(0, _ROW_HEIGHT))
                item.setData(Qt.ItemDataRole.UserRole, suggestion.image)
                self.best.addItem(item)
        rows = self.best.count()
        self.best.setFixedHeight(rows * _ROW_HEIGHT + 6)
        self.meaning.setText(_MEANING.format(_PART if found and found.partial else ""))
        for widget in (self.best, self.meaning):
            widget.setVisible(rows > 0)
        self._mark()
        self._offer()

    def _offer(self) -> None:
        session, why = self.session, ""
        if len(session.names) < 2:
            why = "There is only one image in this study: there is nothing to choose from"
        elif session.job is not None:
            why = f"{session.job.title} is still running: cancel it or wait for its end"
        for widget in (self.run, self.minutes):
            widget.setEnabled(not why)
        self.run.setToolTip(why or _TIP)

    def _mark(self) -> None:
        """Mark the image at hand, where it is one of them."""
        names = [self.best.item(row).data(Qt.ItemDataRole.UserRole) for row in range(self.best.count())]
        self.best.setCurrentRow(names.index(self.session.image) if self.session.image in names else -1)

    def _on_run(self) -> None:
        def begin() -> None:
            device = Preferences.read().device
            self.session.run(suggest_job(self.session, minutes=self.minutes.value(), device=device))

        self.session.attempt(begin)

    def _on_clicked(self, item: QListWidgetItem) -> None:
        name = item.data(Qt.ItemDataRole.UserRole)
        self.session.attempt(lambda: self.session.show(name))
        self._mark()  # also where it could not be read
