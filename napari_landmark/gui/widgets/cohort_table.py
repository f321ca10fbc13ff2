"""The images of the cohort as a list that shows the worst first."""

from __future__ import annotations

import math

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
)

from napari_landmark.data.landmarks import Status
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.widgets.base import Listener
from napari_landmark.gui.widgets.landmark_table import length

_STATES = {"annotated": "✓ annotated", "corrected": "✓ corrected", "predicted": "predicted", "": "–"}


class CohortTable(Listener):
    """Image, state and how far its landmarks may be off; a click goes to the image."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(["Image", "State", "May be off by"])
        self.table.horizontalHeaderItem(2).setToolTip(
            "Mean expected error of the predicted landmarks, and the largest one in parentheses"
        )
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.table.setShowGrid(False)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(22)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.table.setMinimumHeight(90)
        self.table.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        self.table.cellClicked.connect(self._on_clicked)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        self._rows: dict[str, int] = {}
        for signal, slot in (
            (session.study_changed, self.refresh),
            (session.predictions_changed, self.refresh),
            (session.image_changed, self._on_image),
            (session.landmarks_changed, self._on_landmarks),
        ):
            self.listen(signal, slot)
        self.refresh()

    @property
    def names(self) -> list[str]:
        """Names of the images in the order of the list."""
        return list(self._rows)

    def refresh(self) -> None:
        """Sort all images anew, the largest expected error first."""
        session = self.session
        order = sorted(session.names, key=lambda name: -expected_error(session, name)[0])
        self._rows = {name: row for row, name in enumerate(order)}
        self.table.setRowCount(len(order))
        for name in order:
            self._fill(name)
        self._on_image()

    def _fill(self, name: str) -> None:
        session, row = self.session, self._rows[name]
        mean, worst = expected_error(session, name)
        geometry = session.geometry(name)
        off = "" if math.isinf(mean) else f"{length(mean, geometry)} ({length(worst, geometry)})"
        for column, text in enumerate((name, _STATES[session.landmark_store.state(name)], off)):
            item = QTableWidgetItem(text)
            item.setToolTip(name)
            self.table.setItem(row, column, item)

    def _on_image(self) -> None:
        row = self._rows.get(self.session.current_image)
        if row is not None:
            self.table.selectRow(row)
            self.table.scrollToItem(self.table.item(row, 0))

    def _on_landmarks(self, image: str) -> None:
        # Only the row: images that jump about in the list while they are worked on are hard to follow.
        if image in self._rows:
            self._fill(image)

    def _on_clicked(self, row: int, column: int) -> None:
        self.session.attempt(lambda: self.session.show(self.table.item(row, 0).text()))
        self._on_image()  # back to the row of the image that is shown where that one could not be read


def expected_error(session: Session, name: str) -> tuple[float, float]:
    """Mean and largest expected error of an image's predicted landmarks in pixels.

    Minus infinity where nothing is predicted or a person said everything: such images come last.
    """
    errors = [
        mark.expected_error
        for mark in session.result(name).values()
        if mark.status is Status.PREDICTED and mark.expected_error is not None
    ]
    return (float(np.mean(errors)), max(errors)) if errors else (-math.inf, -math.inf)
