"""The widget in which a person places landmarks."""

from __future__ import annotations

from pathlib import Path

from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QInputDialog, QLabel, QPushButton

from napari_landmark.data.formats.registry import landmark_formats
from napari_landmark.data.landmarks import LandmarkSet, Status, check_inside
from napari_landmark.data.study.schema_migration import merged_schema
from napari_landmark.gui.dialogs.calibration import Calibration
from napari_landmark.gui.dialogs.edit_landmarks import SchemaDialog
from napari_landmark.gui.jobs.landmark_files import read_for
from napari_landmark.gui.jobs.open_study import regather_job
from napari_landmark.gui.keys import keys_text
from napari_landmark.gui.widgets.base import DockWidget, button, note
from napari_landmark.gui.widgets.landmark_table import LandmarkTable
from napari_landmark.gui.widgets.suggest import SuggestImage


class AnnotateWidget(DockWidget):
    """Annotate template: click the landmarks of one image, in any order, with the next one named."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self._calibration: Calibration | None = None
        self.task = note()
        self.definition = note()
        self.place = QPushButton("Place by clicking")
        self.place.setCheckable(True)
        self.place.setToolTip(
            "On: a click on the image places the landmark named above. Drag to move the image."
        )
        self.place.clicked.connect(self._on_place)
        self.missing = button("Missing", self._on_missing, tip=keys_text("u"))
        self.skip = button("Skip", lambda: self.session.skip(1), tip=keys_text("n"))
        self.clear = button("Clear", self._on_clear, tip="Take the landmark's point away")
        self.table = LandmarkTable(self.session)
        self.table.picked.connect(self.stage.look_at)
        self.undo = button(
            "Undo", lambda: self.session.attempt(self.session.edits.undo), tip=keys_text("Control-Z")
        )
        self.redo = button(
            "Redo", lambda: self.session.attempt(self.session.edits.redo), tip=keys_text("Control-Shift-Z")
        )
        self.edit = button("Edit landmarks…", self._on_edit, tip="Names, colours, definitions, order")
        self.load = button("Import…", self._on_import, tip="Landmarks of this image from a file")
        self.spacing = QLabel()
        self.calibrate = button("Calibrate…", self._on_calibrate, tip="By two points of a known distance")
        self.suggest = SuggestImage(self.session)
        self.onward = button("Next: train ▸", lambda: self.open_dock("Train"), strong=True)
        self._lay_out()
        for signal in (
            self.session.study_changed,
            self.session.image_changed,
            self.session.landmark_changed,
            self.session.job_changed,
            self.session.view_changed,
        ):
            self.listen(signal, self.refresh)
        self.listen(self.session.landmarks_changed, self._on_landmarks)
        self.refresh()

    def _lay_out(self) -> None:
        for widgets in (
            (self.task,),
            (self.definition,),
            (self.place, self.missing, self.skip, self.clear),
            (self.table,),
            (self.undo, self.redo, self.edit, self.load),
            (self.spacing, self.calibrate),
            (self.suggest,),
        ):
            row = QHBoxLayout()
            for widget in widgets:
                row.addWidget(widget, 1 if widget in (self.place, self.table, self.spacing) else 0)
            self.body.addLayout(row, 1 if self.table in widgets else 0)
        self.keys = note(f"<small>{keys_text('n', 'j', 'u', '.', ',', 'Control-Z')}</small>")
        self.body.addWidget(self.keys)
        self.body.addWidget(self.onward)

    def refresh(self) -> None:
        """Show the session as it is."""
        session = self.session
        has = bool(session.image)
        self.content.setVisible(has)
        if not has:
            return
        schema, result = session.schema, session.result()
        waiting = sum(mark.status is Status.UNPLACED for mark in result.values())
        row = schema.index(session.landmark) if session.landmark in schema else 0
        name, color = schema.names[row], schema.colors[row]
        dot = f"<span style='color:{color}'>⬤</span>"
        status = result[name].status
        if status is Status.UNPLACED:
            task = f"Click on {dot} <b>{name}</b>"
        elif waiting == 0 and session.adding:
            task = "Click to add one more landmark, or go on to training."
        elif waiting == 0:
            task = f"All landmarks have a place. {dot} <b>{name}</b>: drag its point to move it."
        elif status is Status.MISSING:
            task = f"{dot} <b>{name}</b> is missing in this image."
        else:
            task = f"{dot} <b>{name}</b>: drag its point to move it."
        done = len(schema) - waiting
        self.task.setText(
            f"<span style='font-size:15px'>{task}</span>&nbsp;&nbsp;({done} of {len(schema)} done)"
        )
        self.definition.setText(schema.definitions[row])
        self.definition.setVisible(bool(schema.definitions[row]))
        self.place.setChecked(session.placing)
        self.place.setText("Clicking places" if session.placing else "Place by clicking")
        self.undo.setEnabled(bool(session.edits.undo_stack.undo_label))
        self.redo.setEnabled(bool(session.edits.undo_stack.redo_label))
        self.undo.setToolTip(f"{session.edits.undo_stack.undo_label} ({keys_text('Control-Z')})")
        self.clear.setEnabled(status.is_manual)
        self.edit.setEnabled(session.job is None)
        self.calibrate.setEnabled(session.job is None)
        geometry = session.geometry()
        if geometry.spacing is None:
            self.spacing.setText("Pixel size unknown: results are in pixels")
        else:
            size = " x ".join(f"{value:.3g}" for value in reversed(geometry.spacing))
            self.spacing.setText(f"Pixel size {size} mm (from the {_SOURCES[geometry.spacing_source]})")
        placed = any(mark.status is Status.PLACED for mark in session.annotation().values())
        self.onward.setVisible(placed and (waiting == 0 or session.adding))

    def import_file(self, path: str | Path) -> int:
        """Take over landmarks of the image at hand from a file; returns how many have a place.

        Raises
        ------
        InputError
            The file cannot be read, or speaks of other images.
        """
        session = self.session
        found = read_for(path, session.image, {name: session.geometry(name) for name in session.names})
        placed = [mark for mark in found.values() if mark.status is not Status.UNPLACED]
        check_inside(placed, session.geometry(), image=session.image)  # before landmarks are defined for it
        new = [mark.name for mark in placed if mark.name not in session.schema]
        if new:
            untouched = len(session.schema) == 1 and session.adding and not session.known.any_annotation
            session.schema_edits.set(
                found.schema if untouched else merged_schema(session.schema, found.schema)
            )
        session.edits.say_all(LandmarkSet(session.schema, placed), f"Import {Path(path).name}")
        return len(placed)

    def _on_landmarks(self, image: str) -> None:
        if image == self.session.image:
            self.refresh()

    def _on_place(self, on: bool) -> None:
        self.session.set_placing(on)
        self.stage.activate()

    def _on_missing(self) -> None:
        self.session.attempt(lambda: self.session.edits.mark_missing(self.session.landmark))

    def _on_clear(self) -> None:
        self.session.attempt(lambda: self.session.edits.clear(self.session.landmark))

    def _on_edit(self) -> None:
        dialog = SchemaDialog(self.session, self)
        dialog.exec()
        dialog.deleteLater()

    def _on_import(self) -> None:
        kinds = " ".join(
            f"*{suffix}" for known in landmark_formats() if known.read for suffix in known.suffixes
        )
        path, _ = QFileDialog.getOpenFileName(self, "Import landmarks", "", f"Landmarks ({kinds})")
        if path:
            self.session.attempt(lambda: self.import_file(path))

    def _on_calibrate(self) -> None:
        if self._calibration is not None:
            self._calibration.stop()

        def ask() -> float | None:
            text = (
                "Distance between the two points in millimetres.\n"
                "It then holds for every image of this study."
            )
            value, agreed = QInputDialog.getDouble(self, "Calibrate", text, 10.0, 0.001, 100_000.0, 3)
            return value if agreed else None

        def begin() -> None:
            self._calibration = Calibration(self.viewer, self.session, ask=ask, done=self._calibrated)
            self.session.message.emit(
                "info", "Click both ends of a known length, such as a ruler in the image."
            )

        self.session.attempt(begin)

    def _calibrated(self, spacing: float | None) -> None:
        self._calibration = None
        self.stage.activate()
        if spacing is None:
            return

        def apply() -> None:
            self.session.study.update(spacing=spacing)
            self.session.run(regather_job(self.session))

        self.session.attempt(apply)


_SOURCES = {"file": "file", "user": "calibration", "unknown": "file"}
