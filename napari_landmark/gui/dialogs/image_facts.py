"""Dialog for the facts of the current image: use, remark, reader, and any columns."""

from __future__ import annotations

from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QInputDialog,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from napari_landmark.data.errors import InputError
from napari_landmark.data.study.image_facts import ImageDecision, ImageFacts
from napari_landmark.gui.controls import button, note, problem_text
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.wording import word

_STATES = {
    "": None,
    "use": ImageDecision.CONFIRMED,
    "leave out": ImageDecision.LEFT_OUT,
    "done": ImageDecision.DONE,
}
_SUGGESTED = ("age", "sex", "group", "date")


class FactsDialog(QDialog):
    """What a person says of the current image; kept in ``images.csv`` of the study.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.setWindowTitle(f"Facts of {session.current_image}")
        store = session.require_store()
        facts = store.facts(session.current_image)
        self.state = QComboBox()
        self.state.addItems(list(_STATES))
        self.state.setCurrentText(str(facts.decision or ""))
        self.remark, self.reader = QLineEdit(facts.remark), QLineEdit(facts.reader)
        self.columns: dict[str, QLineEdit] = {}
        self._form = QFormLayout()
        self._form.addRow("State", self.state)
        self._form.addRow("Remark", self.remark)
        self._form.addRow("Reader", self.reader)
        for title in store.fact_columns or _SUGGESTED:
            self.add_column(title, facts.more.get(title, ""))
        self.problem = note()
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self._on_accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(self._form)
        layout.addWidget(button("Add column…", self._on_add, tip="Such as height or diagnosis"))
        layout.addWidget(note("Kept in images.csv of the study, which a spreadsheet can edit as well."))
        layout.addWidget(self.problem)
        layout.addWidget(buttons)

    def add_column(self, title: str, text: str = "") -> None:
        """Add a line for a column."""
        if title not in self.columns:
            self.columns[title] = QLineEdit(text)
            self._form.addRow(title, self.columns[title])

    def facts(self) -> ImageFacts:
        """Facts as they are entered; InputError for a title that cannot be used."""
        known = self._session.require_store().fact_columns
        more = {title: edit.text().strip() for title, edit in self.columns.items()}
        kept = {title: text for title, text in more.items() if text or title in known}
        return ImageFacts(
            _STATES[self.state.currentText()], self.remark.text().strip(), self.reader.text().strip(), kept
        )

    def _on_add(self) -> None:
        title, accepted = QInputDialog.getText(self, "Add column", "Title of the column")
        if accepted and title.strip():
            self.add_column(title.strip())

    def _on_accept(self) -> None:
        try:
            AnnotationEditor(self._session).set_facts(self.facts())
        except InputError as error:
            self.problem.setText(problem_text(word(error)))
            return
        self.accept()
