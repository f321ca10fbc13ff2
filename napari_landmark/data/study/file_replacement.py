"""Replacing many files of a study together: all of them or none, whenever the program ends.

The new files are first written to the folder ``renaming.part`` of the study. Its rename to ``renaming`` is the one
step that decides: before it nothing has changed, after it the files are moved to their places, by the next program
that opens the study if need be.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path, PurePath

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import replace_file, sync_folder, write_error
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

_UNFINISHED, _DECIDED = "renaming.part", "renaming"


class FileReplacement:
    """New files of a study that replace the old ones at `commit`; without it, leaving the context discards them.

    Needs the lock for annotating from the beginning to the end.

    Parameters
    ----------
    folder : Path
        Folder of the study.

    Raises
    ------
    InputError
        The folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._part = folder / _UNFINISHED
        self._files: list[Path] = []
        discard_unfinished(folder)
        self._make(self._part)

    def __enter__(self) -> FileReplacement:
        return self

    def __exit__(self, *_: object) -> None:
        discard_unfinished(self._folder)

    def add(self, path: PurePath, content: bytes) -> None:
        """Write a new file; the old one of that path stays for now.

        Parameters
        ----------
        path : PurePath
            Relative to the study's folder: a name, with folders before it or without.
        content : bytes

        Raises
        ------
        InputError
            The file cannot be written.
        """
        target = self._part / path
        if target.parent not in {file.parent for file in self._files[-1:]}:
            self._make(target.parent)
        try:
            target.write_bytes(content)
        except OSError as error:
            raise write_error(target, error) from error
        self._files.append(target)

    def commit(self, *, progress: Progress | None = None, cancel: CancelToken | None = None) -> None:
        """Flush the new files to the disk and replace the old ones by them.

        Raises
        ------
        Cancelled
            `cancel` was set before the old files are replaced; they are untouched.
        InputError
            A file cannot be written. Where the old ones were being replaced already, the next program that opens the
            study goes on with that.
        """
        total = len(self._files)
        file = self._part
        try:
            for number, file in enumerate(self._files):
                if cancel is not None:
                    cancel.raise_if_cancelled()
                if progress is not None:
                    progress(ProgressEvent("writing to the disk", number / total, step=number))
                with file.open("rb+") as stream:
                    os.fsync(stream.fileno())
            for folder in {self._part, *(file.parent for file in self._files)}:
                sync_folder(folder)
            if cancel is not None:
                cancel.raise_if_cancelled()
            replace_file(self._part, self._folder / _DECIDED)
            sync_folder(self._folder)
        except OSError as error:
            raise write_error(file, error) from error
        finish_replacement(self._folder)

    @staticmethod
    def _make(folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(folder, error) from error


def is_replacing(folder: Path) -> bool:
    """True where files of a study are being replaced, or a program ended while it replaced them."""
    return (folder / _DECIDED).is_dir()


def finish_replacement(folder: Path) -> None:
    """Move the new files of a decided replacement to their places; nothing happens where there is none.

    Raises
    ------
    InputError
        A file cannot be moved; what was moved stays, and a second call goes on.
    """
    decided = folder / _DECIDED
    path = decided
    places = {folder}
    try:
        for path in sorted(decided.rglob("*"), reverse=True):  # a folder after its files
            target = folder / path.relative_to(decided)
            if path.is_dir():
                with contextlib.suppress(FileNotFoundError):
                    path.rmdir()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            places.add(target.parent)
            with contextlib.suppress(FileNotFoundError):  # another thread of this program moved it
                replace_file(path, target)
        for place in places | {child for child in folder.iterdir() if child.is_dir()}:
            sync_folder(place)
        with contextlib.suppress(FileNotFoundError):
            decided.rmdir()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be moved to {folder} ({error.strerror}); landmarks are being renamed: free some space, "
            "or make the folder writable, and open the study again"
        ) from error


def discard_unfinished(folder: Path) -> None:
    """Remove new files that were not decided upon; the caller holds the lock for annotating."""
    shutil.rmtree(folder / _UNFINISHED, ignore_errors=True)
