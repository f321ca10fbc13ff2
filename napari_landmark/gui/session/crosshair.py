"""Position in the current volume at which its three planes cross."""

from __future__ import annotations

from collections.abc import Sequence

from psygnal import Signal

from napari_landmark.data.geometry import Geometry


class Crosshair:
    """Position that all views of a volume share.

    Attributes
    ----------
    position : tuple of float
        Index coordinates [z, y, x] in the current volume; empty where the current image is none.
    """

    moved = Signal(bool)
    """The position changed; whether views are to be centred on it, as for a landmark that was gone to."""

    def __init__(self) -> None:
        self.position: tuple[float, ...] = ()
        self._shape: tuple[int, ...] = ()

    def show_image(self, geometry: Geometry, position: Sequence[float] | None = None) -> None:
        """Go to a position of another image, by default to its middle; a picture has none. Emits nothing."""
        self._shape = geometry.shape if geometry.ndim == 3 else ()
        middle = [(length - 1) / 2 for length in self._shape]
        self.position = self._inside(middle if position is None else position)

    def move_to(self, position: Sequence[float], *, centre: bool = False) -> None:
        """Move to a position, or to the nearest one on the volume.

        Parameters
        ----------
        position : sequence of float
        centre : bool, optional
            Whether views are centred on it.
        """
        inside = self._inside(position)
        if self._shape and (centre or inside != self.position):
            self.position = inside
            self.moved.emit(centre)

    @property
    def indices(self) -> tuple[int, ...]:
        """Numbers of the slices that show the position."""
        return tuple(
            min(max(int(value + 0.5), 0), length - 1)
            for value, length in zip(self.position, self._shape, strict=True)
        )

    def _inside(self, position: Sequence[float]) -> tuple[float, ...]:
        if not self._shape:
            return ()
        return tuple(
            min(max(float(value), 0.0), length - 1.0)
            for value, length in zip(position, self._shape, strict=True)
        )
