"""Description of a landmark file format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet


class Reader(Protocol):
    """Function that reads the landmarks of one image or many from one file."""

    def __call__(
        self,
        path: str | Path,
        *,
        schema: LandmarkSchema | None = None,
        geometries: Mapping[str, Geometry] | None = None,
    ) -> dict[str, LandmarkSet]:
        """Landmarks by name of the image, in the order of the file.

        Raises
        ------
        InputError
            With the file and the line.
        """


class Writer(Protocol):
    """Function that writes the landmarks of one image or many to one file, whole or not at all."""

    def __call__(
        self,
        path: str | Path,
        sets: Mapping[str, LandmarkSet],
        *,
        geometries: Mapping[str, Geometry] | None = None,
    ) -> None:
        """Write the file.

        Raises
        ------
        InputError
            With the file, or the image and landmark that the format cannot hold.
        """


class Note(Protocol):
    """Function that tells what a user should know of a written file."""

    def __call__(
        self,
        sets: Mapping[str, LandmarkSet],
        *,
        geometries: Mapping[str, Geometry] | None = None,
    ) -> str:
        """One line; empty where there is nothing to tell."""


class Unit(StrEnum):
    """Unit of the coordinates in a file."""

    PIXELS = "px"
    """Index coordinates."""
    MILLIMETRES = "mm"
    """World coordinates."""


@dataclass(frozen=True, kw_only=True)
class LandmarkFormat:
    """Landmark file format with its reader and writer.

    Parameters
    ----------
    title : str
        Name in menus, such as 'Slicer markups'.
    suffixes : tuple of str
        Ends of file names in lower case, with the dot. The first is the one that is written.
    unit : Unit
        Unit of the coordinates in the file.
    one_image : bool
        Whether a file holds one image only.
    read : Reader, optional
        None for a format that can only be written.
    write : Writer, optional
        None for a format that can only be read.
    reading_needs_images, writing_needs_images : bool
        Whether the geometries of the images are required.
    program : str
        Program or convention to name beside a suffix that others use, too, such as 'COCO'.
    has_names : bool
        Whether the file holds the names of the landmarks.
    recognizes_content : callable, optional
        Whether an existing file has this format. It replaces the suffix for reading; built-in formats only.
    recognizes_name : callable, optional
        Whether a file of this name is written in this format, besides the suffixes; built-in formats only.
    note : callable, optional
        What a user should know of a written file, such as that it has pixels and no scale.
    """

    title: str
    suffixes: tuple[str, ...]
    unit: Unit = Unit.PIXELS
    one_image: bool = False
    read: Reader | None = None
    write: Writer | None = None
    reading_needs_images: bool = False
    writing_needs_images: bool = False
    program: str = ""
    has_names: bool = True
    recognizes_content: Callable[[str | Path], bool] | None = None
    recognizes_name: Callable[[str | Path], bool] | None = None
    note: Note | None = None

    @property
    def suffix(self) -> str:
        """The suffix that is written."""
        return self.suffixes[0]
