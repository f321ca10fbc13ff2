"""Dialog for the measurements of a study: presets, files, new ones by a form, and all of them as text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_landmark.data.errors import InputError
from napari_landmark.data.measurement_language.definition import MeasurementSchema, landmark_names
from napari_landmark.data.measurement_language.schema_file import SchemaFile
from napari_landmark.gui.controls import button, note, problem_text
from napari_landmark.gui.presets import PRESETS
from napari_landmark.gui.session.schema_editor import SchemaEditor
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.wording import word

_KINDS: dict[str, tuple[str, ...]] = {
    "Angle at a point (first, vertex, last)": ("First point", "Vertex", "Last point"),
    "Angle between two lines": ("Line 1 from", "Line 1 to", "Line 2 from", "Line 2 to"),
    "Distance of two points": ("From", "To"),
    "Distance of a point from a line": ("Point", "Line from", "Line to"),
    "Ratio of two distances": ("Distance 1 from", "Distance 1 to", "Distance 2 from", "Distance 2 to"),
}


class MeasurementsDialog(QDialog):
    """Edit the measurements of the open study.

    The text is that of a schema file; what cannot be used is told with the name of the measurement, and nothing is
    saved.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.setWindowTitle("Measurements")
        self.resize(760, 620)
        self.text = QPlainTextEdit()
        self.text.setAccessibleName("Definitions of the measurements")
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.problem = note()
        self.presets = QComboBox()
        self.presets.setAccessibleName("Preset of measurements")
        self.presets.addItem("Add those of a preset…")
        self.presets.addItems([title for title, make in PRESETS.items() if make().measurements])
        self.presets.activated.connect(self._on_preset)
        tabs = QTabWidget()
        tabs.addTab(self._new_form(), "New measurement")
        tabs.addTab(self.text, "All as text")
        row = QHBoxLayout()
        row.addWidget(self.presets, 1)
        row.addWidget(button("Open…", self._on_open, tip="Measurements and links of a schema file"))
        row.addWidget(
            button("Save as…", self._on_save_as, tip="Landmarks, links and measurements as a schema file")
        )
        row.addWidget(button("Remove all", lambda: self.show_schema(MeasurementSchema())))
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self._on_accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(row)
        layout.addWidget(tabs, 1)
        self.count = note()
        layout.addWidget(self.count)
        layout.addWidget(self.problem)
        layout.addWidget(buttons)
        self._links = session.require_study().schema.links
        self.show_schema(session.require_study().measurements)

    def _new_form(self) -> QWidget:
        page = QWidget()
        self.name, self.kind = QLineEdit(), QComboBox()
        self.kind.addItems(list(_KINDS))
        self.kind.currentTextChanged.connect(self._on_kind)
        self.points = [QComboBox() for _ in range(4)]
        names = list(self._session.require_study().schema.names)
        for combo in self.points:
            combo.addItems(names)
        self.mean, self.sd = QDoubleSpinBox(), QDoubleSpinBox()
        for box in (self.mean, self.sd):
            box.setRange(-1e6, 1e6)
            box.setDecimals(2)
            box.setSpecialValueText("none")
            box.setMinimum(-1e6 if box is self.mean else 0.0)
        self.mean.setValue(self.mean.minimum())
        self.source = QLineEdit()
        self.form = QFormLayout(page)
        self.form.addRow("Name", self.name)
        self.form.addRow("Measures", self.kind)
        for combo in self.points:
            self.form.addRow("Point", combo)
        self.form.addRow("Mean of the norm", self.mean)
        self.form.addRow("SD of the norm", self.sd)
        self.form.addRow("Source of the norm", self.source)
        self.form.addRow("", button("Add", self._on_add))
        self._on_kind(self.kind.currentText())
        return page

    def schema(self) -> MeasurementSchema:
        """Measurements of the text; InputError with the name of the one that cannot be used."""
        try:
            data = json.loads(self.text.toPlainText() or "{}")
        except (ValueError, RecursionError) as error:
            raise InputError(f"the text is no JSON: {error}") from None
        if not isinstance(data, dict):
            raise InputError(
                "the text is no JSON object: it has the keys facing, constructions and measurements"
            )
        made = MeasurementSchema.from_json(data)
        made.check_landmarks(self._session.require_study().schema.names)
        return made

    def show_schema(self, schema: MeasurementSchema) -> None:
        """Show measurements as text."""
        self.text.setPlainText(_readable(schema.to_json()))
        self.problem.setText("")
        count = len(schema)
        self.count.setText(f"{count} measurement{'s' * (count != 1)}")

    def definition(self) -> dict[str, Any]:
        """The new measurement of the form, as in a schema file."""
        names = [combo.currentText() for combo in self.points]
        kind = list(_KINDS).index(self.kind.currentText())
        quantity: dict[str, Any] = (
            {"angle": names[:3]},
            {"angle": [names[:2], names[2:4]]},
            {"distance": names[:2]},
            {"distance": [names[0], names[1:3]]},
            {"ratio": [{"distance": names[:2]}, {"distance": names[2:4]}]},
        )[kind]
        made: dict[str, Any] = {"name": self.name.text().strip(), "analyses": ["Own"], **quantity}
        if self.mean.value() > self.mean.minimum():
            norm: dict[str, Any] = {"mean": self.mean.value()}
            if self.sd.value() > 0:
                norm["sd"] = self.sd.value()
            made["norms"] = [{**norm, "source": self.source.text().strip()}]
        return made

    def save(self) -> None:
        """Save the measurements in the study; InputError where they cannot be used."""
        study, schema = self._session.require_study(), self.schema()
        editor = SchemaEditor(self._session)
        editor.set_measurements(schema, links=self._links if self._links != study.schema.links else None)

    def add(self, other: SchemaFile) -> None:
        """Add the measurements and links of a schema whose landmarks the study has.

        Raises
        ------
        InputError
            The study lacks landmarks that all of them need.
        """
        study = self._session.require_study()
        names = study.schema.names
        expressions = [one.expression for one in other.measurements.measurements]
        expressions += [one.expression for one in other.measurements.constructions]
        lacking = sorted({name for one in expressions for name in landmark_names(one)} - set(names))
        if lacking:
            raise InputError(
                f"{other.title or 'this schema'}: needs {len(lacking)} landmarks that the study has not, such as "
                f"{lacking[0]}: add them with Edit landmarks, or rename yours"
            )
        self.show_schema(self.schema().merged(other.measurements))
        new = other.landmarks.links_among(names)
        self._links = tuple(dict.fromkeys((*self._links, *new)))

    def _attempt(self, action: Any) -> bool:
        try:
            action()
        except InputError as error:
            self.problem.setText(problem_text(word(error)))
            return False
        self.problem.setText("")
        return True

    def _on_preset(self, number: int) -> None:
        if number:
            self._attempt(lambda: self.add(PRESETS[self.presets.currentText()]()))
            self.presets.setCurrentIndex(0)

    def _on_kind(self, title: str) -> None:
        labels = _KINDS[title]
        for number, combo in enumerate(self.points):
            shown = number < len(labels)
            combo.setVisible(shown)
            label = self.form.labelForField(combo)
            if label is not None:
                label.setVisible(shown)
                label.setText(labels[number] if shown else "")  # type: ignore[attr-defined]

    def _on_add(self) -> None:
        def add() -> None:
            data = self.schema().to_json()
            data["measurements"] = [*data.get("measurements", []), self.definition()]
            self.show_schema(MeasurementSchema.from_json(data))
            self.name.clear()

        self._attempt(add)

    def _on_open(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Open a schema file", "", "Schema (*.json)")
        if chosen:
            self._attempt(lambda: self.add(SchemaFile.read(chosen)))

    def _on_save_as(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Save as schema file", "schema.json", "Schema (*.json)")
        if chosen:
            path = Path(chosen if chosen.lower().endswith(".json") else f"{chosen}.json")
            self._attempt(lambda: self.save_as(path))

    def save_as(self, path: Path) -> None:
        """Write landmarks, links and measurements as they are shown to a schema file."""
        schema = self._session.require_study().schema
        SchemaFile(schema, self.schema(), title=path.stem).write(path)

    def _on_accept(self) -> None:
        if self._attempt(self.save):
            self.accept()


def _readable(data: dict[str, Any]) -> str:
    """JSON with one construction or measurement a line."""
    parts = []
    for key, value in data.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            rows = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in value)
            parts.append(f" {json.dumps(key)}: [\n{rows}\n ]")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(parts) + "\n}" if parts else ""
