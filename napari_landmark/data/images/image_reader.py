"""Interface of the image readers."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from numpy.typing import NDArray

from napari_landmark.data.geometry import Geometry

HAS_COLOURS = "has colours, not labels: export the label map with one number for every region"
"""Message of the error for a label map that is a picture in colours."""
IS_LOSSY = "is a JPEG, which blurs the borders of labels: export the label map as PNG or NIfTI"
"""Message of the error for a label map that is packed with loss."""


class ImageReader(Protocol):
    """Reader of one kind of image file; a module of this package with these five names is one.

    Each call opens the file and parses its header once. Readers import the library that they read with when they
    are called, so that listing a folder does not load all of them.

    Attributes
    ----------
    SUFFIXES : tuple of str
        Ends of the names of its files, in lower case with the dot; empty for a reader of folders.
    """

    SUFFIXES: tuple[str, ...]

    def accepts(self, path: Path) -> bool:
        """Whether a path is an existing file (or folder) of this kind, by its name or first bytes; never raises."""
        ...

    def read_header(self, path: Path) -> Geometry:
        """Geometry of the image, without decoding its pixels.

        Raises
        ------
        InputError
            Without the file's name, where the file is damaged, too large for this machine or not one image.
        """
        ...

    def read_pixels(self, path: Path) -> tuple[NDArray, Geometry]:
        """Luminance [y, x] or [z, y, x] in native byte order, and the geometry that `read_header` gives.

        Raises
        ------
        InputError
            As `read_header`.
        MemoryError
            Where the pixels do not fit into the memory that is free.
        """
        ...

    def read_labels(self, path: Path) -> tuple[NDArray, Geometry]:
        """Values of a label map as stored, and its geometry: indices of a palette, no colours turned into luminance.

        Raises
        ------
        InputError
            As `read_header`, and where the pixels are colours or packed with loss.
        MemoryError
            As `read_pixels`.
        """
        ...


def is_file_named(path: Path, suffixes: tuple[str, ...]) -> bool:
    """Whether a path is an existing file whose name ends in one of the suffixes, in any case."""
    return path.name.lower().endswith(suffixes) and path.is_file()
