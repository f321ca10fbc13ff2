"""Fingerprint of a cohort: the same for the same files in any folder, on any computer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from napari_landmark.data.cohort.folder import files_of_image
from napari_landmark.data.cohort.in_threads import in_threads
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

STAGE = "comparing files"
_ENDS = "ends:"
_END = 64 * 1024  # bytes at the start and at the end of a file
_THREADS = 8  # mostly waiting for the disk


def fingerprint(
    files: Sequence[tuple[str, Path]],
    *,
    full: bool = False,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> str:
    """Digest over the names, sizes and contents of images.

    Times of files are no part of it, since a copy has others.

    Parameters
    ----------
    files : sequence of (str, Path)
        Names and files, or folders of DICOM series.
    full : bool, optional
        Read every byte. By default the first and the last 64 KiB of each file are read, which leaves a change of a
        larger file unseen that keeps its size and both ends.
    progress : callable, optional
        Called with events of the stage "comparing files".
    cancel : CancelToken, optional

    Returns
    -------
    str
        64 hexadecimal digits of a SHA-256, after 'ends:' where not every byte was read.

    Raises
    ------
    Cancelled
        `cancel` was set.
    OSError
        A file is gone.
    """

    def lines(item: tuple[str, Path]) -> str:
        name, path = item
        return "".join(
            f"{name if file == path else f'{name}/{file.name}'}\0{_content(file, full)}\n"
            for file in files_of_image(path)
        )

    total = hashlib.sha256()
    with closing(in_threads(lines, sorted(files), threads=_THREADS)) as results:
        for done, (_, future) in enumerate(results, 1):
            if cancel is not None:
                cancel.raise_if_cancelled()
            total.update(future.result().encode())
            if progress is not None:
                progress(ProgressEvent(STAGE, done / len(files), step=done))
    return total.hexdigest() if full else _ENDS + total.hexdigest()


def is_full_fingerprint(recorded: object) -> bool:
    """Whether a recorded fingerprint is one over every byte, as all are that versions before 0.2 recorded."""
    return isinstance(recorded, str) and not recorded.startswith(_ENDS)


def _content(file: Path, full: bool) -> str:
    """Size and digest of the content of a file."""
    with file.open("rb") as stream:
        size = file.stat().st_size
        if full:
            return f"{size}\0{hashlib.file_digest(stream, 'sha256').hexdigest()}"
        digest = hashlib.sha256(stream.read(2 * _END if size <= 2 * _END else _END))
        if size > 2 * _END:
            stream.seek(size - _END)
            digest.update(stream.read(_END))
        return f"{size}\0{digest.hexdigest()}"
