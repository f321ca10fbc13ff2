"""Dialogs of a blind reading: who reads how many images, and the agreement at its end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHeaderView,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_landmark.data.errors import InputError
from napari_landmark.data.study.readers import check_reader
from napari_landmark.gui.controls import note, problem_text, set_headers
from napari_landmark.gui.jobs.reading import FIRST_READER, FinishedReading
from napari_landmark.gui.wording import word


class BeginReadingDialog(QDialog):
    """Name of the reader and number of images; unfinished readings are offered to go on with.

    Parameters
    ----------
    annotated : int
        Number of images that can be read.
    unfinished : sequence of str
        Readers whose reading can go on.
    parent : QWidget, optional
    """

    def __init__(self, annotated: int, unfinished: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Blind reading")
        self._unfinished = tuple(unfinished)
        self.reader = QComboBox()
        self.reader.setEditable(True)
        self.reader.addItems(self._unfinished)
        self.reader.setCurrentText(self._unfinished[0] if self._unfinished else "")
        line = self.reader.lineEdit()
        if line is not None:
            line.setPlaceholderText("Name of the reader, such as Anna, second")
        self.reader.currentTextChanged.connect(self._on_name)
        self.count = QSpinBox()
        self.count.setRange(1, max(1, annotated))
        self.count.setValue(annotated)
        self.count.setSuffix(f" of {annotated} annotated")
        self.seed = QSpinBox()
        self.seed.setRange(0, 10**9)
        self.seed.setToolTip("The same seed gives the same images in the same order")
        self.problem = note()
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self._on_accept)
        buttons.rejected.connect(self.reject)
        form = QFormLayout()
        form.addRow("Reader", self.reader)
        form.addRow("Images", self.count)
        form.addRow("Seed of the order", self.seed)
        layout = QVBoxLayout(self)
        layout.addWidget(
            note(
                "The annotated images are shown in another order, without their landmarks and predictions. What is "
                "placed is "
                "kept apart, and changes nothing in the study. It can be interrupted and gone on with at any time."
            )
        )
        layout.addLayout(form)
        layout.addWidget(self.problem)
        layout.addWidget(buttons)
        self._on_name(self.reader.currentText())
        self.resize(460, 220)

    @property
    def name(self) -> str:
        """Name of the reader."""
        return self.reader.currentText().strip()

    def _on_name(self, text: str) -> None:
        """An unfinished reading has its images and order already."""
        for widget in (self.count, self.seed):
            widget.setEnabled(text.strip() not in self._unfinished)

    def _on_accept(self) -> None:
        try:
            check_reader(self.name)
        except InputError as error:
            self.problem.setText(problem_text(word(error)))
            return
        self.accept()


class AgreementDialog(QDialog):
    """Agreement of a finished reading with the annotations of the study, landmark by landmark.

    Parameters
    ----------
    finished : FinishedReading
    parent : QWidget, optional
    """

    def __init__(self, finished: FinishedReading, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Agreement of {finished.reader} with the first reading")
        readings = finished.readings
        unit = "" if readings is None else readings.unit
        axes = "xyz"[: readings.positions.shape[-1]] if readings is not None else "xy"
        titles = ["Landmark", "n", *(f"Bias {axis}" for axis in axes), "Mean", "Dahlberg", "95% ellipse"]
        self.table = QTableWidget(0, len(titles))
        self.table.setAccessibleName("Images of the reading")
        self.table.setHorizontalHeaderLabels(titles)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        for name, agreement in finished.agreement.items():
            pair = agreement.pairs.get((FIRST_READER, finished.reader))
            if pair is None:
                continue
            ellipse = "" if pair.ellipse is None else f"{pair.ellipse.measure:.2f}"
            bias = [f"{value:.2f}" for value in np.asarray(pair.bias)[::-1]]
            self._append(
                [name, str(pair.n), *bias, f"{pair.mean_distance:.2f}", f"{pair.dahlberg:.2f}", ellipse]
            )
        columns = self.table.horizontalHeader()
        if columns is not None:
            columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        set_headers(self.table, stretched=0, row_height=22)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        power = "²" if len(axes) == 2 else "³"
        layout.addWidget(
            note(
                f"In {unit}, the ellipse in {unit}{power}. Tables, ICC and Bland-Altman plots: "
                f"<b>{finished.folder.parent.name}/{finished.folder.name}</b> in the study."
            )
        )
        layout.addWidget(self.table, 1)
        layout.addWidget(buttons)
        self.resize(700, 460)

    def _append(self, cells: list[str]) -> None:
        row = self.table.rowCount()
        self.table.insertRow(row)
        for column, text in enumerate(cells):
            item = QTableWidgetItem(text)
            if column:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.table.setItem(row, column, item)
