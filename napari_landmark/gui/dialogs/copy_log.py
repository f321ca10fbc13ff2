"""Copying a log for a report to the clipboard, from the study bar and from napari's Help menu."""

from __future__ import annotations

import weakref

from napari.components import ViewerModel
from napari.utils.notifications import Notification, notification_manager
from qtpy.QtGui import QAction, QGuiApplication

from napari_landmark.gui.preferences import Preferences
from napari_landmark.gui.session.event_log import EVENT_LOG, report_text
from napari_landmark.gui.session.session import Session

COPY_LOG = "Copy a log for a report"

_OFFERED: weakref.WeakSet[ViewerModel] = weakref.WeakSet()
_heard = False


def copy_log(session: Session) -> str:
    """Copy versions, device and the last lines of the log to the clipboard, without names; returns the text."""
    text = report_text(EVENT_LOG, session, device=Preferences.read().device)
    clipboard = QGuiApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(text)
    session.message.emit(
        "info", "The log is copied, without names of images or folders: paste it into your report."
    )
    return text


def offer_log(viewer: ViewerModel, session: Session) -> None:
    """Add the entry to the Help menu of a viewer, and keep errors that napari shows; a second call changes nothing."""
    global _heard
    viewer = getattr(viewer, "__wrapped__", viewer)
    if not _heard:
        _heard = True
        notification_manager.notification_ready.connect(_on_notification)
    menu = getattr(getattr(viewer, "window", None), "help_menu", None)
    if menu is None or viewer in _OFFERED:
        return
    _OFFERED.add(viewer)
    action = QAction(f"Landmarks: {COPY_LOG[:1].lower()}{COPY_LOG[1:]}", menu)
    action.triggered.connect(lambda: copy_log(session))
    menu.addAction(action)


def _on_notification(notification: Notification) -> None:
    """Keep the exceptions that napari shows; messages of this plugin are kept already."""
    error = getattr(notification, "exception", None)
    if isinstance(error, BaseException):
        EVENT_LOG.add_error(error)
