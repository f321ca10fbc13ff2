"""Keys of the viewer while a study is open; napari does not use them."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from napari.components import ViewerModel

from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.session import Session

KEYS: dict[str, tuple[str, str]] = {
    ".": (".", "next image"),
    ",": (",", "previous image"),
    "n": ("N", "next landmark"),
    "j": ("J", "previous landmark"),
    "u": ("U", "landmark is missing"),
    "h": ("H", "landmark is covered, or seen"),
    "k": ("K", "accept this image"),
    "Control-Z": ("Ctrl+Z", "undo"),
    "Control-Shift-Z": ("Ctrl+Shift+Z", "redo"),
}
"""Label and action of each key, by napari's name of the key."""

_BOUND: weakref.WeakSet[ViewerModel] = weakref.WeakSet()


def bind_keys(viewer: ViewerModel, session: Session) -> None:
    """Bind the keys of a viewer; a second call changes nothing."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    if viewer in _BOUND:
        return
    _BOUND.add(viewer)
    editor = AnnotationEditor(session)
    actions: dict[str, Callable[[], object]] = {
        ".": lambda: session.step(1),
        ",": lambda: session.step(-1),
        "n": lambda: session.skip(1),
        "j": lambda: session.skip(-1),
        "u": lambda: editor.mark_missing(session.current_landmark),
        "h": lambda: editor.toggle_covered(session.current_landmark),
        "k": editor.accept,
        "Control-Z": editor.undo,
        "Control-Shift-Z": editor.redo,
    }
    for key, action in actions.items():
        viewer.bind_key(key, _key_handler(session, action), overwrite=True)


def keys_text(*keys: str) -> str:
    """Labels and actions of the named keys, or of all, as rich text."""
    parts = (f"<b>{KEYS[key][0]}</b>&nbsp;{KEYS[key][1].replace(' ', '&nbsp;')}" for key in keys or KEYS)
    return " &nbsp; ".join(parts)  # a line breaks between keys only


def _key_handler(session: Session, action: Callable[[], object]) -> Callable[[ViewerModel], None]:
    def pressed(viewer: ViewerModel) -> None:
        if session.current_image:
            session.attempt(action)

    return pressed
