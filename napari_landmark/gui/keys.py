"""Keys of the viewer while a study is open; napari does not use them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator

import numpy as np
from napari.components import ViewerModel

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.edges import strongest_edge
from napari_landmark.gui.layers.layer_transforms import camera_of
from napari_landmark.gui.layers.napari_internals import slider_step
from napari_landmark.gui.layers.viewer_session import get_layer_manager
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.review_queue import ReviewQueue
from napari_landmark.gui.session.session import Session

KEYS: dict[str, tuple[str, str]] = {
    ".": (".", "next image"),
    ",": (",", "previous image"),
    "n": ("N", "next landmark"),
    "j": ("J", "previous landmark"),
    "u": ("U", "landmark is missing"),
    "h": ("H", "landmark is covered, or seen"),
    "k": ("K", "accept this image, next doubtful one"),
    "d": ("D", "next doubtful landmark"),
    "y": ("Y", "landmark is right, next doubtful one"),
    "e": ("E", "snap to the strongest edge nearby"),
    "i": ("I", "invert the greys"),
    "l": ("L", "loupe x4, x8, off"),
    "b": ("B", "names: all, current, none"),
    "t": ("T", "template beside the image"),
    "g": ("G", "while it is held: the fixed image of a registered pair alone"),
    "Control-Z": ("Ctrl+Z", "undo"),
    "Control-Shift-Z": ("Ctrl+Shift+Z", "redo"),
    "arrows": ("Arrows", "move the landmark by a pixel, with Shift by a tenth"),
}
"""Label and action of each key, by napari's name of the key."""
_ARROWS = {"Up": (-1, 0), "Down": (1, 0), "Left": (0, -1), "Right": (0, 1)}
_NUDGE, _FINE_NUDGE = 1.0, 0.1  # pixels of the image
_EDGE_REACH = 12.0  # pixels of the screen
_LEAST_EDGE_REACH = 3.0  # pixels of the image

_QUEUES: weakref.WeakKeyDictionary[ViewerModel, ReviewQueue] = weakref.WeakKeyDictionary()
_BOUND: weakref.WeakSet[ViewerModel] = weakref.WeakSet()


def bind_keys(viewer: ViewerModel, session: Session) -> None:
    """Bind the keys of a viewer; a second call changes nothing."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    if viewer in _BOUND:
        return
    _BOUND.add(viewer)
    editor = AnnotationEditor(session)
    queue = review_queue(viewer, session)

    def go_to_doubtful() -> None:
        queue.go_to_next()
        get_layer_manager(viewer).center_on(session.current_landmark)

    def accept_landmark() -> None:
        editor.accept_landmark(session.current_landmark)
        go_to_doubtful()

    actions: dict[str, Callable[[], object]] = {
        ".": lambda: session.step(1),
        ",": lambda: session.step(-1),
        "n": lambda: session.skip(1),
        "j": lambda: session.skip(-1),
        "u": lambda: editor.mark_missing(session.current_landmark),
        "h": lambda: editor.toggle_covered(session.current_landmark),
        "k": queue.accept_image,
        "d": go_to_doubtful,
        "y": accept_landmark,
        "e": lambda: snap_to_edge(viewer, session),
        "i": lambda: session.display.set_look(inverted=not session.display.inverted),
        "l": session.marks.next_magnification,
        "b": session.marks.next_names,
        "t": lambda: session.marks.set(template_shown=not session.marks.template_shown),
        "Control-Z": editor.undo,
        "Control-Shift-Z": editor.redo,
    }
    for key, action in actions.items():
        viewer.bind_key(key, _key_handler(session, action), overwrite=True)
    viewer.bind_key("g", _fixed_alone, overwrite=True)
    for key, direction in _ARROWS.items():
        viewer.bind_key(key, _arrow_handler(session, key, direction, _NUDGE), overwrite=True)
        viewer.bind_key(f"Shift-{key}", _arrow_handler(session, key, direction, _FINE_NUDGE), overwrite=True)


def review_queue(viewer: ViewerModel, session: Session) -> ReviewQueue:
    """The order of review of a viewer, shared by its keys and widgets; made at the first call."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    if viewer not in _QUEUES:
        _QUEUES[viewer] = ReviewQueue(session)
    return _QUEUES[viewer]


