"""List the images of a folder, read their headers, and give the reason for each skipped file."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.composed_name import composed_name
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images import dicom_series
from napari_landmark.data.images.dicom_series import series_files
from napari_landmark.data.images.image import looks_like_image, read_geometry
from napari_landmark.progress import CancelToken

# Files that belong beside images: landmarks, notes, pixels of two-file formats, files of file managers.
_COMPANION_SUFFIXES = (
    ".csv", ".tsv", ".json", ".tps", ".fcsv", ".xml", ".md", ".raw", ".zraw", ".img", ".hdr", ".lnk"
)  # fmt: skip
_COMPANION_NAMES = ("thumbs.db", "desktop.ini", "dicomdir")


@dataclass(frozen=True)
class SkippedFile:
    """A file that cannot be used, and the reason in one line without the file's name."""

    name: str
    reason: str


@dataclass(frozen=True)
class ImageFile:
    """An image file whose header could be read."""

    name: str
    path: Path
    geometry: Geometry
    state: tuple[int, int]  # size and time of change in ns, taken before anything was read


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


def list_files(folder: Path, extra: Sequence[str | Path]) -> list[tuple[str, Path]]:
    """List names and paths of the files that may be images, in natural order, those of `extra` last.

    The letters of the names are composed (Unicode NFC), whatever the file system gives.

    Raises
    ------
    InputError
        There is no such folder, it cannot be read, or two names differ only in how their letters are composed.
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
    for path in map(Path, extra):
        if resolved(path) in known:
            continue
        known.add(resolved(path))
        name, parent = composed_name(path.name), resolved(path).parent
        while name in files:  # another image of that name: with as many of its folders as are needed
            name, parent = f"{composed_name(parent.name) or '_'}/{name}", parent.parent
        files[name] = path
    return list(files.items())


def _may_be_image(path: Path) -> bool:
    name = path.name.lower()
    if name.endswith(_COMPANION_SUFFIXES) or name in _COMPANION_NAMES:
        return False
    return path.is_file() or (path.is_symlink() and not path.exists()) or dicom_series.accepts(path)


def file_state(path: Path) -> tuple[int, int]:
    """Size and time of the last change in ns of an image, of all its files together; OSError where it is gone."""
    stats = [file.stat() for file in series_files(path)]
    return sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)


def fingerprint(files: Sequence[tuple[str, Path]]) -> str:
    """SHA-256 over names and contents of images: the same for the same data, in any folder."""
    total = hashlib.sha256()
    for name, path in sorted(files):
        for file in series_files(path):
            own = name if file == path else f"{name}/{file.name}"
            with file.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            total.update(f"{own}\0{file.stat().st_size}\0{content}\n".encode())
    return total.hexdigest()


def resolved(path: Path) -> Path:
    """The path without symbolic links; a link to itself as it is."""
    try:
        return path.resolve()
    except (RuntimeError, OSError):  # a link to itself
        return path.absolute()


def read_headers(
    files: Sequence[tuple[str, Path]],
    spacing: float | Sequence[float] | None,
    *,
    cancel: CancelToken | None = None,
) -> tuple[list[ImageFile], list[SkippedFile]]:
    """Read the header of every file; those that are no images or cannot be used become skipped files.

    Raises `Cancelled` where `cancel` is set meanwhile.
    """
    entries, skipped_files = [], []
    for name, path in files:
        if cancel is not None:
            cancel.raise_if_cancelled()
        try:
            name.encode()
        except UnicodeEncodeError:
            readable = name.encode("utf-8", "backslashreplace").decode()
            skipped_files.append(
                SkippedFile(readable, "has a name that is not valid text (UTF-8): rename it")
            )
            continue
        try:
            if path.is_file() and not looks_like_image(path):
                raise InputError("is not an image: move it out of the folder")
            if not name.isprintable():
                raise InputError("has a name with a line end or another control sign in it: rename it")
            state = file_state(path)
            geometry = read_geometry(path, spacing=spacing)
            entries.append(ImageFile(name, path, geometry, state))
        except InputError as error:
            skipped_files.append(SkippedFile(name, without_path(str(error), path)))
        except OSError as error:
            skipped_files.append(SkippedFile(name, f"cannot be read ({error.strerror or error})"))
    return entries, skipped_files


def of_one_kind(entries: list[ImageFile]) -> tuple[list[ImageFile], list[SkippedFile]]:
    """Split into the pictures or the volumes, whichever are more, and the others as skipped files."""
    counts = Counter(entry.geometry.ndim for entry in entries)
    if len(counts) < 2:
        return entries, []
    ndim = 3 if counts[3] > counts[2] else 2
    reason = f"is a {'volume' if ndim == 2 else 'picture'} among {'pictures' if ndim == 2 else 'volumes'}"
    kept = [entry for entry in entries if entry.geometry.ndim == ndim]
    others = [entry for entry in entries if entry.geometry.ndim != ndim]
    return kept, [SkippedFile(entry.name, f"{reason}: move it to another folder") for entry in others]


def without_path(message: str, path: Path) -> str:
    """Remove the file's name from the start of a message about it."""
    return message.removeprefix(f"{path}: ")
