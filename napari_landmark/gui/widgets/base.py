"""What the widgets have in common: listening to the session for as long as they live, and how they look."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from html import escape
from typing import Any

from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtWidgets import QFrame, QLabel, QPushButton, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from napari_landmark.gui.keys import bind_keys
from napari_landmark.gui.layers.layer_manager import LayerManager, get_layer_manager, get_session
from napari_landmark.gui.session.session import Session

_NARROWEST = 330


class Listener(QWidget):
    """A widget that shows something of the session and forgets it when it goes."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self._connections: list[tuple[Any, Callable]] = []
        # Not a method: when `destroyed` comes, this object cannot be used any more.
        connections = self._connections
        self.destroyed.connect(lambda: disconnect_all(connections))

    def listen(self, signal: Any, slot: Callable) -> None:
        """Call `slot` for a psygnal or Qt signal until the widget goes."""
        signal.connect(slot)
        self._connections.append((signal, slot))


def disconnect_all(connections: list[tuple[Any, Callable]]) -> None:
    """End every connection; those whose other end is gone are gone, too."""
    for signal, slot in connections:
        with contextlib.suppress(Exception):
            signal.disconnect(slot)
    connections.clear()


class DockWidget(Listener):
    """A widget of the Plugins menu: the study bar on top, its own contents below, scrolling where too tall."""

    _docked = False

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(get_session(viewer))
        from napari_landmark.gui.widgets.study_bar import StudyBar

        self.viewer = viewer
        self.stage: LayerManager = get_layer_manager(viewer)
        bind_keys(viewer, self.session)
        self.study_bar = StudyBar(viewer, self.session)
        self.content = QWidget()
        self.body = QVBoxLayout(self.content)
        self.body.setContentsMargins(0, 0, 0, 0)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(self.content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.study_bar)
        layout.addWidget(scroll, 1)
        self.setMinimumWidth(_NARROWEST)

    def event(self, event: QEvent) -> bool:
        """Go when the dock is closed: napari only takes the widget out of it, and it would live on unseen."""
        if event.type() == QEvent.Type.ParentChange:
            docked, self._docked = self._docked, self.parent() is not None
            if docked and not self._docked:
                self.deleteLater()
        return super().event(event)

    def open_dock(self, name: str) -> None:
        """Bring another widget of this plugin to the front."""
        window = getattr(self.viewer, "window", None)
        if window is not None:
            dock, _ = window.add_plugin_dock_widget("napari-landmark", name, tabify=True)
            dock.show()
            dock.raise_()


def button(text: str, slot: Callable[[], object], *, tip: str = "", strong: bool = False) -> QPushButton:
    """A push button; a strong one is what most people will want to press next."""
    made = QPushButton(text)
    made.setToolTip(tip)
    made.clicked.connect(lambda: slot())
    if strong:
        emphasise(made)
    return made


def emphasise(widget: QPushButton, on: bool = True) -> None:
    """Make a button stand out, in the dark and in the light theme."""
    widget.setStyleSheet(
        "QPushButton { background-color: #0d6efd; color: white; font-weight: bold; padding: 6px; }"
        "QPushButton:hover { background-color: #3b8bff; }"
        "QPushButton:disabled { background-color: #6c757d; color: #d0d0d0; }"
        if on
        else ""
    )


def problem_text(text: str) -> str:
    """Rich text of something that went wrong, readable in both themes."""
    return f"<span style='color:#e5484d'>⚠ <b>{escape(text)}</b></span>"


class _Note(QLabel):
    """A label that asks for the height it needs in a dock; Qt would guess one for a narrower column, twice as high."""

    def sizeHint(self) -> QSize:
        """Of the text in the narrowest dock."""
        usual, needed = super().sizeHint(), self.heightForWidth(_NARROWEST - 30)
        return usual if needed < 0 else QSize(usual.width(), needed)  # below 0: there is no text

    def minimumSizeHint(self) -> QSize:
        """The same height."""
        return QSize(0, self.sizeHint().height())


def note(text: str = "") -> QLabel:
    """Text that wraps and keeps its height."""
    label = _Note(text)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label
