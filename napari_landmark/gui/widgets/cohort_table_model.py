"""Table model of the listed images in the order of review: largest expected error, or oddest shape, first."""

from __future__ import annotations

import math
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt

from napari_landmark.data.image_state import ImageState
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.gui.session.review_filter import ReviewFilter, listed_images
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.widgets.length_text import length_text
from napari_landmark.gui.widgets.table_view import WIDEST_TEXTS

_TITLES = ("Image", "State", "Expected error")
_SHAPE_TITLE = "Shape"
_TIPS = (
    "",
    "A tick: you decided on each landmark",
    "Mean expected error of the predicted landmarks, and the largest one in parentheses; an average, not a limit",
)
_SHAPE_TIP = (
    "How far the landmarks are from where those of the other images are, as a multiple of what is usual; "
    "the landmark that "
    "is farthest off, or those that seem exchanged"
)
_STATES = {"annotated": "✓ annotated", "corrected": "✓ corrected", "predicted": "predicted", "": "–"}
_LEFT_OUT = "left out"
_WIDEST_PART = "88 of 88 reviewed"
_WIDEST_SHAPE = "9.9 (subspinale (A))"
_FLAGS = {
    ImageState.DOUBTFUL: "doubtful",
    ImageState.FOREIGN: "not this anatomy?",
    ImageState.SEVERAL: "several subjects?",
}


class CohortTableModel(QAbstractTableModel):
    """Rows are the images; columns are the name, the state and the expected error.

    Sorted here and not by a proxy, which would ask for a sort key 300,000 times for 10,000 images. Texts are
    made when the view asks for a row, hence for visible rows alone.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._names: list[str] = []
        self._rows: dict[str, int] = {}
        self._widest_errors: set[str] = set()
        self.by_shape = False  # whether odd shapes are shown instead of expected errors
        self.wanted = ReviewFilter()

    def update(self) -> None:
        """Take over the images that the filter lets through, in the order of `listed_images`, or of their shapes."""
        session, store = self._session, self._session.landmark_store
        names, shapes = listed_images(session, self.wanted), session.odd_shapes
        if self.by_shape and shapes is not None:
            known = set(names)
            self._take_over([name for name in shapes.images if name in known])
            return
        errors = {} if store is None else store.expected_errors(session.names)
        by_mean = max(errors, key=errors.__getitem__, default=None)
        by_largest = max(errors, key=lambda name: errors[name][1], default=None)
        self._take_over(names, {self._error(name) for name in (by_mean, by_largest) if name is not None})

    def _take_over(self, names: list[str], widest: set[str] | None = None) -> None:
        self.beginResetModel()
        self._names = names
        self._rows = {name: row for row, name in enumerate(names)}
        self._widest_errors = {_WIDEST_SHAPE} if widest is None else widest
        self.endResetModel()

    def update_image(self, name: str) -> None:
        """Signal that the row of an image changed; the order stays, since a moving row is hard to follow."""
        row = self.row(name)
        if row >= 0:
            self.dataChanged.emit(self.index(row, 0), self.index(row, len(_TITLES) - 1))

    @property
    def names(self) -> list[str]:
        """Names of the images in the order of the rows."""
        return list(self._names)

    def name(self, row: int) -> str:
        """Name of the image of a row."""
        return self._names[row]

    def row(self, name: str) -> int:
        """Row of an image; -1 where it has none."""
        return self._rows.get(name, -1)

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008  the signature of Qt
        """Number of listed images."""
        return 0 if parent.isValid() else len(self._names)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008  the signature of Qt
        """Three."""
        return 0 if parent.isValid() else len(_TITLES)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text or tool tip of a cell."""
        name, store = self._names[index.row()], self._session.landmark_store
        if role == Qt.ItemDataRole.ToolTipRole:
            shapes = self._session.odd_shapes if self.by_shape else None
            shape = None if shapes is None else shapes.shapes.get(name)
            return name if shape is None or not shape.finding else f"{name}: {shape.finding}"
        if role != Qt.ItemDataRole.DisplayRole or store is None:
            return None
        if index.column() == 0:
            return name
        if index.column() == 1:
            return self._state(name)
        return self._shape(name) if self.by_shape else self._error(name)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Title and tool tip of a column, and its `WIDEST_TEXTS`."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return _SHAPE_TITLE if self.by_shape and section == 2 else _TITLES[section]
        if role == Qt.ItemDataRole.ToolTipRole:
            return _SHAPE_TIP if self.by_shape and section == 2 else _TIPS[section] or None
        if role == WIDEST_TEXTS:
            return ((), (*_STATES.values(), *_FLAGS.values(), _LEFT_OUT, _WIDEST_PART), self._widest_errors)[
                section
            ]
        return None

    def _state(self, name: str) -> str:
        """State of an image: what its user, else what its model says."""
        store = self._session.require_store()
        judged, decision = store.image_state(name), store.decision(name)
        if decision is ImageDecision.LEFT_OUT:
            return _LEFT_OUT
        if judged is not None and store.is_flagged(name):
            return _FLAGS[judged]
        state = store.state(name)
        if state in ("annotated", "corrected") and not store.is_reviewed(name):
            return "{} of {} reviewed".format(*store.decided_count(name))
        return _STATES[state]

    def _shape(self, name: str) -> str:
        """Oddness of the shape of an image, and the landmark or the pair that makes it; empty where it is not known."""
        shapes = self._session.odd_shapes
        shape = None if shapes is None else shapes.shapes.get(name)
        if shape is None or math.isnan(shape.oddness):
            return ""
        if shape.exchanged:
            return "⇄ " + ", ".join(f"{first} – {second}" for first, second in shape.exchanged)
        if shape.sides_exchanged or shape.mirrored:
            return "left ⇄ right" if shape.sides_exchanged else "mirror image"
        return f"{shape.oddness:.1f} ({shape.worst})"

    def _error(self, name: str) -> str:
        store, landmark = self._session.require_store(), self.wanted.landmark
        if landmark:
            error = float(
                store.undecided_errors((name,))[0, self._session.require_study().schema.index(landmark)]
            )
            return length_text(error, self._session.geometry(name)) if math.isfinite(error) else ""
        mean, largest = store.expected_error(name)
        if math.isinf(mean):
            return ""
        geometry = self._session.geometry(name)
        return f"{length_text(mean, geometry)} ({length_text(largest, geometry)})"
