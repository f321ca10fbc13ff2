"""Read the headers of the images of a cohort, and give the reason for each skipped file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from napari_landmark.data.cohort.folder import SkippedFile, file_state, without_path
from napari_landmark.data.cohort.header_cache import HeaderCache
from napari_landmark.data.cohort.in_threads import in_threads
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import looks_like_image, read_geometry
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

STAGE = "reading headers"
_THREADS = 8  # mostly waiting for the disk


@dataclass(frozen=True)
class ImageFile:
    """An image file whose header could be read."""

    name: str
    path: Path
    geometry: Geometry
    state: tuple[int, int]  # see `file_state`, taken before anything was read


def read_headers(
    files: Sequence[tuple[str, Path]],
    spacing: float | Sequence[float] | None,
    *,
    cache: HeaderCache | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> tuple[list[ImageFile], list[SkippedFile]]:
    """Read the header of every file; those that are no images or cannot be used become skipped files.

    Parameters
    ----------
    files : sequence of (str, Path)
        Names and paths; both results are in this order.
    spacing : float or sequence of float, optional
        Millimetres per pixel of all images, used instead of what the files say.
    cache : HeaderCache, optional
        Headers of files that did not change are taken from it, the others are added to it.
    progress : callable, optional
        Called with events of the stage "reading headers".
    cancel : CancelToken, optional

    Raises
    ------
    Cancelled
        `cancel` was set; the headers read so far are in the cache.
    """

    def read(item: tuple[str, Path]) -> ImageFile | SkippedFile:
        return _read(*item, spacing, cache)

    found: list[ImageFile | SkippedFile] = []
    try:
        with closing(in_threads(read, files, threads=_THREADS)) as results:
            for _, future in results:
                if cancel is not None:
                    cancel.raise_if_cancelled()
                found.append(future.result())
                if progress is not None:
                    progress(ProgressEvent(STAGE, len(found) / len(files), step=len(found)))
    finally:
        if cache is not None:
            cache.save(complete=len(found) == len(files))
    images = [entry for entry in found if isinstance(entry, ImageFile)]
    return images, [entry for entry in found if isinstance(entry, SkippedFile)]


def _read(
    name: str, path: Path, spacing: float | Sequence[float] | None, cache: HeaderCache | None
) -> ImageFile | SkippedFile:
    try:
        name.encode()
    except UnicodeEncodeError:
        readable = name.encode("utf-8", "backslashreplace").decode()
        return SkippedFile(readable, "has a name that is not valid text (UTF-8): rename it")
    try:
        if not name.isprintable():
            raise InputError("has a name with a line end or another control sign in it: rename it")
        state = file_state(path)
        geometry = None if cache is None else cache.find(name, path, state)
        if geometry is None:
            if path.is_file() and not looks_like_image(path):
                raise InputError("is not an image: move it out of the folder")
            geometry = read_geometry(path)
            if cache is not None:
                cache.keep(name, path, state, geometry)
        return ImageFile(name, path, geometry if spacing is None else geometry.with_spacing(spacing), state)
    except InputError as error:
        return SkippedFile(name, without_path(str(error), path))
    except OSError as error:
        return SkippedFile(name, f"cannot be read ({error.strerror or error})")


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
