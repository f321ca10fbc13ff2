"""Panel that suggests which image to annotate as the template."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QListWidget, QListWidgetItem, QVBoxLayout

from napari_landmark.detection.template_selection import DEFAULT_MINUTES
from napari_landmark.gui.controls import button, note
from napari_landmark.gui.jobs.suggest import PARTIAL, suggest_job
from napari_landmark.gui.listener import Listener
from napari_landmark.gui.preferences import Preferences
from napari_landmark.gui.session.session import Session

_ROW_HEIGHT = 20
_TIPS = {
    2: "Ranks the images as templates: an embedding is trained on all images for the minutes given, without any "
    "landmark, and positions of each image are matched in the others and back",
    3: "Aligns the volumes with one of them, without any landmark, for the minutes given at most, and names those "
    "whose shapes represent the others",
}
_MEANINGS = {
    2: "positions of that image are matched most consistently in the others and back. Annotate one of these in "
    "which you can see every landmark.",
    3: "these represent the shapes of all volumes. Annotate the first, or several from the top, in which you can "
    "see every landmark.",
}
_BEST_FIRST = "<small>Best first; click one to go to it: {}{}</small>"


class SuggestImage(Listener):
    """Button with the minutes it may take, and the list of suggested images."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.run = button("Suggest image", self._on_run)
        self.minutes = QDoubleSpinBox()
        self.minutes.setAccessibleName("Duration of the training for the suggestion")
        self.minutes.setRange(0.1, 24 * 60)
        self.minutes.setDecimals(1)
        self.minutes.setValue(DEFAULT_MINUTES)
        self.minutes.setSuffix(" min")
        self.minutes.setToolTip(
            "Duration of the training; comparing the images takes a little longer. Of volumes at most so long"
        )
        self._images: list[str] = []
        self._hidden = False
        self.best = QListWidget()
        self.best.setAccessibleName("Suggested images")
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
        self.listen(session.study_changed, self.refresh)
        self.listen(session.suggestions_changed, self._on_suggested)
        self.listen(session.landmarks_changed, self._on_landmarks)
        self.listen(session.image_changed, self._mark)
        self.listen(session.job_changed, self._offer)
        self.refresh()

    def refresh(self) -> None:
        """Show the suggestions, and whether the images can be compared now."""
        found, names = self.session.suggestions, self.session.names
        self.best.clear()
        self._images = [s.image for s in found.best if s.image in names] if found else []
        for suggestion in found.best if found else ():
            if suggestion.image in names:
                item = QListWidgetItem(f"{self.best.count() + 1}.   {suggestion.image}")
                item.setToolTip(f"Score {suggestion.score:.2f} of 1")
                item.setSizeHint(QSize(0, _ROW_HEIGHT))
                item.setData(Qt.ItemDataRole.UserRole, suggestion.image)
                self.best.addItem(item)
        rows = self.best.count()
        self.best.setFixedHeight(rows * _ROW_HEIGHT + 6)
        meaning, partial = _MEANINGS[self._ndim], PARTIAL if found and found.partial else ""
        self.meaning.setText(_BEST_FIRST.format(meaning, partial))
        for widget in (self.best, self.meaning):
            widget.setVisible(rows > 0 and not self._hidden)
        self._mark()
        self._offer()

    @property
    def _ndim(self) -> int:
        """Axes of the images of the study."""
        return self.session.cohort.ndim if self.session.cohort else 2

    def _on_suggested(self) -> None:
        self._hidden = False
        self.refresh()

    def _on_landmarks(self, image: str) -> None:
        """Give the room of the list to the landmarks once one is placed: the image is chosen."""
        if (
            not self._hidden
            and self._images
            and any(m.status.is_manual for m in self.session.result(image).values())
        ):
            self._hidden = True
            self.refresh()

    def _offer(self) -> None:
        session, why = self.session, ""
        if len(session.names) < 2:
            why = "There is only one image in this study: there is nothing to choose from"
        elif session.job is not None:
            why = f"{session.job.title} is still running: cancel it or wait for its end"
        for widget in (self.run, self.minutes):
            widget.setEnabled(not why)
        self.run.setToolTip(why or _TIPS[self._ndim])

    def _mark(self) -> None:
        """Select the current image where it is among the suggestions."""
        image, names = self.session.current_image, self._images
        self.best.setCurrentRow(names.index(image) if image in names else -1)

    def _on_run(self) -> None:
        def begin() -> None:
            device = Preferences.read().device
            self.session.run(suggest_job(self.session, minutes=self.minutes.value(), device=device))

        self.session.attempt(begin)

    def _on_clicked(self, item: QListWidgetItem) -> None:
        name = item.data(Qt.ItemDataRole.UserRole)
        self.session.attempt(lambda: self.session.show(name))
        self._mark()  # back to the current image where that one could not be read
