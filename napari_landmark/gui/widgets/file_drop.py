"""Files and folders that are dropped onto the canvas of a viewer while a widget of this plugin is open."""

from __future__ import annotations

import weakref
from pathlib import Path

from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QMimeData, QObject, Qt
from qtpy.QtGui import QDropEvent, QGuiApplication
from qtpy.QtWidgets import QWidget

from napari_landmark.gui.dialogs.import_landmarks import ask_for_images
from napari_landmark.gui.dialogs.new_study import show_new_study_dialog
from napari_landmark.gui.jobs.add_images import add_images_job
from napari_landmark.gui.jobs.dropped_files import DropMeaning, drop_meaning
from napari_landmark.gui.jobs.import_landmarks import import_landmark_file
from napari_landmark.gui.jobs.open_study import open_job
from napari_landmark.gui.layers.napari_internals import canvas_widget
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.next_turn import in_next_turn
from napari_landmark.gui.session.session import Session

_DROPS: weakref.WeakKeyDictionary[ViewerModel, FileDrop] = weakref.WeakKeyDictionary()
_OF_NAPARI = Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.ShiftModifier
_HINT = "Drop: images are added to the study, landmarks imported. With <Alt> or <Shift>: open as layers."


def take_drops(viewer: ViewerModel) -> FileDrop | None:
    """Take files that are dropped onto the canvas of a viewer; a second call changes nothing. None without a window."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    target: QWidget | None = canvas_widget(viewer)
    while target is not None and not target.acceptDrops():
        target = target.parentWidget()
    if target is None:
        return None
    if viewer not in _DROPS:
        _DROPS[viewer] = FileDrop(target, viewer, get_session(viewer))
    return _DROPS[viewer]


class FileDrop(QObject):
    """Opens dropped studies, adds images to the open one, imports landmarks; napari opens everything else, as before.

    With Alt or Shift held down, which mean something in napari, all is napari's.

    Parameters
    ----------
    target : QWidget
        Takes napari's drops.
    viewer : ViewerModel
    session : Session
    """

    def __init__(self, target: QWidget, viewer: ViewerModel, session: Session) -> None:
        super().__init__(target)
        self._session = session  # not the target, which would keep its viewer from ever being freed
        self._viewer = weakref.ref(viewer)
        target.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Take drops that mean something for the plugin."""
        if event is None or watched is not self.parent() or not isinstance(event, QDropEvent):
            return False
        paths = _paths(event.mimeData())
        if not paths or QGuiApplication.keyboardModifiers() & _OF_NAPARI:
            return False
        if event.type() == QEvent.Type.Drop:
            meaning = drop_meaning(self._session, paths)
            if meaning is DropMeaning.NONE:
                return False
            event.acceptProposedAction()
            # Later: the program that the files come from waits for the end of the drop.
            in_next_turn(self, lambda: self._take(meaning, paths))
            return True
        if event.type() == QEvent.Type.DragEnter and self._session.study is not None:
            event.acceptProposedAction()
            viewer = self._viewer()
            if viewer is not None:
                viewer.status = _HINT
            return True
        return False

    def _take(self, meaning: DropMeaning, paths: list[Path]) -> None:
        session, viewer = self._session, self._viewer()
        if meaning is DropMeaning.OPEN_STUDY:
            session.attempt(lambda: session.run(open_job(session, paths[0])))
        elif meaning is DropMeaning.ADD_IMAGES:
            session.attempt(lambda: session.run(add_images_job(session, paths)))
        elif meaning is DropMeaning.IMPORT_LANDMARKS:
            session.attempt(lambda: self._import(paths[0]))
        elif viewer is not None and isinstance(parent := self.parent(), QWidget):
            show_new_study_dialog(viewer, session, parent, images=paths[0])

    def _import(self, path: Path) -> None:
        """Import landmarks of the images that the user chooses; the widget below the canvas is the parent."""
        parent = self.parent()
        if isinstance(parent, QWidget):
            import_landmark_file(
                self._session,
                path,
                choose=lambda found: ask_for_images(self._session, found, parent, file=path.name),
                always=True,
            )


def _paths(mime: QMimeData | None) -> list[Path]:
    """Paths of dropped files; empty where one of them is none of this computer."""
    urls = [] if mime is None else mime.urls()
    return [Path(url.toLocalFile()) for url in urls] if all(url.isLocalFile() for url in urls) else []
