"""Intensities that are shown as black and white, and the threshold of surfaces, for all views of the current image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_landmark.data.images.display import display_range, scale_to_unit
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.images.surface import surface_threshold
from napari_landmark.data.images.window import (
    CT_WINDOWS,
    Window,
    looks_like_hounsfield,
    modality,
    stated_window,
)

AUTOMATIC = "Automatic"
FROM_FILE = "As in the file"
PARTS = {"Whole range": (0.0, 100.0), "Dark parts": (0.1, 60.0), "Bright parts": (40.0, 99.9)}
"""Windows of images that are no CT, by name: percentiles of their intensities."""
_LEAST_SHOWN = 0.2  # of the automatic window
_LEAST_WIDTH = 1e-6  # of the automatic window
GAMMAS = (0.2, 5.0)
"""Least and largest gamma."""
ADJUSTED = "As adjusted"


class ImageDisplay:
    """Window and level of the current image.

    The window that a DICOM picture states comes first, until another one is chosen. In CT, whose values mean the same
    in every image, limits that were adjusted stay for the next ones; elsewhere a chosen window does, whose limits
    follow from the intensities of each image.

    Attributes
    ----------
    window : str
        `AUTOMATIC`, `FROM_FILE`, a name of `CT_WINDOWS` or `PARTS`, or `ADJUSTED`.
    limits : (float, float)
        Intensities shown as black and as white.
    threshold : float
        Intensity from which on a rendering shows a surface.
    is_ct : bool
        Whether the intensities are taken for Hounsfield units.
    inverted : bool
        Whether black and white are exchanged.
    gamma : float
        Exponent of the share of white; below 1 shows dark parts brighter.
    local_contrast : bool
        Whether contrast is equalized locally, in pictures alone. What is measured and learned stays the image.
    """

    changed = Signal()
    """One of the attributes changed."""

    def __init__(self) -> None:
        self.window = AUTOMATIC
        self.limits = (0.0, 1.0)
        self.threshold = 0.5
        self.is_ct = False
        self.inverted, self.gamma, self.local_contrast = False, 1.0, False
        self._automatic = (0.0, 1.0)
        self._stated: Window | None = None  # of the file
        self._wants_stated = True
        self._array: NDArray = np.zeros((1, 1))
        self._has_own_threshold = False

    @property
    def windows(self) -> tuple[str, ...]:
        """Names of the windows on offer."""
        stated = () if self._stated is None else (FROM_FILE,)
        return (*stated, AUTOMATIC, *(CT_WINDOWS if self.is_ct else PARTS))

    def show_image(self, image: MedicalImage, path: Path) -> None:
        """Take the intensities of another image, whose file is at a path."""
        was_ct = self.is_ct
        self._automatic = display_range(image.array)
        known = modality(path) if image.array.ndim == 3 else ""
        self.is_ct = image.array.ndim == 3 and (
            known == "CT" if known else looks_like_hounsfield(image.array)
        )
        self._array = image.array
        self._stated = self._usable(stated_window(path)) if image.array.ndim == 2 else None
        if not (was_ct and self.is_ct):
            self._has_own_threshold = False
            if self.window == ADJUSTED or self.window not in self.windows:
                self.window = AUTOMATIC
        if self.window == AUTOMATIC and self._wants_stated and self._stated is not None:
            self.window = FROM_FILE
        if image.array.ndim == 3 and not self._has_own_threshold:
            self.threshold = surface_threshold(image.array)
        if self.window != ADJUSTED:
            self._take_window()
        self.changed.emit()

    def choose(self, window: str) -> None:
        """Choose one of the windows on offer; ValueError for another one."""
        if window not in self.windows:
            raise ValueError(f"{window!r} is not on offer")
        self.window, self._wants_stated = window, window == FROM_FILE
        self._take_window()
        self.changed.emit()

    def adjust(self, low: float, high: float) -> None:
        """Show other intensities as black and as white; nothing happens where white is not above black."""
        if low < high and (low, high) != self.limits:
            self.window, self.limits = ADJUSTED, (float(low), float(high))
            self.changed.emit()

    def adjust_by(self, wider: float, brighter: float) -> None:
        """Change the window by shares of its width: how much wider, and by how much of it brighter."""
        low, high = self.limits
        width = max(
            (high - low) * (1 + max(wider, -0.5)), _LEAST_WIDTH * (self._automatic[1] - self._automatic[0])
        )
        level = (low + high) / 2 - brighter * (high - low)
        self.adjust(level - width / 2, level + width / 2)

    def set_look(
        self, *, inverted: bool | None = None, gamma: float | None = None, local_contrast: bool | None = None
    ) -> None:
        """Change those of `inverted`, `gamma` and `local_contrast` that are given; they stay for the next images."""
        before = self.inverted, self.gamma, self.local_contrast
        if inverted is not None:
            self.inverted = inverted
        if gamma is not None:
            self.gamma = min(max(float(gamma), GAMMAS[0]), GAMMAS[1])
        if local_contrast is not None:
            self.local_contrast = local_contrast
        if (self.inverted, self.gamma, self.local_contrast) != before:
            self.changed.emit()

    def grey(self, array: NDArray, limits: tuple[float, float] | None = None) -> NDArray[np.uint8]:
        """Greys 0 to 255 of intensities, as they are shown; with other limits, such as those of another image."""
        shown = scale_to_unit(array, self.limits if limits is None else limits)
        if self.gamma != 1:
            shown = shown**self.gamma
        if self.inverted:
            shown = 1 - shown
        return (255 * shown + 0.5).astype(np.uint8)

    def set_threshold(self, threshold: float) -> None:
        """Set the intensity of surfaces."""
        self._has_own_threshold = True
        if threshold != self.threshold:
            self.threshold = float(threshold)
            self.changed.emit()

    def _usable(self, stated: Window | None) -> Window | None:
        """The window of a file, where it shows a good part of the intensities: many files state a wrong one."""
        if stated is None:
            return None
        (low, high), (black, white) = stated.limits, self._automatic
        shown = min(high, white) - max(low, black)
        return stated if shown >= _LEAST_SHOWN * (white - black) else None

    def _take_window(self) -> None:
        if self.window == FROM_FILE and self._stated is not None:
            self.limits = self._stated.limits
        elif self.window in PARTS:
            self.limits = display_range(self._array, percentiles=PARTS[self.window])
        else:
            chosen = CT_WINDOWS.get(self.window)
            self.limits = self._automatic if chosen is None else chosen.limits
