"""Order in which images follow each other: that of the list on show."""

from __future__ import annotations

from collections.abc import Sequence

from psygnal import Signal


class ImageOrder:
    """Names of the images in the order of the list that is on show, of the cohort where there is none."""

    changed = Signal()
    """Other images, or another order."""

    def __init__(self) -> None:
        self._cohort: tuple[str, ...] = ()
        self._names: tuple[str, ...] = ()
        self._places: dict[str, int] = {}
        self.is_of_list = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images in their order."""
        return self._names

    def take_cohort(self, names: Sequence[str]) -> None:
        """Take over the images of a cohort; a list that is on show follows it by itself."""
        self._cohort = tuple(names)
        self.leave_list()

    def follow_list(self, names: Sequence[str]) -> None:
        """Take over the order of a list."""
        self._take(names, is_of_list=True)

    def leave_list(self) -> None:
        """Go back to the order of the cohort, where no list is on show any more."""
        self._take(self._cohort, is_of_list=False)

    def place(self, name: str) -> int:
        """Number of an image in the order, from 0; -1 where it is not among them."""
        return self._places.get(name, -1)

    def beside(self, name: str, by: int) -> str:
        """Name of the image that many places on, or back, which is the last one at an end.

        From an image that is not among them it is the first one, or the last one where `by` is negative; empty where
        no image is listed.
        """
        if not self._names:
            return ""
        place = self.place(name)
        if place < 0:
            return self._names[0 if by > 0 else -1]
        return self._names[min(max(place + by, 0), len(self._names) - 1)]

    def after(self, name: str) -> tuple[str, ...]:
        """All others, from the one that comes next to the end, and on from the first one."""
        start = self.place(name) + 1
        around = (*self._names[start:], *self._names[:start])
        return tuple(other for other in around if other != name)

    def _take(self, names: Sequence[str], *, is_of_list: bool) -> None:
        names = tuple(names)
        if (names, is_of_list) == (self._names, self.is_of_list):
            return
        self._names, self.is_of_list = names, is_of_list
        self._places = {name: place for place, name in enumerate(names)}
        self.changed.emit()
