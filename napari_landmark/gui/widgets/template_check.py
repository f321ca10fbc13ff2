"""Line of the Annotate widget that tells whether the pixels under the current landmark tell its position."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from html import escape

from napari.components import ViewerModel
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_landmark.data.images.self_match import SelfMatch, match_with_itself
from napari_landmark.gui.controls import button, note
from napari_landmark.gui.layers.layer_manager import LayerManager
from napari_landmark.gui.layers.layer_transforms import camera_of
from napari_landmark.gui.session.session import Session

_PAUSE = 200  # milliseconds after the last change
_CLOSER = 3.0  # times the zoom

_Place = tuple[str, str, str, tuple[float, ...]]  # study, image, landmark, position


class TemplateCheck(QWidget):
    """Check of the current landmark where a person placed it; nothing is ever moved.

    The image is compared with itself in a thread, and what was found for a place is kept.

    Parameters
    ----------
    viewer : ViewerModel
    session : Session
    layer_manager : LayerManager
    """

    _found = Signal(object, object)

    def __init__(self, viewer: ViewerModel, session: Session, layer_manager: LayerManager) -> None:
        super().__init__()
        self._viewer, self._session, self._layer_manager = viewer, session, layer_manager
        self.line: QLabel = note()
        self.closer = button("Look closer", self._on_closer, tip="Enlarge the image around the landmark")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, 1)
        row.addWidget(self.closer)
        self._threads = ThreadPoolExecutor(1)
        self._known: dict[_Place, SelfMatch | None] = {}
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE)
        self._pause.timeout.connect(self._start)
        self._found.connect(self._on_found)
        self.destroyed.connect(lambda: self._threads.shutdown(wait=False, cancel_futures=True))
        self.hide()

    def refresh(self) -> None:
        """Show what is known of the current landmark, and begin to check it where nothing is."""
        place = self._place()
        found = None if place is None else self._known.get(place)
        text = "" if found is None else check_text(found)
        self.line.setText(escape(text))
        self.setVisible(bool(text))
        if place is not None and place not in self._known:
            self._pause.start()

    def _place(self) -> _Place | None:
        session = self._session
        mark = session.result().get(session.current_landmark) if session.current_image else None
        if mark is None or mark.position is None or not mark.status.is_manual or len(mark.position) != 2:
            return None
        return str(session.require_study().folder), session.current_image, mark.name, mark.position

    def _start(self) -> None:
        place, cohort = self._place(), self._session.cohort
        if place is None or cohort is None or place in self._known:
            return
        number, position = cohort.index(place[1]), place[3]

        def work() -> SelfMatch | None:
            return match_with_itself(cohort.read(number), position)

        def done(future: Future[SelfMatch | None]) -> None:
            if future.cancelled():
                return
            failed = future.exception() is not None  # an image that cannot be read any more is told elsewhere
            try:
                self._found.emit(place, None if failed else future.result())
            except RuntimeError:  # the widget is gone
                return

        self._threads.submit(work).add_done_callback(done)

    def _on_found(self, place: _Place, found: SelfMatch | None) -> None:
        self._known[place] = found
        self.refresh()

    def _on_closer(self) -> None:
        self._layer_manager.center_on(self._session.current_landmark)
        camera_of(self._viewer).zoom *= _CLOSER


def check_text(found: SelfMatch) -> str:
    """What there is to say of the pixels under a landmark; empty where they tell its position."""

    def length(value: float) -> str:
        return f"{value:.1f} {found.unit}" if found.unit == "mm" else f"{value:.0f} {found.unit}"

    if not found.has_structure:
        text = f"There is no structure within {length(found.reach)} of this landmark"
        if found.nearest_edge is None:
            return f"{text}, and no edge near it."
        return f"{text}; the nearest edge is {length(found.nearest_edge)} away."
    if found.slides:
        return (
            f"On a contour: alike for about {length(found.along)} along it and {length(found.across)} across. "
            "In other images it may slide along."
        )
    return ""
