"""The session and the layer manager of each viewer."""

from __future__ import annotations

import logging
import weakref

from napari.components import ViewerModel

from napari_landmark.gui.layers.layer_manager import LayerManager
from napari_landmark.gui.layers.napari_internals import main_window
from napari_landmark.gui.layers.warm_up import warm_up
from napari_landmark.gui.session.event_log import EVENT_LOG
from napari_landmark.gui.session.session import Session

logger = logging.getLogger(__name__)

_SECONDS_TO_STOP = 20
_SESSIONS: weakref.WeakKeyDictionary[ViewerModel, Session] = weakref.WeakKeyDictionary()
_LAYER_MANAGERS: weakref.WeakKeyDictionary[ViewerModel, LayerManager] = weakref.WeakKeyDictionary()


def get_session(viewer: ViewerModel) -> Session:
    """Session of a viewer, shared by all its widgets; made at the first call."""
    viewer = unwrapped(viewer)
    if viewer not in _SESSIONS:
        warm_up()
        session = _SESSIONS[viewer] = Session()
        EVENT_LOG.follow(session)
        logging.getLogger("napari_landmark").addHandler(EVENT_LOG)  # once, however often
        _LAYER_MANAGERS[viewer] = LayerManager(viewer, session)
        window = main_window(viewer)
        if window is not None:
            window.destroyed.connect(lambda: _end(session))
    return _SESSIONS[viewer]


def get_layer_manager(viewer: ViewerModel) -> LayerManager:
    """Layer manager of a viewer's session; made at the first call."""
    get_session(viewer)
    return _LAYER_MANAGERS[unwrapped(viewer)]


def _end(session: Session) -> None:
    """Cancel long work when the window closes; its thread ends before its viewer does."""
    job = session.job
    session.close()
    if job is not None and not job.wait(_SECONDS_TO_STOP):
        logger.warning("%s did not stop within %d seconds", job.title, _SECONDS_TO_STOP)


def unwrapped(viewer: ViewerModel) -> ViewerModel:
    """The viewer itself where napari passes a proxy, whose lifetime is too short for a weak key."""
    return getattr(viewer, "__wrapped__", viewer)
