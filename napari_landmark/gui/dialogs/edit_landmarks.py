"""Dialog to name, colour, define, order and remove the landmarks of a study."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QMessageBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_landmark.data.curves import Curve, curves_among
from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema, default_colors
from napari_landmark.gui.controls import button, note, problem_text, set_headers, swatch
from napari_landmark.gui.dialogs.new_curve import NewCurveDialog
from napari_landmark.gui.jobs.change_landmarks import change_landmarks
from napari_landmark.gui.presets import PRESETS
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.wording import word

_ORIGINAL, _COLOR = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1


class SchemaDialog(QDialog):
    """Table of the landmarks of the open study; a renamed landmark keeps its positions in every image."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Landmarks of this study")
        self._session = session
        self.table = QTableWidget(0, 2)
        self.table.setAccessibleName("Landmarks and definitions")
        self.table.setHorizontalHeaderLabels(["Name (double-click to change)", "Definition"])
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        set_headers(self.table, stretched=1)
        self.preset = QComboBox()
        self.preset.setAccessibleName("Preset of landmarks")
        self.preset.addItems(["Add a set…", *list(PRESETS)[1:]])
        self.preset.activated.connect(self._on_preset)
        self.problem = note()
        row = QHBoxLayout()
        row.addWidget(button("Add", lambda: self._append("", "", "")))
        row.addWidget(button("Remove", self._on_remove))
        row.addWidget(button("Curve…", self._on_curve, tip="A chain of semilandmarks between two landmarks"))
        row.addWidget(button("Colour…", self._on_color))
        row.addWidget(button("Up", lambda: self._move(-1)))
        row.addWidget(button("Down", lambda: self._move(1)))
        row.addWidget(self.preset)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self._on_save)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.table, 1)
        layout.addLayout(row)
        layout.addWidget(self.problem)
        layout.addWidget(buttons)
        schema = session.require_study().schema
        self.curves = schema.curves
        self._new_curves: list[Curve] = []
        for name, color, text in zip(schema.names, schema.colors, schema.definitions, strict=True):
            self._append(name, color, text, original=name)
        self.table.resizeColumnToContents(0)
        self.resize(720, 480)

    def save(self) -> None:
        """Write the landmarks, in a job where any is renamed; InputError where a name is empty or given twice."""
        renames, schema = self.wanted()
        change_landmarks(self._session, schema, renames)

    def wanted(self) -> tuple[dict[str, str], LandmarkSchema]:
        """Renamed landmarks (old name to new name), and the new schema."""
        rows = range(self.table.rowCount())
        items = [item for row in rows if (item := self.table.item(row, 0)) is not None]
        definitions = [item for row in rows if (item := self.table.item(row, 1)) is not None]
        names = tuple(item.text().strip() for item in items)
        pairs = [(item.data(_ORIGINAL), item.text().strip()) for item in items]
        renames = {old: new for old, new in pairs if old and old != new}
        schema = LandmarkSchema(
            names,
            tuple(item.data(_COLOR) for item in items),
            tuple(item.text().strip() for item in definitions),
            self._session.require_study().schema.links_among(names, renamed=renames),
            curves_among([*(curve.renamed(renames) for curve in self.curves), *self._new_curves], names),
        )
        return renames, schema

    def _append(self, name: str, color: str, definition: str, *, original: str = "") -> None:
        row = self.table.rowCount()
        self.table.insertRow(row)
        item = QTableWidgetItem(name or f"landmark {row + 1}")
        item.setData(_ORIGINAL, original)
        self._paint(item, color or default_colors(row + 1)[row])
        self.table.setItem(row, 0, item)
        self.table.setItem(row, 1, QTableWidgetItem(definition))
        if not name:
            self.table.editItem(item)

    def _paint(self, item: QTableWidgetItem, color: str) -> None:
        item.setData(_COLOR, color)
        item.setIcon(swatch(color))

    def _on_preset(self, number: int) -> None:
        if number:
            schema = list(PRESETS.values())[number]().landmarks
            rows = range(self.table.rowCount())
            present = {item.text() for row in rows if (item := self.table.item(row, 0)) is not None}
            for name, text in zip(schema.names, schema.definitions, strict=True):
                if name not in present:
                    self._append(name, "", text)
        self.preset.setCurrentIndex(0)

    def add_curve(self, curve: Curve) -> None:
        """Append the semilandmarks of a new curve."""
        self._new_curves.append(curve)
        for number, name in enumerate(curve.semilandmarks, 1):
            text = f"Semilandmark {number} of {curve.count} on the curve from {curve.start} to {curve.end}."
            self._append(name, "", text)

    def _on_curve(self) -> None:
        rows = range(self.table.rowCount())
        names = [item.text().strip() for row in rows if (item := self.table.item(row, 0)) is not None]
        if not names:
            return
        dialog = NewCurveDialog(names, self)
        if dialog.exec():
            self.add_curve(dialog.curve())
        dialog.deleteLater()

    def _on_color(self) -> None:
        item = self.table.item(self.table.currentRow(), 0)
        if item is not None:
            chosen = QColorDialog.getColor(QColor(item.data(_COLOR)), self, f"Colour of {item.text()}")
            if chosen.isValid():
                self._paint(item, chosen.name())

    def _on_remove(self) -> None:
        row = self.table.currentRow()
        item = self.table.item(row, 0)
        if item is None:
            return
        name = item.data(_ORIGINAL)
        store = self._session.require_store()
        annotated, predicted = (
            len(images(name)) if name else 0
            for images in (store.annotated_images, store.images_with_prediction_of)
        )
        if annotated:
            question = (
                f"{name} is annotated in {_images(annotated)}"
                + (f" and predicted in {_images(predicted)}" if predicted else "")
                + ". Remove it all the same? Where an image is not changed meanwhile, its position comes back when a "
                "landmark of this name is added again."
            )
            if QMessageBox.question(self, "Remove landmark", question) != QMessageBox.StandardButton.Yes:
                return
        self.table.removeRow(row)

    def _move(self, by: int) -> None:
        row = self.table.currentRow()
        other = row + by
        if row < 0 or not 0 <= other < self.table.rowCount():
            return
        for column in range(2):
            moved, replaced = self.table.takeItem(row, column), self.table.takeItem(other, column)
            self.table.setItem(row, column, replaced)
            self.table.setItem(other, column, moved)
        self.table.selectRow(other)

    def _on_save(self) -> None:
        try:
            self.save()
        except InputError as error:
            self.problem.setText(problem_text(word(error)))
            return
        self.accept()


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
