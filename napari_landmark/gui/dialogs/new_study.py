"""Dialog that creates a study from images and a set of landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from napari.components import ViewerModel
from qtpy.QtCore import QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFormLayout,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import landmark_formats
from napari_landmark.data.images import dicom_series
from napari_landmark.data.images.image import looks_like_image
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.measurement_language.schema_file import SchemaFile, is_schema_file
from napari_landmark.data.study.study import Study
from napari_landmark.gui.controls import note, problem_text
from napari_landmark.gui.dialogs.path_edit import PathEdit
from napari_landmark.gui.jobs.folder_contents import FolderContents
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.jobs.landmark_files import is_in_millimetres, read_in_pixels, read_names
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
from napari_landmark.gui.wording import word

_FROM_FILE = "From a landmark file…"
_FROM_POINTS = "The named points in the viewer"
_UNNAMED = next(iter(PRESETS))
_PAUSE = 250  # ms


def show_new_study_dialog(
    viewer: ViewerModel, session: Session, parent: QWidget, *, images: Path | None = None
) -> None:
    """Let the user create a study, such as from a folder of images that is known already."""
    dialog = NewStudyDialog(viewer, session, parent)
    if images is not None:
        dialog.take([images])
    dialog.exec()
    dialog.deleteLater()


class NewStudyDialog(QDialog):
    """Images, landmarks and folder of a new study, filled in from the open layers where they are known.

    Folders, images and landmark files may be dropped onto it.
    """

    def __init__(self, viewer: ViewerModel, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAcceptDrops(True)
        self.setWindowTitle("New study")
        self._viewer, self._session = viewer, session
        self._open: OpenImages | None = open_images(viewer) if not session.current_image else None
        self.from_folder = QRadioButton("A folder of images")
        self.from_layers = QRadioButton()
        self.images = PathEdit("Choose the folder of images")
        self.folder = PathEdit("Choose the folder for the study")
        self.landmarks = QComboBox()
        self.landmarks.setAccessibleName("Landmarks")
        self.landmarks.addItems([*PRESETS, _FROM_FILE])
        self.file = PathEdit("Choose a landmark file", filters=_landmark_filters())
        self.spacing = QDoubleSpinBox()
        self.spacing.setAccessibleName("Pixel size")
        self.spacing.setRange(0.0, 100.0)
        self.spacing.setDecimals(4)
        self.spacing.setSingleStep(0.01)
        self.spacing.setSuffix(" mm")
        self.spacing.setSpecialValueText("as in the files")
        self.spacing.setToolTip(
            "Size of a pixel of every image. Files such as DICOM state it; of others it can be measured later, in "
            "the step Place"
        )
        self.problem = note()
        self.found = note()
        self._lay_out()
        self.images.edit.textChanged.connect(self._guess_folder)
        self.landmarks.currentTextChanged.connect(self._on_landmarks)
        self.from_folder.toggled.connect(self._on_source)
        for edit in (self.images.edit, self.folder.edit, self.file.edit):
            edit.textChanged.connect(lambda _: self.problem.clear())
        self.landmarks.currentTextChanged.connect(lambda _: self.problem.clear())
        # Read once the typing pauses: the path of a folder is that of many folders on the way.
        self._contents = FolderContents(self)
        self._contents.described.connect(self._on_described)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE)
        # Methods, which Qt lets go with the dialog: a function would be called after it.
        self._pause.timeout.connect(self._look)
        self.images.edit.textChanged.connect(self._look_soon)
        self.from_folder.toggled.connect(self._look_soon)
        self.finished.connect(self._contents.stop)
        self._fill()
        self.resize(620, 0)

    def job(self) -> Job:
        """Job that creates and opens the study; InputError where something is missing."""
        folder = Path(self.folder.text()).expanduser()
        if not self.folder.text():
            raise InputError("Choose a folder for the study.")
        if Study.exists(folder):
            raise InputError(f"{folder} holds a study already: open it, or choose another folder.")
        chosen, starting, image = self._schema(), {}, ""
        schema = chosen.landmarks
        if self.from_layers.isChecked() and self._open is not None:
            images = folder / "images"
            if images.exists():
                raise InputError(f"{images}: exists already; choose another folder for the study.")
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
        if self.landmarks.currentText() == _FROM_FILE and not is_schema_file(self.file.text()):
            starting.update(_annotations_in(self.file.text(), schema, self._images_folder()))
        free = self.landmarks.currentText() == _UNNAMED
        return open_job(
            self._session,
            folder,
            create={
                "schema": schema,
                "images": images,
                "measurements": chosen.measurements,
                "spacing": self.spacing.value() or None,
            },
            image=image,
            adding=free,
            annotations=starting,
        )

    def take(self, paths: Sequence[Path]) -> None:
        """Fill in a folder of images, that of images, a file of landmarks, or several of these."""
        unknown = []
        for path in paths:
            if path.is_dir() and not dicom_series.holds_slices(path):
                self._take_images(path)
            elif looks_like_image(path) or path.is_dir():
                self._take_images(path.parent)
            elif _is_landmark_file(path):
                self.file.edit.setText(str(path))
                self.landmarks.setCurrentText(_FROM_FILE)
            else:
                unknown.append(path.name)
        text = f"{', '.join(unknown[:3])}: neither images nor landmarks." if unknown else ""
        self.problem.setText(problem_text(text) if text else "")

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Accept files and folders of this computer."""
        mime = None if event is None else event.mimeData()
        if event is not None and mime is not None and any(url.isLocalFile() for url in mime.urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Fill in what is dropped."""
        mime = None if event is None else event.mimeData()
        if event is not None and mime is not None:
            event.acceptProposedAction()
            self.take([Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()])

    def _take_images(self, folder: Path) -> None:
        self.from_folder.setChecked(True)
        self.images.edit.setText(str(folder))

    def _schema(self) -> SchemaFile:
        choice = self.landmarks.currentText()
        if choice == _FROM_POINTS:
            return SchemaFile(LandmarkSchema(names_of_points(self._viewer)))
        if choice == _FROM_FILE:
            if not self.file.text():
                raise InputError("Choose the landmark file.")
            if is_schema_file(self.file.text()):
                return SchemaFile.read(self.file.text())
            return SchemaFile(read_names(self.file.text(), self._images_folder()))
        return PRESETS[choice]()

    def _images_folder(self) -> Path | None:
        """Folder of images that is chosen; None where the images are layers."""
        text = self.images.text()
        return Path(text).expanduser() if text and self.from_folder.isChecked() else None

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        source = QVBoxLayout()
        source.addWidget(self.from_layers)
        source.addWidget(self.from_folder)
        source.addWidget(self.images)
        source.addWidget(self.found)
        form.addRow("Images", source)
        form.addRow("Landmarks", self.landmarks)
        form.addRow("", self.file)
        form.addRow("Pixel size", self.spacing)
        form.addRow("Keep the study in", self.folder)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        create = buttons.button(QDialogButtonBox.StandardButton.Ok)
        if create is not None:
            create.setText("Create study")
        buttons.accepted.connect(self._on_accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(
            note(
                "A study keeps your landmarks, the models and their predictions. Your images stay as they are."
            )
        )
        layout.addLayout(form)
        layout.addWidget(self.problem)
        layout.addWidget(buttons)

    def _fill(self) -> None:
        found = self._open
        self.file.hide()
        has_layers = found is not None and found.folder is None
        self.from_layers.setVisible(has_layers)
        self.from_folder.setVisible(has_layers)  # nothing to choose from without them
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
            and self.landmarks.currentText() == _UNNAMED
            and not self._session.current_image
        ):
            self.landmarks.addItem(_FROM_POINTS)
            self.landmarks.setCurrentText(_FROM_POINTS)
        self._on_source()

    def _guess_folder(self, images: str) -> None:
        if images:
            folder = Path(images).expanduser()
            self.folder.edit.setText(str(_free_folder(folder.parent / f"{folder.name} landmarks")))

    def _look_soon(self, *_: object) -> None:
        self.found.clear()
        self._pause.start()

    def _look(self) -> None:
        self._contents.look(self._images_folder())

    def _on_described(self, text: str) -> None:
        typed = self.images.text()
        missing = bool(typed) and self.from_folder.isChecked() and self._images_folder() is not None
        self.found.setText(escape(text or ("There is no such folder." if missing else "")))

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


def _landmark_filters() -> str:
    """Kinds of files of landmarks, as Qt writes them."""
    suffixes = dict.fromkeys(
        suffix for known in landmark_formats() if known.read for suffix in known.suffixes
    )
    kinds = " ".join(f"*{suffix}" for suffix in (*suffixes, ".json"))
    return f"Landmarks ({kinds});;All files (*)"


def _is_landmark_file(path: Path) -> bool:
    name = path.name.lower()
    return is_schema_file(path) or any(name.endswith(one.suffixes) for one in landmark_formats() if one.read)


def _free_folder(folder: Path) -> Path:
    """Folder that does not exist yet, with a number added where needed."""
    free, number = folder, 2
    while free.exists():
        free, number = folder.with_name(f"{folder.name} {number}"), number + 1
    return free


def _annotations_in(path: str, schema: LandmarkSchema, images: Path | None) -> dict[str, LandmarkSet]:
    """Annotations of a landmark file by image; predictions in it are left out."""
    if is_in_millimetres(path):
        return {}  # in world coordinates: imported once the image is open and its geometry known
    return {
        name: LandmarkSet(schema, (m for m in marks.values() if m.status.is_manual))
        for name, marks in read_in_pixels(path, images).items()
        if any(m.status.is_manual for m in marks.values())
    }
