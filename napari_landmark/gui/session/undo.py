"""Undo and redo of changes of annotations."""

from __future__ import annotations

from dataclasses import dataclass

from napari_landmark.data.landmarks import LandmarkSet


@dataclass(frozen=True)
class Change:
    """One change of the annotation of one image.

    Parameters
    ----------
    image : str
        Name of the image.
    before, after : LandmarkSet
        Annotations; immutable, so keeping both costs next to nothing.
    label : str
        Name of the change for the user: 'Place Sella'.
    """

    image: str
    before: LandmarkSet
    after: LandmarkSet
    label: str

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the landmarks that it changes."""
        return tuple(n for n, mark in self.after.items() if mark != self.before.get(n))


class UndoStack:
    """Changes that can be undone, newest last.

    Parameters
    ----------
    limit : int, optional
        Number of changes that are kept; older ones cannot be undone.
    """

    def __init__(self, limit: int = 500) -> None:
        self._limit = limit
        self._done: list[Change] = []
        self._undone: list[Change] = []

    def push(self, change: Change) -> None:
        """Add a change; changes that were undone cannot be redone any more."""
        self._done.append(change)
        del self._done[: -self._limit]
        self._undone.clear()

    def undo(self) -> Change | None:
        """Return the change to undo, None where there is none."""
        if not self._done:
            return None
        self._undone.append(self._done.pop())
        return self._undone[-1]

    def redo(self) -> Change | None:
        """Return the change to redo, None where there is none."""
        if not self._undone:
            return None
        self._done.append(self._undone.pop())
        return self._done[-1]

    def clear(self) -> None:
        """Remove all changes."""
        self._done.clear()
        self._undone.clear()

    @property
    def undo_label(self) -> str:
        """Label of the change that `undo` returns; empty where there is none."""
        return self._done[-1].label if self._done else ""

    @property
    def redo_label(self) -> str:
        """Label of the change that `redo` returns; empty where there is none."""
        return self._undone[-1].label if self._undone else ""
