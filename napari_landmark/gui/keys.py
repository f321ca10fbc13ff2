"""Keys of the viewer that work while a study is open; they are the ones napari leaves free."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from napari.components import ViewerModel

from napari_landmark.gui.session.session import Session

KEYS: dict[str, tuple[str, str]] = {
    ".": (".", "next image"),
    ",": (",", "previous image"),
    "n": ("N", "next landmark"),
    "j": ("J", "previous landmark"),
    "u": ("U", "landmark is missing"),
    "k": ("K", "accept this image"),
    "Control-Z": ("Ctrl+Z", "undo"),
    "Control-Shift-Z": ("Ctrl+Shift+Z", "redo"),
}
"""By napari's name of the key: what is written on it, and what it does."""

_BOUND: weakref.WeakSet[ViewerModel] = weakref.WeakSet()


def bind_keys(viewer: ViewerModel, session: Session) -> None:
    """Bind the keys once for each viewer."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    if viewer in _BOUND:
        return
    _BOUND.add(viewer)
    actions: dict[str, Callable[[], object]] = {
        ".": lambda: session.step(1),
        ",": lambda: session.step(-1),
        "n": lambda: session.skip(1),
        "j": lambda: session.skip(-1),
        "u": lambda: session.edits.mark_missing(session.landmark),
        "k": session.edits.accept,
        "Control-Z": session.edits.undo,
        "Control-Shift-Z": session.edits.redo,
    }
    for key, action in actions.items():
        viewer.bind_key(key, _key_handler(session, action), overwrite=True)


def keys_text(*keys: str) -> str:
    """What the keys do, as rich text; all of them if none is named."""
    parts = (f"<b>{KEYS[key][0]}</b>&nbsp;{KEYS[key][1].replace(' ', '&nbsp;')}" for key in keys or KEYS)
    return " &nbsp; ".join(parts)  # a line breaks between keys only


def _key_handler(session: Session, action: Callable[[], object]) -> Callable[[ViewerModel], None]:
    def pressed(viewer: ViewerModel) -> None:
        if session.image:
            session.attempt(action)

    return pressed
