"""Files and folders that are dropped onto the canvas of a viewer, and onto the dialog of a new study."""

from __future__ import annotations

import shutil

import pytest
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication

from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.study.study import Study
from napari_landmark.gui.dialogs.new_study import NewStudyDialog
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.widgets import file_drop

from ..conftest import NAMES


@pytest.fixture
def folders(hands, tmp_path):
    for folder, numbers in (("own", (0, 1)), ("others", (2, 3))):
        (tmp_path / folder).mkdir()
        for number in numbers:
            shutil.copy(hands[0] / f"hand_00{number}.png", tmp_path / folder)
    Study.create(tmp_path / "study", schema=LandmarkSchema(NAMES), images=tmp_path / "own")
    return tmp_path


def drop(widget, *paths):
    """Drag paths over a widget and let go, as a file manager does."""
    data, left = QMimeData(), Qt.MouseButton.LeftButton
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    copy, none = Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(widget, QDragEnterEvent(QPoint(20, 20), copy, data, left, none))
    QApplication.sendEvent(widget, QDropEvent(QPointF(20, 20), copy, data, left, none))


def test_a_study_is_opened_then_images_are_added_and_others_are_left_to_napari(
    folders, make_napari_viewer, qtbot, monkeypatch
):
    viewer = make_napari_viewer()
    viewer.window.add_plugin_dock_widget("napari-landmark", "Place")
    target, session = viewer.window._qt_viewer, get_session(viewer)
    drop(target, folders / "study")
    qtbot.waitUntil(lambda: session.job is None and len(session.names) == 2, timeout=20_000)
    drop(target, folders / "others" / "hand_002.png")
    qtbot.waitUntil(lambda: session.job is None and len(session.names) == 3, timeout=20_000)
    drop(target, folders / "others")
    qtbot.waitUntil(lambda: session.job is None and len(session.names) == 4, timeout=20_000)
    assert not [layer for layer in viewer.layers if layer.name.startswith("hand_003")]  # no layer of its own
    marks = folders / "marks.landmarks.csv"
    marks.write_text("image,landmark,x,y\nhand_000.png,thumb_tip,3,4\n")
    asked = []

    def agree(session, found, parent, *, file):
        asked.append((list(found), file))
        return found

    monkeypatch.setattr(file_drop, "ask_for_images", agree)
    drop(target, marks)
    qtbot.waitUntil(lambda: session.annotation("hand_000.png")["thumb_tip"].position == (4, 3), timeout=5000)
    assert asked == [(["hand_000.png"], marks.name)]
    opened = []
    monkeypatch.setattr(type(target), "_qt_open", lambda self, files, **_: opened.extend(files))
    (folders / "notes.txt").write_text("x")
    drop(target, folders / "notes.txt")
    assert opened == [str(folders / "notes.txt")]
    assert len(session.names) == 4


def test_a_folder_without_a_study_fills_in_the_dialog(folders, make_napari_viewer, qtbot, monkeypatch):
    viewer = make_napari_viewer()
    viewer.window.add_plugin_dock_widget("napari-landmark", "Place")
    seen = []
    monkeypatch.setattr(NewStudyDialog, "exec", lambda self: seen.append(self.images.text()))
    drop(viewer.window._qt_viewer, folders / "others")
    qtbot.waitUntil(lambda: bool(seen), timeout=5000)
    assert seen == [str(folders / "others")]
    assert not len(viewer.layers)


@pytest.mark.parametrize("modifier", [Qt.KeyboardModifier.AltModifier, Qt.KeyboardModifier.ShiftModifier])
def test_with_a_key_held_down_it_is_a_layer(folders, make_napari_viewer, qtbot, monkeypatch, modifier):
    viewer = make_napari_viewer()
    viewer.window.add_plugin_dock_widget("napari-landmark", "Place")
    target, session = viewer.window._qt_viewer, get_session(viewer)
    drop(target, folders / "study")
    qtbot.waitUntil(lambda: session.job is None and len(session.names) == 2, timeout=20_000)
    opened = []
    monkeypatch.setattr(type(target), "_qt_open", lambda self, files, **_: opened.extend(files))
    monkeypatch.setattr(file_drop.QGuiApplication, "keyboardModifiers", staticmethod(lambda: modifier))
    drop(target, folders / "others" / "hand_002.png")
    qtbot.wait(50)
    assert opened == [str(folders / "others" / "hand_002.png")]
    assert len(session.names) == 2


def test_the_dialog_takes_folders_images_and_landmark_files(folders, make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    dialog = NewStudyDialog(viewer, get_session(viewer))
    qtbot.addWidget(dialog)
    marks = folders / "marks.csv"
    marks.write_text("image,landmark,x,y\nhand_002.png,thumb_tip,3,4\n")
    drop(dialog, folders / "own")
    assert dialog.images.text() == str(folders / "own")
    drop(dialog, folders / "others" / "hand_002.png", marks)
    assert dialog.images.text() == str(folders / "others")
    assert dialog.file.text() == str(marks)
    assert dialog.landmarks.currentText() == "From a landmark file…"
    assert not dialog.problem.text()
    (folders / "x.docx").write_text("x")
    drop(dialog, folders / "x.docx")
    assert "x.docx: neither images nor landmarks" in dialog.problem.text()
