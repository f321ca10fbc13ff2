"""Table of the landmarks of the current image: colour, name, state and expected error."""

from __future__ import annotations

from qtpy.QtCore import QModelIndex, QSize, Signal
from qtpy.QtWidgets import QVBoxLayout

from napari_landmark.gui.listener import Listener
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.widgets.landmark_table_model import LandmarkTableModel
from napari_landmark.gui.widgets.table_view import TableView


class LandmarkTable(Listener):
    """Table in which choosing a row makes its landmark the current one.

    Parameters
    ----------
    session : Session
    with_errors : bool, optional
        Whether the expected errors of predictions are shown.
    """

    picked = Signal(str)
    """Name of the landmark whose row was chosen."""
    opened = Signal(str)
    """Name of the landmark whose row was double-clicked."""

    def __init__(self, session: Session, *, with_errors: bool = False) -> None:
        super().__init__(session)
        self.model = LandmarkTableModel(session, with_errors=with_errors)
        self.view = TableView(self.model, row_height=24)
        self.view.setAccessibleName("Landmarks")
        self.view.setIconSize(QSize(14, 14))
        self.view.chosen.connect(self._on_chosen)
        self.view.doubleClicked.connect(lambda index: self.opened.emit(self.model.name(index.row())))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.view)
        for signal, slot in (
            (session.study_changed, self.refresh),
            (session.image_changed, self.refresh),
            (session.landmarks_changed, self._on_landmarks),
            (session.landmark_changed, self._on_landmark),
        ):
            self.listen(signal, slot)
        self.refresh()

    def refresh(self) -> None:
        """Show the landmarks of the current image."""
        self.model.update()
        self._on_landmark()

    def _on_landmarks(self, image: str) -> None:
        if image == self.session.current_image:
            self.refresh()

    def _on_landmark(self) -> None:
        self.view.select(self.model.row(self.session.current_landmark))

    def _on_chosen(self, index: QModelIndex) -> None:
        name = self.model.name(index.row())
        self.session.select_landmark(name)
        self.picked.emit(name)
