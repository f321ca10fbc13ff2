"""The entry of the Help menu copies the log, with errors that napari shows."""

from __future__ import annotations

from napari.utils.notifications import ErrorNotification, notification_manager
from qtpy.QtWidgets import QApplication

from napari_landmark.gui.dialogs.copy_log import offer_log
from napari_landmark.gui.layers.viewer_session import get_session


def test_the_help_menu_copies_what_happened_without_names(make_napari_viewer, qtbot, study, cohort):
    viewer = make_napari_viewer()
    session = get_session(viewer)
    session.open(study, cohort)
    for _ in range(2):
        offer_log(viewer, session)
    entries = [action for action in viewer.window.help_menu.actions() if "copy a log" in action.text()]
    assert len(entries) == 1
    try:
        raise ValueError("Mustermann Erika 19640812 broke it")
    except ValueError as error:
        notification_manager.notification_ready(ErrorNotification(error))
    session.message.emit("warning", "hand_003.png: cannot be read")
    entries[0].trigger()
    text = QApplication.clipboard().text()
    assert "napari " in text
    assert "error ValueError: " in text
    assert "in test_the_help_menu_copies_what_happened_without_names" in text
    assert "cannot be read" in text
    for name in ("Mustermann", "Erika", "1964", "hand_003", str(study.folder)):
        assert name not in text
