"""Cache of a cohort's images on the working grid, in one memory-mapped file."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

from napari_landmark.data.cohort.in_threads import in_threads
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.files.small_file import read_small_text
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

logger = logging.getLogger(__name__)

_PROGRAM = "napari-landmark"
_STAGE = "reading images"
_VERSION = 1
_INDEX = "index.json"
HEADERS = "headers.json"
_SECONDS_BETWEEN_INDICES = 5.0
_SECONDS_UNTIL_ORPHAN = 24 * 3600


def default_cache_dir() -> Path:
    """The folder for caches: NAPARI_LANDMARK_CACHE, or the system's folder for caches of a user's programs."""
    if chosen := os.environ.get("NAPARI_LANDMARK_CACHE"):
        return Path(chosen).expanduser()
    return platformdirs.user_cache_path(_PROGRAM, appauthor=False, opinion=False)


class WorkingCache:
    """Resampled images in half precision, one row each, in one .npy file with an index beside it.

    The index holds the key of each finished row: the state of the image that it was made from. A row is listed
    only after it was written, so that listed rows are right whenever the work stops. A listed row is never written
    again: when the list of images or one of them changes, there is a new file, into which the rows that are still
    right are copied. So a training goes on with the images it began with, and two programs that use one cache
    never write different content to one row.

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
    """

    def __init__(
        self, folder: Path, names: Sequence[str], keys: Sequence[str], canvas: tuple[int, ...]
    ) -> None:
        self._folder = folder
        self._names = list(names)
        self._keys = list(keys)
        self._canvas = canvas
        self._file: Path | None = None
        self._rows: NDArray[np.float16] | None = None
        self._unmapped: list[Path] = []

    def __getstate__(self) -> dict[str, Any]:
        # Sent to another process the mapping would travel as a copy of everything.
        return {**self.__dict__, "_rows": None}

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
        draw: Callable[[int], NDArray[np.float32]],
        *,
        progress: Progress | None = None,
        cancel: CancelToken | None = None,
    ) -> dict[int, str]:
        """Make the missing rows.

        Parameters
        ----------
        draw : callable
            Gives the row of a number; called from several threads. An InputError or OSError from it is noted
            and the other rows go on.
        progress : callable, optional
            Called after every row; an exception from it ends the work, and the rows made so far are kept.
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

        try:
            try:
                failures = self._build(draw, report, cancel)
            except OSError as error:
                if error.errno != errno.ENODEV:
                    raise
                self._move_to_local_folder()
                failures = self._build(draw, report, cancel)
            # Opened here and kept, so that a later list of images may remove the file from the folder.
            self._rows = self._open_rows()
            return failures
        except OSError as error:
            raise InputError(
                f"{self._folder}: the image cache cannot be written ({error.strerror or error}); "
                "name a writable folder in the environment variable NAPARI_LANDMARK_CACHE"
            ) from error

    def _move_to_local_folder(self) -> None:
        """Give up a folder whose file system has no memory maps."""
        for path in self._unmapped:
            with contextlib.suppress(OSError):
                path.unlink()
        folder = _local_folder() / self._folder.name
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
        draw: Callable[[int], NDArray[np.float32]],
        report: Callable[[int], None],
        cancel: CancelToken | None,
    ) -> dict[int, str]:
        index, superseded = self._read_index()
        known: dict[str, str] = index.get("rows", {})
        todo = [i for i, name in enumerate(self._names) if known.get(name) != self._keys[i]]
        old = self._open_old(index)
        same_list = old is not None and index["names"] == self._names
        if same_list and not any(self._names[i] in known for i in todo):
            file = self._folder / superseded
            superseded = ""
            if not todo:  # nothing to write: a finished cache may be on a disk that cannot be written
                self._file = file
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
            return self._make_rows(todo, rows, done, draw, report, cancel)
        finally:
            rows.flush()
            self._write_index(done)
            self._remove_others(superseded)

    def _make_rows(
        self,
        todo: list[int],
        rows: np.memmap[Any, np.dtype[np.float16]],
        done: dict[str, str],
        draw: Callable[[int], NDArray[np.float32]],
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
        # Decoding and resampling release the interpreter's lock; more threads than this only take memory.
        with closing(in_threads(make, todo, threads=min(8, os.cpu_count() or 1))) as results:
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

    def _read_index(self) -> tuple[dict[str, Any], str]:
        """The index, empty where it is not for this working grid, and the name of its file of rows."""
        try:
            index = json.loads(read_small_text(self._folder / _INDEX))
            file = Path(index["file"]).name
            fits = index["version"] == _VERSION and index["canvas"] == list(self._canvas)
            fits = fits and isinstance(index["names"], list) and isinstance(index["rows"], dict)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return {}, ""
        return index if fits else {}, file

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
            "file": self._file.name if self._file else None,
            "names": self._names,
            "rows": done,
        }
        atomic_write(self._folder / _INDEX, json.dumps(index, ensure_ascii=True, indent=0))

    def _remove_others(self, superseded: str) -> None:
        """Remove the file that this one replaces, and those that are too old to be written by another program."""
        for path in self._folder.glob("working-*.npy"):
            if path != self._file:
                # On Windows a file that another program has open stays, for the next time.
                with contextlib.suppress(OSError):
                    age = time.time() - path.stat().st_mtime
                    if path.name == superseded or age > _SECONDS_UNTIL_ORPHAN:
                        path.unlink()


def _local_folder() -> Path:
    """A folder for temporary files that is this user's own."""
    if not hasattr(os, "getuid"):
        return Path(tempfile.gettempdir()) / _PROGRAM  # of this user, on Windows
    folder = Path(tempfile.gettempdir()) / f"{_PROGRAM}-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    # Another user may have made a folder of that name.
    return folder if folder.stat().st_uid == os.getuid() else Path(tempfile.mkdtemp(prefix=f"{_PROGRAM}-"))
