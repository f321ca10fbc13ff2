"""How landmarks are marked on an image: shape, names, magnifier, template beside the image."""

from __future__ import annotations

from enum import StrEnum

from psygnal import Signal


class MarkShape(StrEnum):
    """Shape of a mark; both leave the pixel that they mark free."""

    RING = "ring"
    CROSS = "cross"


class NameMode(StrEnum):
    """Landmarks whose names are written."""

    ALL = "all"
    CURRENT = "current"
    NONE = "none"


MAGNIFICATIONS = (0, 4, 8)
"""Magnifications of the loupe on offer, in pixels of the screen for a pixel of the image; 0 switches it off."""


class MarkOptions:
    """Options of one viewer.

    Attributes
    ----------
    shape : MarkShape
    names : NameMode
    magnification : int
        One of `MAGNIFICATIONS`.
    template_shown : bool
        Whether the surroundings of the current landmark in the template are shown beside the image.
    """

    changed = Signal()
    """One of the attributes changed."""

    def __init__(self) -> None:
        self.shape = MarkShape.RING
        self.names = NameMode.ALL
        self.magnification = 4
        self.template_shown = True

    def set(
        self,
        *,
        shape: MarkShape | None = None,
        names: NameMode | None = None,
        magnification: int | None = None,
        template_shown: bool | None = None,
    ) -> None:
        """Change the options that are given; ValueError for a magnification that is not on offer."""
        if magnification is not None and magnification not in MAGNIFICATIONS:
            raise ValueError(f"a magnification of {magnification}, expected one of {MAGNIFICATIONS}")
        before = self._values()
        if shape is not None:
            self.shape = MarkShape(shape)
        if names is not None:
            self.names = NameMode(names)
        if magnification is not None:
            self.magnification = magnification
        if template_shown is not None:
            self.template_shown = template_shown
        if self._values() != before:
            self.changed.emit()

    def next_names(self) -> None:
        """Write the names of all landmarks, of the current one, or none, in turn."""
        modes = list(NameMode)
        self.set(names=modes[(modes.index(self.names) + 1) % len(modes)])

    def next_magnification(self) -> None:
        """Magnify more, or not at all after the most."""
        number = MAGNIFICATIONS.index(self.magnification)
        self.set(magnification=MAGNIFICATIONS[(number + 1) % len(MAGNIFICATIONS)])

    def _values(self) -> tuple[object, ...]:
        return self.shape, self.names, self.magnification, self.template_shown
