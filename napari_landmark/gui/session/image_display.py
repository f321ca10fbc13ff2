"""Intensities that are shown as black and white, and the threshold of surfaces, for all views of the current image."""

from __future__ import annotations

from pathlib import Path

from psygnal import Signal

from napari_landmark.data.images.display import display_range
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.images.surface import surface_threshold
from napari_landmark.data.images.window import CT_WINDOWS, looks_like_hounsfield, modality

AUTOMATIC = "Automatic"
ADJUSTED = "As adjusted"


class ImageDisplay:
    """Window and level of the current image.

    In CT, whose values mean the same in every image, what was chosen stays for the next ones.

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
    """

    changed = Signal()
    """One of the attributes changed."""

    def __init__(self) -> None:
        self.window = AUTOMATIC
        self.limits = (0.0, 1.0)
        self.threshold = 0.5
        self.is_ct = False
        self._automatic = (0.0, 1.0)
        self._has_own_threshold = False

    @property
    def windows(self) -> tuple[str, ...]:
        """Names of the windows on offer."""
        return (AUTOMATIC, *(CT_WINDOWS if self.is_ct else ()))

    def show_image(self, image: MedicalImage, path: Path) -> None:
        """Take the intensities of another image, whose file is at a path."""
        was_ct = self.is_ct
        self._automatic = display_range(image.array)
        known = modality(path) if image.array.ndim == 3 else ""
        self.is_ct = image.array.ndim == 3 and (
            known == "CT" if known else looks_like_hounsfield(image.array)
        )
        if not (was_ct and self.is_ct):
            self._has_own_threshold = False
            if self.window == ADJUSTED or not self.is_ct:
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

    def set_threshold(self, threshold: float) -> None:
        """Set the intensity of surfaces."""
        self._has_own_threshold = True
        if threshold != self.threshold:
            self.threshold = float(threshold)
            self.changed.emit()

    def _take_window(self) -> None:
        chosen = CT_WINDOWS.get(self.window)
        self.limits = self._automatic if chosen is None else chosen.limits
