"""List the images of a folder, and the reason for each skipped file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.composed_name import composed_name
from napari_landmark.data.images import dicom_series
from napari_landmark.data.images.dicom_series import series_files
from napari_landmark.data.images.image import looks_like_image
from napari_landmark.data.images.itk_header import separate_pixels

# Files that belong beside images: landmarks, notes, pixels of two-file formats, files of file managers.
_COMPANION_SUFFIXES = (
    ".csv", ".tsv", ".json", ".tps", ".fcsv", ".xml", ".md", ".raw", ".zraw", ".img", ".hdr", ".lnk"
)  # fmt: skip
_COMPANION_NAMES = ("thumbs.db", "desktop.ini", "dicomdir")

ExtraImages = Sequence[str | Path] | Mapping[Path, str]
"""Images of a cohort outside its folder; or their names by path, empty for one that has none yet."""


@dataclass(frozen=True)
class SkippedFile:
    """A file that cannot be used, and the reason in one line without the file's name."""

    name: str
    reason: str


def natural_order(name: str) -> tuple[list[str | int], str]:
    """Key of sorting by which 'image2' is before 'image10'."""
    parts: list[str | int] = list(re.split(r"([0-9]+)", name.casefold()))
    parts[1::2] = [int(digits) for digits in parts[1::2]]
    return parts, name


def image_files(folder: str | Path) -> tuple[list[tuple[str, Path]], list[SkippedFile]]:
    """List names and paths of the images in a folder, in natural order, and the other files as skipped.

    Headers are not read: a file that looks like an image may still be unreadable.
    """
    images, skipped_files = [], []
    for name, path in list_files(Path(folder), ()):
        if path.is_file() and not looks_like_image(path):
            skipped_files.append(SkippedFile(name, "is not an image: move it out of the folder"))
        else:
            images.append((name, path))
    return images, skipped_files


def list_files(folder: Path, extra: ExtraImages) -> list[tuple[str, Path]]:
    """List names and paths of the files that may be images, in natural order, those of `extra` last.

    The letters of the names are composed (Unicode NFC), whatever the file system gives. Images of `extra` that have a
    name keep it, whatever comes into the folder or leaves it: landmarks belong to names.

    Raises
    ------
    InputError
        There is no such folder, it cannot be read, two names differ only in how their letters are composed, or a file
        of the folder has the name of an image of `extra`.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: {'is not a folder' if folder.exists() else 'there is no such folder'}")
    try:
        paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from error
    files: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: natural_order(composed_name(path.name))):
        if not _may_be_image(path):
            continue
        name = composed_name(path.name)
        if name in files:
            raise InputError(
                f"{folder}: holds two images called {name}, with composed and with decomposed letters: rename one"
            )
        files[name] = path
    known = {resolved(path) for path in files.values()}
    names = dict(extra) if isinstance(extra, Mapping) else dict.fromkeys(map(Path, extra), "")
    taken = {composed_name(name) for name in names.values() if name}
    for path, given in names.items():
        if resolved(path) in known:
            continue
        name = composed_name(given)
        if name and name in files:
            if not path.exists():  # it was moved into the folder
                continue
            raise InputError(f"{files[name]}: has the name of another image of the study, {path}: rename it")
        known.add(resolved(path))
        if name:
            files[name] = path
            continue
        name, parent = composed_name(path.name), resolved(path).parent
        while (
            name in files or name in taken
        ):  # another image of that name: with as many of its folders as are needed
            name, parent = f"{composed_name(parent.name) or '_'}/{name}", parent.parent
        files[name] = path
    return list(files.items())


def _may_be_image(path: Path) -> bool:
    name = path.name.lower()
    if name.endswith(_COMPANION_SUFFIXES) or name in _COMPANION_NAMES:
        return False
    return path.is_file() or (path.is_symlink() and not path.exists()) or dicom_series.accepts(path)


def files_of_image(path: Path) -> list[Path]:
    """All files of an image: itself and the file of its pixels, or the slices of a series, sorted by name."""
    pixels = separate_pixels(path)
    return series_files(path) if pixels is None else [path, pixels]


def file_state(path: Path) -> tuple[int, int]:
    """Size and time of the last change in ns of an image; OSError where it is gone.

    Of several files the size of all together, and a number that changes with the name, size or time of any.
    """
    files = [(file, file.stat()) for file in files_of_image(path)]
    total = sum(stat.st_size for _, stat in files)
    if [file for file, _ in files] == [path]:
        return total, files[0][1].st_mtime_ns
    listed = "".join(f"{file.name}\0{stat.st_size}\0{stat.st_mtime_ns}\n" for file, stat in files)
    return total, int.from_bytes(hashlib.sha256(listed.encode("utf-8", "surrogateescape")).digest()[:6])


def resolved(path: Path) -> Path:
    """The path without symbolic links; a link to itself as it is."""
    try:
        return path.resolve()
    except (RuntimeError, OSError):  # a link to itself
        return path.absolute()


def without_path(message: str, path: Path) -> str:
    """Remove the file's name from the start of a message about it."""
    return message.removeprefix(f"{path}: ")
