"""Row of controls that choose which images are listed in review."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QHBoxLayout, QPushButton

from napari_landmark.gui.controls import button, narrow_choice
from napari_landmark.gui.listener import Listener
from napari_landmark.gui.session.review_filter import ReviewFilter, ReviewState
from napari_landmark.gui.session.session import Session

_ANY = "Any landmark"


class ReviewFilterBar(Listener):
    """State, landmark and least expected error of the images that are listed, and how many of how many these are.

    Parameters
    ----------
    session : Session
    """

    changed = Signal()
    """Another filter was chosen, or the same one once more."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.state = self._choice("State of the listed images")
        self.state.addItems([str(state) for state in ReviewState])
        self.state.setToolTip(
            "Images that are listed. <b>To review</b>: a prediction nobody decided on. <b>Missing</b>: not visible, "
            "for you or the model. <b>Doubtful</b>: the model doubts the image. <b>Odd shape</b>: landmarks far from "
            "where the other images have them. With a landmark: its own state. Choose it again to list anew"
        )
        self.landmark = self._choice("Landmark of the listed images")
        self.landmark.setToolTip("Landmark that state, expected error and order are of")
        self.least = QDoubleSpinBox()
        self.least.setRange(0.0, 1000.0)
        self.least.setSingleStep(0.5)
        self.least.setDecimals(1)
        self.least.setStyleSheet("QDoubleSpinBox { min-width: 0px; padding: 2px; }")
        self.least.setFixedWidth(76)
        self.least.setPrefix("≥ ")
        self.least.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)  # room for the choices beside it
        self.least.setKeyboardTracking(False)
        self.least.setAccessibleName("Least expected error of the listed images")
        self.least.setToolTip("Least expected error of a prediction that nobody decided on")
        self.least.valueChanged.connect(lambda _: self.changed.emit())
        self.count: QPushButton = button("", self.clear, tip="List all images again")
        self.count.setFlat(True)
        self.count.setStyleSheet("padding: 2px;")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        row.addWidget(self.state, 4)
        row.addWidget(self.landmark, 5)
        row.addWidget(self.least)
        row.addWidget(self.count)
        self.listen(session.study_changed, self.refresh)
        self.refresh()

    @property
    def value(self) -> ReviewFilter:
        """The chosen filter."""
        landmark = self.landmark.currentText() if self.landmark.currentIndex() > 0 else ""
        return ReviewFilter(
            state=ReviewState(self.state.currentText()), landmark=landmark, least_error=self.least.value()
        )

    def clear(self) -> None:
        """List all images again."""
        with QSignalBlocker(self.least):
            self.least.setValue(0.0)
        self.state.setCurrentIndex(0)
        self.landmark.setCurrentIndex(0)
        self.changed.emit()

    def refresh(self) -> None:
        """Offer the landmarks of the study; a chosen one stays chosen while the study has it."""
        session, chosen = self.session, self.landmark.currentText()
        names = () if session.schema is None else session.schema.names
        offered = [self.landmark.itemText(number) for number in range(1, self.landmark.count())]
        if offered != list(names) or not self.landmark.count():
            self.landmark.clear()
            self.landmark.addItems([_ANY, *names])
            self.landmark.setCurrentIndex(names.index(chosen) + 1 if chosen in names else 0)
        in_mm = bool(session.names) and session.geometry(session.names[0]).has_spacing
        self.least.setSuffix(" mm" if in_mm else " px")

    def show_count(self, listed: int, total: int) -> None:
        """Show that so many of so many images are listed."""
        is_whole = self.value == ReviewFilter()
        self.count.setText(f"{listed} of {total}" + ("" if is_whole else " ✕"))
        self.count.setEnabled(not is_whole)
        self.count.setAccessibleName(f"{listed} of {total} images are listed; list all again")

    def _choice(self, name: str) -> QComboBox:
        made = narrow_choice(name)
        made.activated.connect(lambda _: self.changed.emit())
        return made
