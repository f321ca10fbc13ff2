"""Cache of a cohort's images on the working grid, in one memory-mapped file."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.cohort.cache_location import local_cache_dir
from napari_landmark.data.cohort.cache_use import CacheUse, is_used
from napari_landmark.data.cohort.in_threads import in_threads
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.files.file_lock import LockHeldError, acquire_lock
from napari_landmark.data.files.small_file import read_small_text
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

logger = logging.getLogger(__name__)

_STAGE = "reading images"
WAITING = "waiting for another program"
_VERSION = 1
INDEX = "index.json"
HEADERS = "headers.json"
_SECONDS_BETWEEN_INDICES = 5.0
_SECONDS_BETWEEN_ATTEMPTS = 0.2
_SECONDS_UNTIL_LEFTOVER = (
    600  # of a lock on a file system without locks, whose holder writes no index any more
)


class WorkingCache:
    """Resampled images in half precision, one row each, in one .npy file with an index beside it.

    The index holds the key of each finished row: the state of the image that it was made from. A row is listed
    only after it was written, so that listed rows are right whenever the work stops. A listed row is never written
    again: when the list of images or one of them changes, there is a new file, into which the rows that are still
    right are copied. So a training goes on with the images it began with, and two programs that use one cache
    never write different content to one row. One program builds at a time, the others wait for it and use its rows;
    a file that a program has open is not removed.

    Parameters
    ----------
    folder : Path
        Folder of the files; made when something has to be written.
    names : sequence of str
        Names of the rows.
    keys : sequence of str
        Digest of everything that each row depends on.
    canvas : tuple of int
        Shape of a row: of the working grid.
    source : Path, optional
        Folder of the images, kept in the index for those who list the caches.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        keys: Sequence[str],
        canvas: tuple[int, ...],
        *,
        source: Path | None = None,
    ) -> None:
        self._folder = folder
        self._source = source
        self._names = list(names)
        self._keys = list(keys)
        self._canvas = canvas
        self._file: Path | None = None
        self._rows: NDArray[np.float16] | None = None
        self._use: CacheUse | None = None
        self._unmapped: list[Path] = []

    def __getstate__(self) -> dict[str, Any]:
        # Sent to another process the mapping would travel as a copy of everything.
        return {**self.__dict__, "_rows": None, "_use": None}

    @property
    def folder(self) -> Path:
        """Folder of the files."""
        return self._folder

    def row(self, number: int) -> NDArray[np.float32]:
        """One image on the working grid; a copy."""
        return self.part(number, ())

    def part(self, number: int, box: tuple[slice, ...]) -> NDArray[np.float32]:
        """Part of one image; only this part is read; a copy."""
        if self._rows is None:
            self._rows = self._open_rows()
        return np.array(self._rows[number][box], dtype=np.float32)

    def build(
        self,
        draw: Callable[[int], NDArray[np.floating]],
        *,
        threads: int = 1,
        progress: Progress | None = None,
        cancel: CancelToken | None = None,
    ) -> dict[int, str]:
        """Make the missing rows.

        Parameters
        ----------
        draw : callable
            Gives the row of a number; called from several threads. An InputError or OSError from it is noted
            and the other rows go on.
        threads : int
            That draw at the same time.
        progress : callable, optional
            Called after every row, and where another program must be waited for; an exception from it ends the work,
            and the rows made so far are kept.
        cancel : CancelToken, optional
            Ends the work after the current rows, which are kept.

        Returns
        -------
        dict of int to str
            Reasons of the rows that could not be made.

        Raises
        ------
        Cancelled
            Where `cancel` was set before all rows were made.
        InputError
            Where the folder cannot be written, or too little disk space is free.
        """

        def report(done: int) -> None:
            if progress is not None:
                total = max(1, len(self._names))
                progress(ProgressEvent(_STAGE, done / total, step=done))

        def build() -> dict[int, str]:
            with self._alone(progress, cancel):
                failures = self._build(draw, threads, report, cancel)
                # Opened and marked here and kept: another list of images removes no file that is in use.
                self._rows = self._open_rows()
                if self._file is not None:
                    self._use = CacheUse(self._file)
                return failures

        try:
            try:
                return build()
            except OSError as error:
                if error.errno != errno.ENODEV:
                    raise
                self._move_to_local_folder()
                return build()
        except OSError as error:
            raise InputError(
                f"{self._folder}: the image cache cannot be written ({error.strerror or error}); "
                "name a writable folder in the environment variable NAPARI_LANDMARK_CACHE"
            ) from error

    @contextmanager
    def _alone(self, progress: Progress | None, cancel: CancelToken | None) -> Iterator[None]:
        """Hold the lock on building this cache; another program that holds it is waited for."""
        file, lock = lock_of_cache(self._folder), None
        try:
            while lock is None:
                try:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    lock = acquire_lock(file)
                except LockHeldError as error:
                    if self._is_leftover(error.leftover):
                        break
                    if progress is not None:
                        progress(ProgressEvent(WAITING, 0.0))
                    if cancel is not None:
                        cancel.raise_if_cancelled()
                    time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
                except OSError:  # a finished cache may be on a disk that cannot be written
                    break
            yield
        finally:
            if lock is not None:
                lock.release()

    def _is_leftover(self, soft_lock: Path | None) -> bool:
        """Whether nobody has worked under a lock that is only a file for long."""
        if soft_lock is None:
            return False
        times = [0.0]
        for path in (soft_lock, self._folder / INDEX):
            with contextlib.suppress(OSError):
                times.append(path.stat().st_mtime)
        return time.time() - max(times) > _SECONDS_UNTIL_LEFTOVER

    def _move_to_local_folder(self) -> None:
        """Give up a folder whose file system has no memory maps."""
        for path in self._unmapped:
            with contextlib.suppress(OSError):
                path.unlink()
        folder = local_cache_dir() / self._folder.name
        logger.warning(
            "%s: its file system has no memory maps; the image cache is in %s", self._folder, folder
        )
        self._folder = folder

    def _open_rows(self) -> NDArray[np.float16]:
        if self._file is None:
            raise RuntimeError("the cache was not built")
        return np.load(self._file, mmap_mode="r")

    def _build(
        self,
        draw: Callable[[int], NDArray[np.floating]],
        threads: int,
        report: Callable[[int], None],
        cancel: CancelToken | None,
    ) -> dict[int, str]:
        index = self._read_index()
        known: dict[str, str] = index.get("rows", {})
        todo = [i for i, name in enumerate(self._names) if known.get(name) != self._keys[i]]
        old = self._open_old(index)
        same_list = old is not None and index["names"] == self._names
        if same_list and not any(self._names[i] in known for i in todo):
            file = self._folder / Path(index["file"]).name
            if not todo:  # nothing to write: a finished cache may be on a disk that cannot be written
                self._file = file
                with contextlib.suppress(OSError):
                    os.utime(self._folder / INDEX)  # the time of the last use
                self._remove_others()
                report(len(self._names))
                return {}
        else:
            if old is None:
                todo = list(range(len(self._names)))
            file = self._new_file(old, {name: row for row, name in enumerate(index.get("names", []))}, todo)
        del old  # closed: on Windows a file that is open cannot be removed
        self._file = file
        rows = np.lib.format.open_memmap(file, mode="r+")
        unfinished = set(todo)
        done = {
            name: key
            for i, (name, key) in enumerate(zip(self._names, self._keys, strict=True))
            if i not in unfinished
        }
        self._write_index(done)
        try:
            return self._make_rows(todo, rows, done, draw, threads, report, cancel)
        finally:
            rows.flush()
            self._write_index(done)
            self._remove_others()

    def _make_rows(
        self,
        todo: list[int],
        rows: np.memmap[Any, np.dtype[np.float16]],
        done: dict[str, str],
        draw: Callable[[int], NDArray[np.floating]],
        threads: int,
        report: Callable[[int], None],
        cancel: CancelToken | None,
    ) -> dict[int, str]:
        def make(number: int) -> None:
            try:
                row = draw(number)
            except OSError as error:  # of this image alone, such as one of a share that fails for a moment
                raise InputError(f"cannot be read ({error.strerror or error})") from error
            rows[number] = row

        failures: dict[int, str] = {}
        written = time.monotonic()
        with closing(in_threads(make, todo, threads=threads)) as results:
            for number, future in results:
                try:
                    future.result()
                    done[self._names[number]] = self._keys[number]
                except InputError as error:
                    failures[number] = str(error)
                report(len(done) + len(failures))
                if cancel is not None and len(done) + len(failures) < len(self._names):
                    cancel.raise_if_cancelled()
                if time.monotonic() - written > _SECONDS_BETWEEN_INDICES:
                    rows.flush()
                    self._write_index(done)
                    written = time.monotonic()
        return failures

    def _read_index(self) -> dict[str, Any]:
        """The index, empty where there is none for this working grid."""
        try:
            index = json.loads(read_small_text(self._folder / INDEX))
            fits = (
                isinstance(index["file"], str)
                and index["version"] == _VERSION
                and index["canvas"] == list(self._canvas)
            )
            fits = fits and isinstance(index["names"], list) and isinstance(index["rows"], dict)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return {}
        return index if fits else {}

    def _open_old(self, index: dict[str, Any]) -> NDArray[np.float16] | None:
        """The rows that the index lists; None where the file is missing or incomplete."""
        if not index:
            return None
        try:
            rows = np.load(self._folder / Path(index["file"]).name, mmap_mode="r")
        except (OSError, ValueError, EOFError):
            return None
        fits = rows.shape == (len(index["names"]), *self._canvas) and rows.dtype == np.float16
        return rows if fits else None

    def _new_file(
        self, old: NDArray[np.float16] | None, old_rows: dict[str, int], todo: Iterable[int]
    ) -> Path:
        """Make a file for the rows and copy those into it that are still right."""
        self._folder.mkdir(parents=True, exist_ok=True)
        shape = (len(self._names), *self._canvas)
        needed = 2 * int(np.prod(shape, dtype=np.int64))
        free = shutil.disk_usage(self._folder).free
        if needed > free:
            raise InputError(
                f"{self._folder}: the image cache needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free: "
                "name another folder in the environment variable NAPARI_LANDMARK_CACHE"
            )
        file = self._folder / f"working-{uuid.uuid4().hex[:12]}.npy"
        self._unmapped = [file]  # until it is mapped, the file is removed where that fails
        rows = np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=shape)
        if hasattr(os, "posix_fallocate"):
            # A full disk met while writing to a mapping would end the program.
            with file.open("r+b") as stream:
                os.posix_fallocate(stream.fileno(), 0, os.fstat(stream.fileno()).st_size)
        missing = set(todo)
        for number, name in enumerate(self._names):
            if old is not None and number not in missing:
                rows[number] = old[old_rows[name]]
        rows.flush()
        return file

    def _write_index(self, done: dict[str, str]) -> None:
        index = {
            "version": _VERSION,
            "canvas": list(self._canvas),
            "folder": None if self._source is None else str(self._source),
            "file": self._file.name if self._file else None,
            "names": self._names,
            "rows": done,
        }
        atomic_write(self._folder / INDEX, json.dumps(index, ensure_ascii=True, indent=0))

    def _remove_others(self) -> None:
        """Remove the files of earlier lists of images that no program has open."""
        for path in self._folder.glob("working-*.npy"):
            # On Windows a file that another program has open stays, for the next time.
            with contextlib.suppress(OSError):
                if path != self._file and not is_used(path):
                    path.unlink()


def lock_of_cache(folder: Path) -> Path:
    """File of the lock on building the cache in a folder; outside of it, so that the folder can be removed."""
    return folder.parent / "locks" / f"{folder.name}.lock"
