"""Table of the images of the cohort, largest expected error or oddest shape first."""

from __future__ import annotations

from qtpy.QtCore import QModelIndex
from qtpy.QtWidgets import QVBoxLayout

from napari_landmark.gui.listener import Listener
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.widgets.cohort_table_model import CohortTableModel
from napari_landmark.gui.widgets.table_view import TableView


class CohortTable(Listener):
    """Table with name, state and expected error of each image; a click on a row shows its image.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.model = CohortTableModel(session)
        self.view = TableView(self.model, row_height=22)
        self.view.clicked.connect(self._on_clicked)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.view)
        for signal, slot in (
            (session.study_changed, self.refresh),
            (session.predictions_changed, self.refresh),
            (session.odd_shapes_changed, self.refresh),
            (session.image_changed, self._on_image),
            (session.landmarks_changed, self.model.update_image),
        ):
            self.listen(signal, slot)
        self.refresh()

    @property
    def names(self) -> list[str]:
        """Names of the images in the order of the table."""
        return self.model.names

    def order_by(self, *, shape: bool) -> None:
        """Select the order: oddest shape first, or largest expected error first."""
        self.model.by_shape = shape
        self.refresh()

    def refresh(self) -> None:
        """Sort all images anew."""
        self.model.update()
        self._on_image()

    def _on_image(self) -> None:
        self.view.select(self.model.row(self.session.current_image))

    def _on_clicked(self, index: QModelIndex) -> None:
        name = self.names[index.row()]
        self.session.attempt(lambda: self.session.show(name))
        self._on_image()  # select the current image again where that one could not be read
