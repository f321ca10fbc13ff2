"""Export of annotations and predictions to files of other programs."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QMenu, QMessageBox, QPushButton, QWidget

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.file_stem import file_stem
from napari_landmark.data.files.small_file import read_small_text
from napari_landmark.data.formats.registry import format_of_suffix, landmark_formats, write_landmarks
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.data.study.provenance import write_run_record
from napari_landmark.data.subjects import subject_name
from napari_landmark.gui.session.session import Session


class ExportButton(QPushButton):
    """Button with a menu: the current image or all images, in any format that can be written."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.setText("Export")
        menu = QMenu(self)
        for whole in (True, False):
            title = "All images" if whole else "This image"
            part = QMenu(title, menu)
            menu.addMenu(part)
            for known in landmark_formats():
                if known.write is not None:
                    text, suffix = f"{known.title} ({known.suffix})…", known.suffix
                    part.addAction(text, lambda suffix=suffix, whole=whole: self._on_export(suffix, whole))
        self.setMenu(menu)

    def _on_export(self, suffix: str, whole: bool) -> None:
        session = self._session
        if session.study is None:
            return
        reviewed_only = False
        if whole:
            answer = self._ask_reviewed_only()
            if answer is None:
                return
            reviewed_only = answer
        if whole and format_of_suffix(suffix).one_image:
            chosen = QFileDialog.getExistingDirectory(self, "Folder for one file of each image")
        else:
            stem = "landmarks" if whole else Path(session.current_image).stem
            start = str(session.study.folder / f"{stem}{suffix}")
            chosen, _ = QFileDialog.getSaveFileName(self, "Export landmarks", start, f"*{suffix}")
        if chosen:
            session.attempt(lambda: self._export(chosen, suffix, whole, reviewed_only))

    def _ask_reviewed_only(self) -> bool | None:
        """Ask whether images that nobody has reviewed are left out, where there are some; None to give up."""
        store, names = self._session.require_store(), self._session.names
        open_ = len(names) - store.reviewed_count(names)
        if not open_:
            return False
        box = QMessageBox(self)
        box.setWindowTitle("Export all images")
        box.setText(f"{open_} of {len(names)} images have predictions or landmarks that nobody has reviewed.")
        everything = box.addButton("Export all", QMessageBox.ButtonRole.AcceptRole)
        reviewed = box.addButton("Reviewed images only", QMessageBox.ButtonRole.AcceptRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.exec()
        clicked = box.clickedButton()
        box.deleteLater()
        if clicked is None or clicked not in (everything, reviewed):
            return None
        return clicked is reviewed

    def _export(self, chosen: str, suffix: str, whole: bool, reviewed_only: bool) -> None:
        count = export(self._session, chosen, suffix=suffix, whole=whole, reviewed_only=reviewed_only)
        images = "1 image" if count == 1 else f"{count} images"
        self._session.message.emit("info", f"Landmarks of {images} written to {chosen}")


def export(
    session: Session, path: str | Path, *, suffix: str, whole: bool, reviewed_only: bool = False
) -> int:
    """Write the landmarks of the current image or of all images, and a record of their provenance beside them.

    Predictions of further subjects of an image have the names of `subject_name`.

    Parameters
    ----------
    path : str or Path
        A file; a folder where all images are written in a format of one image a file.
    suffix : str
        Of the format, such as '.csv'; added to the path where it is missing.
    whole : bool
        All images, and not only the current one.
    reviewed_only : bool, optional
        Of all images only those of which a person decided on each landmark.

    Returns
    -------
    int
        Number of images written: not those without any landmark, and of all images not those that the user left out.
    """
    path = Path(path)
    store = session.require_store()
    used = tuple(name for name in session.names if store.decision(name) is not ImageDecision.LEFT_OUT)
    if reviewed_only:
        used = tuple(name for name in used if store.is_reviewed(name))
    names = used if whole else (session.current_image,)
    sets, geometries, count = {}, {}, 0
    for name in names:
        result = session.result(name)
        if not _any_landmark(result):
            continue
        count += 1
        for number, marks in enumerate((result, *store.further_subjects(name)), start=1):
            subject = subject_name(name, number)
            sets[subject], geometries[subject] = marks, session.geometry(name)
    if not sets:
        raise InputError("No landmark is annotated or predicted yet: there is nothing to export.")
    files: list[Path] = []
    if whole and format_of_suffix(suffix).one_image:
        for name, marks in sets.items():
            file = path / f"{file_stem(name)}{suffix}"
            write_landmarks(file, {name: marks}, geometries={name: geometries[name]})
            files.append(file)
        path = path / f"all{suffix}"
    else:
        if not path.name.lower().endswith(suffix):
            path = path.with_name(path.name + suffix)
        write_landmarks(path, sets, geometries=geometries)
    _record(session, path, files, sets, geometries, whole=whole)
    known = format_of_suffix(suffix)
    if known.note is not None and (note := known.note(sets, geometries=geometries)):
        session.message.emit("warning", f"{path.name}: {note}")
    return count


def _record(
    session: Session,
    path: Path,
    files: list[Path],
    sets: dict[str, LandmarkSet],
    geometries: dict[str, Geometry],
    *,
    whole: bool,
) -> None:
    """Write the record: number of landmarks of each status, and the training records of the models."""
    study = session.require_study()
    statuses = Counter(mark.status.value for marks in sets.values() for mark in marks.values())
    models = {}
    for record in sorted(study.models_dir.glob("*/run.json")):
        with suppress(InputError, OSError, ValueError, RecursionError):
            models[record.parent.name] = json.loads(read_small_text(record))
    write_run_record(
        path,
        "export",
        {"study": study.folder, "image": None if whole else session.current_image},
        files=files,
        geometries=geometries.values(),
        landmarks=dict(statuses),
        models=models,
        images={"count": len(sets.keys() & set(session.names))},
    )


def _any_landmark(marks: LandmarkSet) -> bool:
    return any(mark.position is not None or mark.status.is_manual for mark in marks.values())
