"""The dialog in which landmarks are named, coloured, defined, ordered and removed."""

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
    QHeaderView,
    QMessageBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema, default_colors
from napari_landmark.gui.presets import PRESETS
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.widgets.base import button, note, problem_text
from napari_landmark.gui.widgets.landmark_table import swatch
from napari_landmark.gui.wording import word

_ORIGINAL, _COLOR = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1


class SchemaDialog(QDialog):
    """AnnotationEditor the landmarks of the open study; a renamed landmark keeps its positions in every image."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Landmarks of this study")
        self._session = session
        self.table = QTableWidget(0, 2)
        self.table.setHorizontalHeaderLabels(["Name (double-click to change)", "Definition"])
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.preset = QComboBox()
        self.preset.addItems(["Add a set…", *list(PRESETS)[1:]])
        self.preset.activated.connect(self._on_preset)
        self.problem = note()
        row = QHBoxLayout()
        row.addWidget(button("Add", lambda: self._append("", "", "")))
        row.addWidget(button("Remove", self._on_remove))
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
        assert session.schema is not None
        for name, color, text in zip(
            session.schema.names, session.schema.colors, session.schema.definitions, strict=True
        ):
            self._append(name, color, text, original=name)
        self.table.resizeColumnToContents(0)
        self.resize(720, 480)

    def save(self) -> None:
        """Write the landmarks; InputError where a name is empty or twice there."""
        renames, schema = self.wanted()
        self._session.schema_edits.set(schema, renames=renames)

    def wanted(self) -> tuple[dict[str, str], LandmarkSchema]:
        """Which landmarks were renamed, old names to new ones, and the landmarks as they shall be."""
        items = [self.table.item(row, 0) for row in range(self.table.rowCount())]
        schema = LandmarkSchema(
            tuple(item.text().strip() for item in items),
            tuple(item.data(_COLOR) for item in items),
            tuple(self.table.item(row, 1).text().strip() for row in range(len(items))),
        )
        pairs = [(item.data(_ORIGINAL), item.text().strip()) for item in items]
        return {old: new for old, new in pairs if old and old != new}, schema

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
            schema = list(PRESETS.values())[number]()
            there = {self.table.item(row, 0).text() for row in range(self.table.rowCount())}
            for name, text in zip(schema.names, schema.definitions, strict=True):
                if name not in there:
                    self._append(name, "", text)
        self.preset.setCurrentIndex(0)

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
        placed = [
            i for i in self._session.names if name and self._session.annotation(i)[name].status.is_manual
        ]
        if placed:
            question = f"{name} is placed in {len(placed)} image(s). Remove it all the same?"
            if QMessageBox.question(self, "Remove landmark", question) != QMessageBox.StandardButton.Yes:
                return
        self.table.removeRow(row)

    def _move(self, by: int) -> None:
        row = self.table.currentRow()
        other = row + by
        if row < 0 or not 0 <= other < self.table.rowCount():
            return
        for column in range(2):
            here, there = self.table.takeItem(row, column), self.table.takeItem(other, column)
            self.table.setItem(row, column, there)
            self.table.setItem(other, column, here)
        self.table.selectRow(other)

    def _on_save(self) -> None:
        try:
            self.save()
        except InputError as error:
            self.problem.setText(problem_text(word(error)))
            return
        self.accept()
