"""Step that annotates the landmarks of an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from napari.components import ViewerModel
from numpy.typing import NDArray
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QInputDialog, QLineEdit, QMenu, QMessageBox, QPushButton

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.curves import Curve
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import landmark_formats
from napari_landmark.data.geometry import SpacingSource
from napari_landmark.data.landmarks import LandmarkSet, Status
from napari_landmark.data.study.schema_migration import renamed_schema
from napari_landmark.gui.controls import button, note
from napari_landmark.gui.dialogs.calibration import Calibration
from napari_landmark.gui.dialogs.edit_landmarks import SchemaDialog
from napari_landmark.gui.dialogs.import_landmarks import ask_for_images
from napari_landmark.gui.jobs.change_landmarks import change_landmarks
from napari_landmark.gui.jobs.import_landmarks import Choose, import_landmark_file
from napari_landmark.gui.jobs.open_study import reread_job
from napari_landmark.gui.keys import keys_text
from napari_landmark.gui.layers.curve_drawing import CurveDrawing
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.widgets.landmark_table import LandmarkTable
from napari_landmark.gui.widgets.reading_bar import ReadingBar
from napari_landmark.gui.widgets.step_widget import StepWidget
from napari_landmark.gui.widgets.steps import Step
from napari_landmark.gui.widgets.suggest import SuggestImage
from napari_landmark.gui.widgets.template_check import TemplateCheck


class AnnotateWidget(StepWidget):
    """Place the landmarks of one image by clicking, in any order."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.editor = AnnotationEditor(self.session)
        self._calibration: Calibration | None = None
        self._sizes: tuple[Cohort | None, str] = None, ""  # what is said of the pixel sizes of a cohort
        self._drawing: CurveDrawing | None = None
        self.task = note()
        self.definition = note()
        self.place = QPushButton("Place by clicking")
        self.place.setCheckable(True)
        self.place.setToolTip(
            "On: a click on the image places the landmark named above. Drag to move the image."
        )
        self.place.clicked.connect(self._on_place)
        self.missing = button("Missing", self._on_missing, tip=keys_text("u"))
        self.covered = button("Covered", self._on_covered, tip=_COVERED)
        self.covered.setCheckable(True)
        self.skip = button("Skip", lambda: self.session.skip(1), tip=keys_text("n"))
        self.clear = button("Clear", self._on_clear, tip="Remove the annotation of this landmark")
        self.curve = QPushButton("Draw curve")
        self.curve.setToolTip(
            "Draw freely between two landmarks: semilandmarks are spaced evenly along the line"
        )
        self.curves = QMenu(self.curve)
        self.curve.setMenu(self.curves)
        self.reading = ReadingBar(self.session)
        self.check = TemplateCheck(self.viewer, self.session, self.layer_manager)
        self.table = LandmarkTable(self.session)
        self.table.picked.connect(self.layer_manager.center_on)
        self.table.opened.connect(self._on_rename)
        self.table.setToolTip("Double-click on a landmark to rename it")
        self.undo = button("Undo", lambda: self.session.attempt(self.editor.undo), tip=_UNDO)
        self.redo = button(
            "Redo",
            lambda: self.session.attempt(self.editor.redo),
            tip=_REDO,
        )
        self.edit = button("Edit landmarks…", self._on_edit, tip="Names, colours, definitions, order")
        self.load = button("Import…", self._on_import, tip="Landmarks of this image, or of all, from a file")
        self.spacing = note()
        self.calibrate = button("Calibrate…", self._on_calibrate, tip="From two points of a known distance")
        self.type_size = button("Type…", self._on_type_spacing, tip="Type the pixel size of the images")
        self.type_size.setAccessibleName("Type the pixel size")
        self.cancel_calibration = button("Cancel", self._on_cancel_calibration, tip="Esc")
        self.uncalibrate = button(
            "Remove",
            self._on_uncalibrate,
            tip="Remove the calibration: the pixel sizes in the files of the images are used again",
        )
        self.suggest = SuggestImage(self.session)
        self.onward = button("Next: train ▸", lambda: self.open_step(Step.TRAIN), strong=True)
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
            (self.place, self.missing, self.covered, self.skip, self.clear),
            (self.curve,),
            (self.check,),
            (self.table,),
            (self.undo, self.redo, self.edit, self.load),
            (self.spacing, self.calibrate, self.type_size, self.cancel_calibration, self.uncalibrate),
            (self.suggest,),
            (self.reading,),
        ):
            row = QHBoxLayout()
            for widget in widgets:
                row.addWidget(
                    widget, 1 if widget in (self.place, self.table, self.spacing, self.check) else 0
                )
            self.body.addLayout(row, 1 if self.table in widgets else 0)
        self.keys = note(f"<small>{keys_text('n', 'j', 'u', '.', ',', 'Control-Z')}</small>")
        self.body.addWidget(self.keys)
        self.footer.addWidget(self.onward, 1)

    def refresh(self) -> None:
        """Show the state of the session."""
        session, schema = self.session, self.session.schema
        has = bool(session.current_image) and schema is not None
        self.content.setVisible(has)
        if not has or schema is None:
            return
        result = session.result()
        unplaced = sum(mark.status is Status.UNPLACED for mark in result.values())
        manual = sum(mark.status.is_manual for mark in result.values())
        row = schema.index(session.current_landmark) if session.current_landmark in schema else 0
        name, color = schema.names[row], schema.colors[row]
        dot = f"<span style='color:{color}'>⬤</span>"
        status = result[name].status
        if status is Status.UNPLACED:
            task = f"Click on {dot} <b>{name}</b>"
        elif status is Status.PREDICTED:
            task = f"{dot} <b>{name}</b> is predicted: drag its point to correct it."
        elif unplaced == 0 and session.adding:
            task = "Click to add one more landmark, or go on to training."
        elif manual == len(schema):
            task = f"All landmarks are annotated. {dot} <b>{name}</b>: drag its point to move it."
        elif status is Status.MISSING:
            task = f"{dot} <b>{name}</b> is missing in this image."
        elif status is Status.PREDICTED_MISSING:
            task = f"{dot} <b>{name}</b> seems not visible: click on it, or mark it as missing."
        else:
            task = f"{dot} <b>{name}</b>: drag its point to move it."
        progress = f"&nbsp;&nbsp;({manual} of {len(schema)} done)"
        if self._calibration is not None:
            task, progress = _CALIBRATING, ""
        self.task.setText(f"<span style='font-size:15px'>{task}</span>{progress}")
        self.check.refresh()
        self.definition.setText(schema.definitions[row])
        self.definition.setVisible(bool(schema.definitions[row]))
        self.place.setChecked(session.placing)
        self.place.setText("Clicking places" if session.placing else "Place by clicking")
        self.undo.setEnabled(bool(session.undo_stack.undo_label))
        self.redo.setEnabled(bool(session.undo_stack.redo_label))
        last = session.undo_stack.undo_label
        self.undo.setToolTip(_UNDO + (f"<br>Last change: {last}" if last else ""))
        self.clear.setEnabled(status.is_manual)
        self.covered.setEnabled(result[name].position is not None)
        self.covered.setChecked(result[name].covered)
        self.edit.setEnabled(session.job is None)
        reading = bool(session.require_study().reader)
        for widget in (self.calibrate, self.type_size):
            widget.setEnabled(session.job is None)
            widget.setVisible(self._calibration is None and not reading)
        self.cancel_calibration.setVisible(self._calibration is not None)
        self.uncalibrate.setEnabled(session.job is None)
        self.uncalibrate.setVisible(session.require_study().spacing is not None)
        geometry = session.geometry()
        if geometry.spacing is None:
            self.spacing.setText("Pixel size unknown: results are in pixels")
        else:
            size = " x ".join(f"{value:.3g}" for value in reversed(geometry.spacing))
            source = geometry.spacing_plane or f"from the {_SOURCES[geometry.spacing_source]}"
            self.spacing.setText(f"Pixel size {size} mm ({source})")
        self.spacing.setToolTip(self._about_spacing())
        self._offer_curves(schema.curves)
        placed = any(mark.status is Status.PLACED for mark in session.annotation().values())
        self.edit.setVisible(not reading)
        self.suggest.setVisible(not reading)
        self.onward.setVisible(placed and (unplaced == 0 or session.adding) and not reading)

    def draw_curve(self, curve: Curve) -> CurveDrawing:
        """Let the user draw a curve in the current image; another drawing ends.

        Raises
        ------
        InputError
            A landmark at its ends has no position.
        """
        if self._drawing is not None:
            self._drawing.stop()
        result = self.session.result()
        for name in (curve.start, curve.end):
            if result[name].position is None:
                raise InputError(f"{curve.name}: place {name} first, at an end of the curve")
        self._drawing = CurveDrawing(self.viewer, self.session, curve, done=self._on_drawn)
        self.session.message.emit(
            "info", f"Draw {curve.name} with the mouse button held down, from {curve.start} to {curve.end}."
        )
        return self._drawing

    def _on_drawn(self, path: NDArray[np.float64] | None) -> None:
        drawing, self._drawing = self._drawing, None
        self.layer_manager.activate()
        if path is not None and drawing is not None:
            self.session.attempt(lambda: self.editor.place_curve(drawing.curve, path))

    def _offer_curves(self, curves: Sequence[Curve]) -> None:
        """List the curves of the study in the menu of the button."""
        self.curve.setVisible(bool(curves))
        if [curve.name for curve in curves] == [action.text() for action in self.curves.actions()]:
            return
        self.curves.clear()
        for curve in curves:
            self.curves.addAction(
                curve.name, lambda curve=curve: self.session.attempt(lambda: self.draw_curve(curve))
            )

    def import_file(self, path: str | Path, *, choose: Choose | None = None) -> int:
        """Import annotations from a file; see `import_landmark_file`."""
        return import_landmark_file(self.session, path, choose=choose)

    def _on_landmarks(self, image: str) -> None:
        if image == self.session.current_image:
            self.refresh()

    def _on_place(self, on: bool) -> None:
        self.session.set_placing(on)
        self.layer_manager.activate()

    def _on_missing(self) -> None:
        self.session.attempt(lambda: self.editor.mark_missing(self.session.current_landmark))

    def _on_covered(self) -> None:
        name, covered = self.session.current_landmark, self.covered.isChecked()
        self.session.attempt(lambda: self.editor.set_covered(name, covered))
        self.refresh()

    def _on_clear(self) -> None:
        self.session.attempt(lambda: self.editor.clear(self.session.current_landmark))

    def _on_edit(self) -> None:
        dialog = SchemaDialog(self.session, self)
        dialog.exec()
        dialog.deleteLater()

    def _on_rename(self, old: str) -> None:
        """Ask for another name of a landmark."""
        new, agreed = QInputDialog.getText(
            self, "Rename", f"Name of {old} in all images:", QLineEdit.EchoMode.Normal, old
        )
        if agreed and (new := new.strip()) and new != old:
            self.session.attempt(
                lambda: change_landmarks(
                    self.session, renamed_schema(self.session.require_study().schema, old, new), {old: new}
                )
            )

    def _on_import(self) -> None:
        kinds = " ".join(
            f"*{suffix}" for known in landmark_formats() if known.read for suffix in known.suffixes
        )
        path, _ = QFileDialog.getOpenFileName(self, "Import landmarks", "", f"Landmarks ({kinds})")
        if path:
            self.session.attempt(lambda: self.import_file(path, choose=self._ask_for_images))

    def _ask_for_images(self, found: dict[str, LandmarkSet]) -> dict[str, LandmarkSet]:
        return ask_for_images(self.session, found, self)

    def _on_calibrate(self) -> None:
        if self._calibration is not None:
            self._calibration.stop()

        def ask() -> float | None:
            text = (
                "Distance between the two points in millimetres.\n"
                "The pixel size then applies to every image of this study."
            )
            value, agreed = QInputDialog.getDouble(self, "Calibrate", text, 10.0, 0.001, 100_000.0, 3)
            return value if agreed else None

        def begin() -> None:
            self._calibration = Calibration(self.viewer, self.session, ask=ask, done=self._calibrated)
            self.refresh()

        self.session.attempt(begin)

    def _on_cancel_calibration(self) -> None:
        if self._calibration is not None:
            self._calibration.cancel()

    def _on_type_spacing(self) -> None:
        """Ask for the pixel size, beginning with that of the current image."""
        known = self.session.geometry().mean_spacing
        text = "Size of a pixel in millimetres.\nIt then applies to every image of this study."
        spacing, agreed = QInputDialog.getDouble(self, "Pixel size", text, known or 0.1, 0.0001, 100.0, 4)
        if agreed and self._may_replace(spacing):
            self._set_spacing(spacing)

    def _about_spacing(self) -> str:
        """Plane of the pixel size of the current image, and whether all images have one."""
        session = self.session
        if self._sizes[0] is not session.cohort:  # read once: of ten thousand images
            spacings = [session.geometry(name).spacing for name in session.names]
            unknown = spacings.count(None)
            several = "The images have different pixel sizes" if len(set(spacings)) > 1 else ""
            text = f"{unknown} of {len(spacings)} images have no pixel size" if unknown else several
            self._sizes = session.cohort, text
        plane = _PLANES.get(session.geometry().spacing_plane, "")
        return ". ".join(filter(None, (plane, self._sizes[1])))

    def _calibrated(self, spacing: float | None) -> None:
        self._calibration = None
        self.layer_manager.activate()
        self.refresh()
        if spacing is None or not self._may_replace(spacing):
            return

        self._set_spacing(spacing)

    def _on_uncalibrate(self) -> None:
        self._set_spacing(None)

    def _set_spacing(self, spacing: float | None) -> None:
        """Use a pixel size in mm for all images, or those of their files, and read the images again."""

        def apply() -> None:
            self.session.require_study().update(spacing=spacing)
            self.session.run(reread_job(self.session))

        self.session.attempt(apply)

    def _may_replace(self, spacing: float) -> bool:
        """Ask before a calibration replaces pixel sizes of files."""
        session = self.session
        sources = [session.geometry(name).spacing_source for name in session.names]
        known = sources.count(SpacingSource.FILE)
        if not known:
            return True
        text = (
            f"{known} of {len(sources)} images have a pixel size in their files. Use {spacing:.3g} mm for all images "
            "instead? Millimetres of those images change."
        )
        return QMessageBox.question(self, "Calibrate", text) == QMessageBox.StandardButton.Yes


_CALIBRATING = "Click both ends of a known length, such as a ruler · <b>Esc</b> cancels"
_PLANES = {
    "calibrated": "Calibrated in the file, hence of the patient",
    "detector plane": "Of the detector, as the file says: the projection magnifies, lengths in the patient are smaller",
    "film plane": "Of the film, as the file says: the projection magnifies, lengths in the patient are smaller",
}
_COVERED = f"{keys_text('h')}: its place is known though something covers it"
_UNDO = f"Undo the last change (goes to its image): {keys_text('Control-Z')}"
_REDO = f"Redo the change that was undone last: {keys_text('Control-Shift-Z')}"
_SOURCES = {"file": "file", "user": "calibration", "unknown": "file"}
