"""Geometries of a folder's images, each read from its header on first access."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import read_geometry


class FolderGeometries(Mapping[str, Geometry]):
    """Geometries by the names of the images of a folder, without its sub-folders and hidden files.

    Parameters
    ----------
    folder : str or Path
        The folder.
    spacing : float or sequence of float, optional
        Millimetres per pixel of all images, used instead of what the files say.

    Raises
    ------
    InputError
        Where there is no such folder; on access, where an image cannot be read.

    Examples
    --------
    >>> FolderGeometries("images")["hand_000.png"].shape  # doctest: +SKIP
    (1200, 968)
    """

    def __init__(self, folder: str | Path, *, spacing: float | Sequence[float] | None = None) -> None:
        self._spacing = spacing
        self._paths = dict(image_files(folder)[0])
        self._known: dict[str, Geometry] = {}

    def __getitem__(self, name: str) -> Geometry:
        if name not in self._known:
            self._known[name] = read_geometry(self._paths[name], spacing=self._spacing)
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in self._paths  # without reading the file

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)
