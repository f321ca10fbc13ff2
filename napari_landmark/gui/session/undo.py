"""Undo and redo of what a person said about landmarks."""

from __future__ import annotations

from dataclasses import dataclass

from napari_landmark.data.landmarks import LandmarkSet


@dataclass(frozen=True)
class Change:
    """The annotation of one image before and after something was done to it.

    Parameters
    ----------
    image : str
        Name of the image.
    before, after : LandmarkSet
        What persons said; sets cannot be changed, so keeping both costs next to nothing.
    label : str
        What was done, for the person: 'Place Sella'.
    """

    image: str
    before: LandmarkSet
    after: LandmarkSet
    label: str

    @property
    def names(self) -> tuple[str, ...]:
        """The landmarks that it is about."""
        return tuple(n for n, mark in self.after.items() if mark != self.before.get(n))


class UndoStack:
    """Changes that can be taken back, newest last.

    Parameters
    ----------
    limit : int, optional
        Older changes are forgotten.
    """

    def __init__(self, limit: int = 500) -> None:
        self._limit = limit
        self._done: list[Change] = []
        self._undone: list[Change] = []

    def push(self, change: Change) -> None:
        """Remember a change; what was undone before cannot be redone any more."""
        self._done.append(change)
        del self._done[: -self._limit]
        self._undone.clear()

    def undo(self) -> Change | None:
        """The change to take back, None where there is none."""
        if not self._done:
            return None
        self._undone.append(self._done.pop())
        return self._undone[-1]

    def redo(self) -> Change | None:
        """The change to do again, None where there is none."""
        if not self._undone:
            return None
        self._done.append(self._undone.pop())
        return self._done[-1]

    def clear(self) -> None:
        """Forget everything."""
        self._done.clear()
        self._undone.clear()

    @property
    def undo_label(self) -> str:
        """What `undo` would take back; empty where there is nothing."""
        return self._done[-1].label if self._done else ""

    @property
    def redo_label(self) -> str:
        """What `redo` would do again; empty where there is nothing."""
        return self._undone[-1].label if self._undone else ""
