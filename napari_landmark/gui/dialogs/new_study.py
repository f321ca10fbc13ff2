"""The dialog that makes a study: which images, which landmarks, where it is kept."""

from __future__ import annotations

from pathlib import Path

from napari.components import ViewerModel
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.study.study import Study
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.jobs.landmark_files import is_in_millimetres, read_beside_images, read_names
from napari_landmark.gui.jobs.open_study import open_job
from napari_landmark.gui.layers.open_layers import (
    OpenImages,
    export_layers,
    names_of_points,
    open_images,
    points_on,
)
from napari_landmark.gui.presets import PRESETS
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.widgets.base import note, problem_text
from napari_landmark.gui.wording import word

_FROM_FILE = "From a landmark file…"
_FROM_POINTS = "The named points in the viewer"
_FREE = next(iter(PRESETS))


class NewStudyDialog(QDialog):
    """Asks for what a study needs; everything is filled in as far as it can be guessed."""

    def __init__(self, viewer: ViewerModel, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("New study")
        self._viewer, self._session = viewer, session
        self._open: OpenImages | None = open_images(viewer) if not session.image else None
        self.from_folder = QRadioButton("A folder of images")
        self.from_layers = QRadioButton()
        self.images = _PathEdit("Choose the folder of images")
        self.folder = _PathEdit("Choose the folder for the study")
        self.landmarks = QComboBox()
        self.landmarks.addItems([*PRESETS, _FROM_FILE])
        self.file = _PathEdit("Choose a landmark file", file=True)
        self.problem = note()
        self._lay_out()
        self.images.edit.textChanged.connect(self._guess_folder)
        self.landmarks.currentTextChanged.connect(self._on_landmarks)
        self.from_folder.toggled.connect(self._on_source)
        self._fill()
        self.resize(620, 0)

    def job(self) -> Job:
        """The work that makes and opens the study; InputError where something is missing."""
        folder = Path(self.folder.text()).expanduser()
        if not self.folder.text():
            raise InputError("Choose a folder for the study.")
        if Study.exists(folder):
            raise InputError(f"{folder} holds a study already: open it, or choose another folder.")
        schema, starting, image = self._schema(), {}, ""
        if self.from_layers.isChecked() and self._open is not None:
            images = folder / "images"
            if images.exists():
                raise InputError(f"{images}: is there already; choose another folder for the study.")
            image = export_layers(self._open.layers, images)[0]
        else:
            if not self.images.text():
                raise InputError("Choose a folder of images.")
            images = Path(self.images.text()).expanduser()
            if self._open is not None and self._open.folder == images:
                image = self._open.first
        if image and self._open is not None:
            marks = points_on(self._viewer, self._open.layers[0], schema)
            starting = {} if marks is None else {image: marks}
        if self.landmarks.currentText() == _FROM_FILE:
            starting.update(_placed_in(self.file.text(), schema))
        free = self.landmarks.currentText() == _FREE
        return open_job(
            self._session,
            folder,
            create={"schema": schema, "images": images},
            image=image,
            adding=free,
            starting=starting,
        )

    def _schema(self) -> LandmarkSchema:
        choice = self.landmarks.currentText()
        if choice == _FROM_POINTS:
            return LandmarkSchema(names_of_points(self._viewer))
        if choice == _FROM_FILE:
            if not self.file.text():
                raise InputError("Choose the landmark file.")
            return read_names(self.file.text())
        return PRESETS[choice]()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        source = QVBoxLayout()
        source.addWidget(self.from_layers)
        source.addWidget(self.from_folder)
        source.addWidget(self.images)
        form.addRow("Images", source)
        form.addRow("Landmarks", self.landmarks)
        form.addRow("", self.file)
        form.addRow("Keep the study in", self.folder)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.button(QDialogButtonBox.StandardButton.Ok).setText("Create study")
        buttons.accepted.connect(self._on_accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(
            note("A study keeps your landmarks, the model and what it finds. Your images stay as they are.")
        )
        layout.addLayout(form)
        layout.addWidget(self.problem)
        layout.addWidget(buttons)

    def _fill(self) -> None:
        found = self._open
        self.file.hide()
        self.from_layers.setVisible(found is not None and found.folder is None)
        if found is not None:
            count = len(found.layers)
            self.from_layers.setText(
                f"The {count} images open now" if count > 1 else f"The open image ({found.first})"
            )
        self.from_layers.setChecked(found is not None and found.folder is None)
        self.from_folder.setChecked(not self.from_layers.isChecked())
        if found is not None and found.folder is not None:
            self.images.edit.setText(str(found.folder))
            if found.preset in PRESETS:
                self.landmarks.setCurrentText(found.preset)
        if not self.folder.text():
            self.folder.edit.setText(str(_free_folder(Path.home() / "landmark study")))
        if (
            names_of_points(self._viewer)
            and self.landmarks.currentText() == _FREE
            and not self._session.image
        ):
            self.landmarks.addItem(_FROM_POINTS)
            self.landmarks.setCurrentText(_FROM_POINTS)
        self._on_source()

    def _guess_folder(self, images: str) -> None:
        if images:
            folder = Path(images).expanduser()
            self.folder.edit.setText(str(_free_folder(folder.parent / f"{folder.name} landmarks")))

    def _on_source(self) -> None:
        self.images.setEnabled(self.from_folder.isChecked())

    def _on_landmarks(self, choice: str) -> None:
        self.file.setVisible(choice == _FROM_FILE)
        if choice == _FROM_FILE and not self.file.text():
            self.file.browse()

    def _on_accept(self) -> None:
        try:
            job = self.job()
            self._session.run(job)
        except InputError as error:
            self.problem.setText(problem_text(word(error)))
            return
        self.accept()


class _PathEdit(QWidget):
    """A path with a button that lets it be chosen."""

    def __init__(self, title: str, *, file: bool = False) -> None:
        super().__init__()
        self._title, self._file = title, file
        self.edit = QLineEdit()
        choose = QPushButton("Browse…")
        choose.clicked.connect(self.browse)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.edit, 1)
        layout.addWidget(choose)

    def text(self) -> str:
        """The path, without spaces around it."""
        return self.edit.text().strip()

    def browse(self) -> None:
        """Ask for a path."""
        if self._file:
            chosen, _ = QFileDialog.getOpenFileName(self, self._title, self.text())
        else:
            chosen = QFileDialog.getExistingDirectory(self, self._title, self.text())
        if chosen:
            self.edit.setText(chosen)


def _free_folder(folder: Path) -> Path:
    """The folder, with a number where it is taken."""
    free, number = folder, 2
    while free.exists():
        free, number = folder.with_name(f"{folder.name} {number}"), number + 1
    return free


def _placed_in(path: str, schema: LandmarkSchema) -> dict[str, LandmarkSet]:
    """Landmarks of a file that persons placed; predictions of a model are no annotation."""
    if is_in_millimetres(path):
        return {}  # imported into its image once that is open and its place in the world is known
    return {
        name: LandmarkSet(schema, (m for m in marks.values() if m.status.is_manual))
        for name, marks in read_beside_images(path).items()
        if any(m.status.is_manual for m in marks.values())
    }
