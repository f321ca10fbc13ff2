"""Undo and redo of changes of annotations."""

from __future__ import annotations

from collections.abc import Callable, Container
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
    more : tuple of Change, optional
        Changes of other images that are undone and redone together with this one.
    defines : str, optional
        Landmark of the study that was defined by this change.
    """

    image: str
    before: LandmarkSet
    after: LandmarkSet
    label: str
    more: tuple[Change, ...] = ()
    defines: str = ""

    @property
    def parts(self) -> tuple[Change, ...]:
        """Changes of one image each, this one first."""
        return (self, *self.more)

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

    def push(self, change: Change, *, merged: bool = False) -> None:
        """Add a change; changes that were undone cannot be redone any more.

        Parameters
        ----------
        change : Change
        merged : bool, optional
            Whether it becomes one with the last change where that has its label and ended where it begins.
        """
        last = self._done[-1] if self._done else None
        same = last is not None and (last.image, last.label) == (change.image, change.label)
        if merged and same and last is not None and last.after == change.before:
            self._done.pop()
            change = Change(change.image, last.before, change.after, change.label, defines=last.defines)
        self._done.append(change)
        del self._done[: -self._limit]
        self._undone.clear()

    def undo(self, apply: Callable[[Change], object]) -> Change | None:
        """Undo the last change.

        Parameters
        ----------
        apply : callable
            Saves the annotation before the change. Where it raises, the change stays the one to undo.

        Returns
        -------
        Change or None
            The change that was undone; None where there is none.
        """
        return self._move(self._done, self._undone, apply)

    def redo(self, apply: Callable[[Change], object]) -> Change | None:
        """Redo the change that was undone last; parameters and result are those of `undo`."""
        return self._move(self._undone, self._done, apply)

    def keep_images(self, names: Container[str]) -> None:
        """Remove the changes of images that are not among these."""
        for changes in (self._done, self._undone):
            changes[:] = [change for change in changes if all(part.image in names for part in change.parts)]

    def clear(self) -> None:
        """Remove all changes."""
        self._done.clear()
        self._undone.clear()

    @staticmethod
    def _move(source: list[Change], target: list[Change], apply: Callable[[Change], object]) -> Change | None:
        if not source:
            return None
        change = source[-1]
        apply(change)
        target.append(source.pop())
        return change

    @property
    def undo_label(self) -> str:
        """Label of the change that `undo` returns; empty where there is none."""
        return self._done[-1].label if self._done else ""

    @property
    def redo_label(self) -> str:
        """Label of the change that `redo` returns; empty where there is none."""
        return self._undone[-1].label if self._undone else ""
