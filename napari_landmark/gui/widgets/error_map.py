"""Dock widget with the expected errors of all landmarks in all images as one picture."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QVBoxLayout

from napari_landmark.gui.controls import NARROWEST, note
from napari_landmark.gui.session.error_map import CellState, ErrorMap
from napari_landmark.gui.widgets.dock_widget import Dock
from napari_landmark.gui.widgets.error_map_view import ERROR_COLORS, STATE_COLORS, ErrorMapView
from napari_landmark.gui.widgets.live_text import LiveText

_STATES = {
    CellState.EMPTY: "not placed",
    CellState.MISSING: "missing",
    CellState.PLACED: "placed or accepted",
    CellState.CORRECTED: "corrected",
}


class ErrorMapWidget(Dock):
    """Error map: a row an image, the most doubtful first, a column a landmark; a click goes there."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.map: ErrorMap | None = None
        self._unit = ""  # of the errors, which compares images
        self.legend = note()
        self.about = LiveText("Cell under the mouse or the cursor")
        self.view = ErrorMapView()
        self.view.setToolTip(
            "Click to go to a landmark of an image. Ctrl and the wheel make rows higher. With the keyboard: Tab to the "
            "map, arrows, Enter; plus and minus for the height of the rows"
        )
        self.view.picked.connect(self._on_picked)
        self.view.pointed.connect(self._on_pointed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        layout.addWidget(self.view, 1)
        layout.addWidget(self.about)
        layout.addWidget(self.legend)
        self.setMinimumWidth(NARROWEST)
        session = self.session
        for signal in (session.study_changed, session.predictions_changed):
            self.listen(signal, self.rebuild)
        self.listen(session.landmarks_changed, self._on_landmarks)
        for signal in (session.image_changed, session.landmark_changed):
            self.listen(signal, self.refresh)
        self.rebuild()

    def rebuild(self, *_: object) -> None:
        """Take over and sort all images anew; made when it is shown."""
        if not self.isVisible():
            return
        session = self.session
        self.map = None if session.study is None else ErrorMap.of(session)
        in_mm = all(session.geometry(name).has_spacing for name in session.names)
        self._unit = "mm" if in_mm else "px of the working grid"
        self.view.show_map(self.map)
        self.legend.setText(self._legend())
        self.refresh()

    def refresh(self) -> None:
        """Emphasise the current image and landmark."""
        session, shown = self.session, self.map
        if shown is None or not self.isVisible():
            return
        self.view.select(shown.row(session.current_image), shown.column(session.current_landmark))
        self._on_pointed(-1, -1)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Show the state of the session, which was not followed while hidden."""
        super().showEvent(event)
        self.rebuild()

    def text(self, row: int, column: int) -> str:
        """A cell in words: image, landmark, expected error or state."""
        shown = self.map
        if shown is None or row < 0 or column < 0:
            return ""
        error, state = float(shown.errors[row, column]), CellState(int(shown.states[row, column]))
        if state is CellState.PREDICTED:
            what = f"about {error:.1f} {self._unit}" if np.isfinite(error) else "expected error not known"
        else:
            what = _STATES[state]
        return f"{shown.landmarks[column]}: {what} · {shown.images[row]} ({row + 1} of {len(shown.images)})"

    def _on_landmarks(self, image: str) -> None:
        if self.map is None or not self.isVisible():
            return
        if self.map.update(self.session, image):
            self.view.redraw()
            self._on_pointed(-1, -1)

    def _on_pointed(self, row: int, column: int) -> None:
        if row < 0 and self.map is not None:
            row, column = (
                self.map.row(self.session.current_image),
                self.map.column(self.session.current_landmark),
            )
        text = self.text(row, column)
        self.about.show_text(text)
        self.view.setAccessibleDescription(text)

    def _on_picked(self, row: int, column: int) -> None:
        shown = self.map
        if shown is None:
            return

        def go() -> None:
            self.session.show(shown.images[row])
            self.session.select_landmark(shown.landmarks[column])
            self.layer_manager.center_on(shown.landmarks[column])

        self.session.attempt(go)

    def _legend(self) -> str:
        if self.map is None:
            return "Open a study."
        colors = "".join(_swatch(color) for color in ERROR_COLORS)
        states = " &nbsp; ".join(
            f"{_swatch(STATE_COLORS[state])}&nbsp;{_STATES[state].replace(' ', '&nbsp;')}"
            for state in (CellState.CORRECTED, CellState.PLACED, CellState.MISSING)
        )
        top = f"{self.map.top:.1f} {self._unit} and more".replace(" ", "&nbsp;")
        return f"Expected error 0&nbsp;{colors}&nbsp;{top} &nbsp; {states}"


def _swatch(color: str) -> str:
    return f'<span style="background-color: {color}">&nbsp;&nbsp;&nbsp;</span>'
