"""A user of a real viewer who has a mouse and a keyboard, and whose actions are counted."""

from __future__ import annotations

import time

from qtpy.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QMessageBox, QPushButton

from napari_landmark.gui.dialogs.new_study import NewStudyDialog
from napari_landmark.gui.layers.viewer_session import get_layer_manager, get_session

from ..conftest import docked
from ..test_story import CanvasMouse

_TO_A_MENU_ENTRY = 3  # Plugins, Landmarks, the entry
_LOOK = 50  # milliseconds between two looks for a dialog


class User:
    """Clicks, drags, keys and drops, of which each is one action, and so is a text typed into a field.

    A choice from a list is two: it is opened and the entry is clicked. A wait is long work that has to end before the
    next action.
    """

    def __init__(self, viewer, qtbot) -> None:
        self.viewer, self._qtbot = viewer, qtbot
        self.actions, self.waits, self.seconds = 0, 0, 0.0
        self.session = get_session(viewer)
        self._mouse = CanvasMouse(viewer, qtbot)

    @property
    def header(self):
        """Header of the dock with the steps."""
        return self.viewer.window.dock_widgets["Landmarks"].study_bar

    @property
    def marks(self):
        """Layer of the landmarks."""
        return get_layer_manager(self.viewer).landmarks.layer

    def widget(self, name):
        """Open a widget from the Plugins menu."""
        self.actions += _TO_A_MENU_ENTRY
        return self._shown(name)

    def onward(self, button, name):
        """Press the button that opens the next step."""
        self.press(button)
        landmarks = self.viewer.window.dock_widgets["Landmarks"]
        assert landmarks.step == name
        return landmarks.widget

    def press(self, button) -> None:
        """Click on a button."""
        assert button.isVisible(), button.text()
        assert button.isEnabled(), button.text()
        self.actions += 1
        self._qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def pick(self, view, row) -> None:
        """Click on a row of a table."""
        self.actions += 1
        index = view.model().index(row, 0)
        view.scrollTo(index)
        self._qtbot.mouseClick(
            view.viewport(), Qt.MouseButton.LeftButton, pos=view.visualRect(index).center()
        )

    def choose(self, combo, text) -> None:
        """Open a list and click on an entry."""
        self.actions += 2
        self._qtbot.mouseClick(combo, Qt.MouseButton.LeftButton)
        view, row = combo.view(), combo.findText(text)
        assert row >= 0, text
        view.scrollTo(combo.model().index(row, 0))
        place = view.visualRect(combo.model().index(row, 0)).center()
        self._qtbot.wait(
            int(QApplication.doubleClickInterval()) + 50
        )  # else the list takes it for the first click
        self._qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
        assert combo.currentText() == text

    def fill(self, field, text) -> None:
        """Click into a field and type."""
        self.actions += 2
        self._qtbot.mouseClick(field, Qt.MouseButton.LeftButton)
        field.selectAll()
        self._qtbot.keyClicks(field, text)
        self._qtbot.keyClick(field, Qt.Key.Key_Return)

    def key(self, key) -> None:
        """Press a key while the mouse is over the canvas."""
        self.actions += 1
        self._qtbot.keyClick(self.viewer.window._qt_viewer.canvas.native, key)

    def slide(self, value) -> None:
        """Drag napari's slider to a slice."""
        self.actions += 1
        self.viewer.window._qt_viewer.dims.slider_widgets[0].slider.setValue(value)

    def place(self, position) -> None:
        """Click on the image, at the index coordinates of the current slice."""
        self.actions += 1
        self._mouse.click(self.marks, position)

    def drag(self, start, end) -> None:
        """Drag a point of the image from one position to another."""
        self.actions += 1
        self._mouse.drag(self.marks, start, end)

    def drop(self, target, *paths) -> None:
        """Drag files of a file manager onto a widget."""
        self.actions += 1
        data, left = QMimeData(), Qt.MouseButton.LeftButton
        data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
        copy, none = Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
        QApplication.sendEvent(target, QDragEnterEvent(QPoint(20, 20), copy, data, left, none))
        QApplication.sendEvent(target, QDropEvent(QPointF(20, 20), copy, data, left, none))

    @property
    def canvas(self):
        """What takes drops onto the canvas."""
        return self.viewer.window._qt_viewer

    def in_new_study(self, act, fill) -> None:
        """Do what opens the dialog of a new study, fill it in, and press its button."""

        def inside(dialog) -> None:
            fill(dialog)
            (create,) = [b for b in dialog.findChildren(QPushButton) if b.text() == "Create study"]
            self.press(create)
            assert not dialog.problem.text()

        self._in_dialog(NewStudyDialog, act, inside)

    def confirm(self, act) -> None:
        """Do what asks a question, and press Yes."""
        self._in_dialog(QMessageBox, act, lambda box: self.press(box.button(QMessageBox.StandardButton.Yes)))

    def wait(self, condition=lambda: True) -> None:
        """Wait for the end of long work, and for a condition."""
        self.waits += 1
        since = time.monotonic()
        self._qtbot.waitUntil(lambda: self.session.job is None and bool(condition()), timeout=240_000)
        self._qtbot.wait(30)
        self.seconds += time.monotonic() - since

    def wait_for_study(self, images) -> None:
        """Wait until a study of so many images is shown."""
        self.wait(lambda: len(self.session.names) == images and self.marks is not None)

    def _shown(self, name):
        _, widget = docked(self.viewer, name)
        self._qtbot.wait(50)
        return widget

    def _in_dialog(self, kind, act, inside) -> None:
        """Do what opens a modal dialog, and something in it; it is closed, whatever happens there."""
        problems, done = [], []

        def look() -> None:
            dialog = QApplication.activeModalWidget()
            if not isinstance(dialog, kind):
                if not done:
                    QTimer.singleShot(_LOOK, look)
                return
            done.append(True)
            try:
                inside(dialog)
            except BaseException as error:
                problems.append(error)
            finally:
                if dialog.isVisible():
                    dialog.reject()

        QTimer.singleShot(_LOOK, look)
        act()
        self._qtbot.waitUntil(lambda: bool(done), timeout=10_000)
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        if problems:
            raise problems[0]
