"""List model of the images of a cohort in their natural order, with a sign of their state."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, Qt

from napari_landmark.gui.session.session import Session

_SIGNS = {"annotated": "●", "corrected": "◆", "predicted": "○", "": " "}
_PARTLY = "◐"  # some landmarks are decided on, others only predicted


class ImageListModel(QAbstractListModel):
    """Rows are the images of the session; their texts are made when a view asks for them.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._names: tuple[str, ...] = ()

    def update(self) -> None:
        """Take over the images of the session and their states."""
        names = self._session.names
        if names == self._names:
            self.dataChanged.emit(self.index(0), self.index(len(names) - 1))
            return
        self.beginResetModel()
        self._names = names
        self.endResetModel()

    def update_image(self, number: int) -> None:
        """Signal that the state of an image changed."""
        self.dataChanged.emit(self.index(number), self.index(number))

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008  the signature of Qt
        """Number of images."""
        return 0 if parent.isValid() else len(self._names)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Sign of the state and name of an image."""
        store = self._session.landmark_store
        if role != Qt.ItemDataRole.DisplayRole or store is None:
            return None
        name = self._names[index.row()]
        state = store.state(name)
        partly = state in ("annotated", "corrected") and not store.is_reviewed(name)
        return f"{_PARTLY if partly else _SIGNS[state]} {name}"
