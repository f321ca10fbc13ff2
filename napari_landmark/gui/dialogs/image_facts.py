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
from napari_landmark.data.study.laterality import LATERALITY
from napari_landmark.detection.pose.pose_table import POSE_TABLE, read_pose_table
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
_NAMED = 3  # images in a sentence


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
        self.fill = button(
            "Side of all images from this one",
            self._on_fill,
            tip=f"Writes the column {LATERALITY!r} of every image that has none: the side of this image, or the "
            "other one where a mirror image was found",
        )
        layout.addWidget(self.fill)
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

    def _on_fill(self) -> None:
        self.add_column(LATERALITY)
        poses = read_pose_table(self._session.require_study().folder / POSE_TABLE)
        editor = AnnotationEditor(self._session)
        try:
            editor.set_facts(self.facts())
            contrary = editor.fill_laterality({name: pose.mirrored for name, pose in poses.items()})
        except InputError as error:
            self.problem.setText(problem_text(word(error)))
            return
        self.problem.setText(_fill_statement(len(poses), contrary))

    def _on_accept(self) -> None:
        try:
            AnnotationEditor(self._session).set_facts(self.facts())
        except InputError as error:
            self.problem.setText(problem_text(word(error)))
            return
        self.accept()


def _fill_statement(count: int, contrary: list[str]) -> str:
    if not contrary:
        return f"{count} images have a side."
    more = f" and {len(contrary) - _NAMED} more" if len(contrary) > _NAMED else ""
    named = ", ".join(contrary[:_NAMED]) + more
    return f"{count} images have a side; in {named} another one was written, which stays: look at them."
