"""Table of the images of the cohort, largest expected error or oddest shape first, and what it lists."""

from __future__ import annotations

from qtpy.QtCore import QModelIndex
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QVBoxLayout

from napari_landmark.gui.listener import Listener
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.widgets.cohort_table_model import CohortTableModel
from napari_landmark.gui.widgets.review_filter_bar import ReviewFilterBar
from napari_landmark.gui.widgets.table_view import TableView


class CohortTable(Listener):
    """Table with name, state and expected error of each listed image; choosing a row shows its image.

    While it is on show, the next and the previous image are those of its order.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.model = CohortTableModel(session)
        self.filter = ReviewFilterBar(session)
        self.filter.changed.connect(self.refresh)
        self.view = TableView(self.model, row_height=22)
        self.view.setAccessibleName("Images")
        self.view.chosen.connect(self._on_chosen)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.filter)
        layout.addWidget(self.view, 1)
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
        """Choose and sort the images anew."""
        self.model.wanted = self.filter.value
        self.model.update()
        self.filter.show_count(self.model.rowCount(), len(self.session.names))
        if self.isVisible():
            self.session.image_order.follow_list(self.model.names)
        self._on_image()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Make the order of the table that of the images."""
        super().showEvent(event)
        self.session.image_order.follow_list(self.model.names)

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Leave the order to others, unless the whole window is only minimized."""
        super().hideEvent(event)
        if event is None or not event.spontaneous():
            self.session.image_order.leave_list()

    def _on_image(self) -> None:
        self.view.select(self.model.row(self.session.current_image))

    def _on_chosen(self, index: QModelIndex) -> None:
        name, landmark = self.model.name(index.row()), self.model.wanted.landmark

        def show() -> None:
            self.session.show(name)
            self.session.select_landmark(landmark)

        self.session.attempt(show)
        self._on_image()  # select the current image again where that one could not be read
