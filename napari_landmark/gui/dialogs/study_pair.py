"""Dialog that chooses two images of the study to register, their label maps and landmarks."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QCheckBox, QComboBox, QDialog, QDialogButtonBox, QFormLayout, QVBoxLayout, QWidget

from napari_landmark.data.errors import InputError
from napari_landmark.gui.controls import narrow_combo, note, problem_text
from napari_landmark.gui.dialogs.path_edit import PathEdit
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.jobs.study_pair import study_pair_job, usual_label_folder
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.wording import word


class StudyPairDialog(QDialog):
    """Fixed and moving image from the images of the open study; the template, or the first one, is fixed at first.

    Parameters
    ----------
    session : Session
        With an open study.
    parent : QWidget, optional

    Attributes
    ----------
    job : Job or None
        Reading of the pair, which was started; None until the dialog was accepted.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Images of the study")
        self._session = session
        self.job: Job | None = None
        self.fixed, self.moving = self._choice("Fixed image"), self._choice("Moving image")
        self.labels = PathEdit("Choose the folder of label maps")
        self.labels.setToolTip("Label maps of both images: files of the same names. May be left empty")
        self.landmarks = QCheckBox("Landmarks of the study, where both have some")
        self.landmarks.setChecked(True)
        self.problem = note()
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Fixed image", self.fixed)
        form.addRow("Moving image", self.moving)
        form.addRow("Label maps", self.labels)
        form.addRow("", self.landmarks)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self._on_accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.problem)
        layout.addWidget(buttons)
        self._fill()
        self.resize(520, 0)

    def _choice(self, name: str) -> QComboBox:
        made = narrow_combo()
        made.setAccessibleName(name)
        made.addItems(list(self._session.names))
        made.currentTextChanged.connect(lambda _: self.problem.clear())
        return made

    def _fill(self) -> None:
        session = self._session
        names, study = session.names, session.require_study()
        fixed = study.template if study.template in names else names[0]
        others = [name for name in (session.current_image, *names) if name != fixed]
        self.fixed.setCurrentText(fixed)
        self.moving.setCurrentText(others[0] if others else fixed)
        folder = usual_label_folder(session.require_cohort().folder)
        if folder is not None:
            self.labels.edit.setText(str(folder))

    def _on_accept(self) -> None:
        text = self.labels.text()
        try:
            job = study_pair_job(
                self._session,
                self.fixed.currentText(),
                self.moving.currentText(),
                labels=Path(text).expanduser() if text else None,
                landmarks=self.landmarks.isChecked(),
            )
            self._session.run(job)
        except InputError as error:
            self.problem.setText(problem_text(word(error)))
            return
        self.job = job
        self.accept()
