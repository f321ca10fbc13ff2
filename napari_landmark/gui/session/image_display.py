"""Intensities that are shown as black and white, and the threshold of surfaces, for all views of the current image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_landmark.data.images.display import display_range, scale_to_unit
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.images.surface import surface_threshold
from napari_landmark.data.images.window import CT_WINDOWS, looks_like_hounsfield, modality

AUTOMATIC = "Automatic"
PARTS = {"Whole range": (0.0, 100.0), "Dark parts": (0.1, 60.0), "Bright parts": (40.0, 99.9)}
"""Windows of images that are no CT, by name: percentiles of their intensities."""
_LEAST_WIDTH = 1e-6  # of the automatic window
GAMMAS = (0.2, 5.0)
"""Least and largest gamma."""
ADJUSTED = "As adjusted"


class ImageDisplay:
    """Window and level of the current image.

    In CT, whose values mean the same in every image, limits that were adjusted stay for the next ones; elsewhere a
    chosen window does, whose limits follow from the intensities of each image.

    Attributes
    ----------
    window : str
        `AUTOMATIC`, a name of `CT_WINDOWS`, or `ADJUSTED`.
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
        self._array: NDArray = np.zeros((1, 1))
        self._has_own_threshold = False

    @property
    def windows(self) -> tuple[str, ...]:
        """Names of the windows on offer."""
        return (AUTOMATIC, *(CT_WINDOWS if self.is_ct else PARTS))

    def show_image(self, image: MedicalImage, path: Path) -> None:
        """Take the intensities of another image, whose file is at a path."""
        was_ct = self.is_ct
        self._automatic = display_range(image.array)
        known = modality(path) if image.array.ndim == 3 else ""
        self.is_ct = image.array.ndim == 3 and (
            known == "CT" if known else looks_like_hounsfield(image.array)
        )
        self._array = image.array
        if not (was_ct and self.is_ct):
            self._has_own_threshold = False
            if self.window == ADJUSTED or self.window not in self.windows:
                self.window = AUTOMATIC
        if image.array.ndim == 3 and not self._has_own_threshold:
            self.threshold = surface_threshold(image.array)
        if self.window != ADJUSTED:
            self._take_window()
        self.changed.emit()

    def choose(self, window: str) -> None:
        """Choose one of the windows on offer; ValueError for another one."""
        if window not in self.windows:
            raise ValueError(f"{window!r} is not on offer")
        self.window = window
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

    def _take_window(self) -> None:
        if self.window in PARTS:
            self.limits = display_range(self._array, percentiles=PARTS[self.window])
        else:
            chosen = CT_WINDOWS.get(self.window)
            self.limits = self._automatic if chosen is None else chosen.limits