def snap_to_edge(viewer: ViewerModel, session: Session) -> None:
    """Move the current landmark to the strongest edge nearby in the shown slice, by no more than some pixels.

    Raises
    ------
    InputError
        The landmark has no position, or there is no edge.
    """
    name, image = session.current_landmark, get_layer_manager(viewer).image
    mark = session.result().get(name)
    if mark is None or mark.position is None or image is None:
        raise InputError(f"{name}: has no position: place it first")
    array, position = session.read_image().array, list(mark.position)
    axes = _shown_axes(viewer, array.ndim)
    plane, (row, column) = array, axes
    if array.ndim == 3:
        (across,) = set(range(3)) - set(axes)
        plane = array.take(min(max(round(position[across]), 0), array.shape[across] - 1), axis=across)
        plane = plane if row < column else plane.T
    pixel = camera_of(viewer).zoom * float(np.asarray(image.scale)[list(axes)].mean())
    radius = max(_EDGE_REACH / max(pixel, 1e-6), _LEAST_EDGE_REACH)
    edge = strongest_edge(plane, (position[row], position[column]), radius=radius)
    if edge is None:
        raise InputError(f"{name}: there is no edge nearby")
    position[row], position[column] = edge
    AnnotationEditor(session).place(name, position)


def _shown_axes(viewer: ViewerModel, ndim: int) -> tuple[int, int]:
    """Axes of an image of so many that the main view shows in slices, that of the rows first."""
    first = viewer.dims.ndim - ndim
    row, column = (axis - first for axis in viewer.dims.displayed[-2:])
    return row, column


def keys_text(*keys: str) -> str:
    """Labels and actions of the named keys, or of all, as rich text."""
    parts = (f"<b>{KEYS[key][0]}</b>&nbsp;{KEYS[key][1].replace(' ', '&nbsp;')}" for key in keys or KEYS)
    return " &nbsp; ".join(parts)  # a line breaks between keys only


def _arrow_handler(
    session: Session, key: str, direction: tuple[int, int], step: float
) -> Callable[[ViewerModel], None]:
    editor = AnnotationEditor(session)

    def nudge(viewer: ViewerModel) -> None:
        ndim = session.geometry().ndim
        offset = [0.0] * ndim
        for axis, sign in zip(_shown_axes(viewer, ndim), direction, strict=True):
            offset[axis] = sign * step
        editor.nudge(session.current_landmark, offset)

    def pressed(viewer: ViewerModel) -> None:
        viewer = getattr(viewer, "__wrapped__", viewer)
        if not session.current_image or viewer.dims.ndisplay == 3:
            _step_slider(viewer, key)
            return
        layer = get_layer_manager(viewer).landmarks.layer
        # In volumes arrows go through the slices, unless a point is selected.
        chosen = layer is not None and (layer.ndim == 2 or len(layer.selected_data) == 1)
        if chosen and session.current_landmark and session.result()[session.current_landmark].position:
            session.attempt(lambda: nudge(viewer))
        else:
            _step_slider(viewer, key)

    return pressed


def _fixed_alone(viewer: ViewerModel) -> Iterator[None]:
    """Hide the layers of a registered pair until the key is released."""
    with get_layer_manager(getattr(viewer, "__wrapped__", viewer)).registration.hidden():
        yield


def _step_slider(viewer: ViewerModel, key: str) -> None:
    """Do what the key means in napari."""
    action = slider_step(viewer, key)
    if action is not None:
        action()


def _key_handler(session: Session, action: Callable[[], object]) -> Callable[[ViewerModel], None]:
    def pressed(viewer: ViewerModel) -> None:
        if session.current_image:
            session.attempt(action)

    return pressed
