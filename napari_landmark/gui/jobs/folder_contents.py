"""What a folder of images holds, told while its path is typed."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from pathlib import Path

from qtpy.QtCore import QObject, Signal

from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.cohort.headers import read_headers
from napari_landmark.data.errors import InputError
from napari_landmark.progress import Cancelled, CancelToken

_MOST_HEADERS = 200


class FolderContents(QObject):
    """Reader of the headers in one folder after another, in a thread; the last one alone is told."""

    described = Signal(str)
    """What the folder holds, in words; empty for a folder that is not there."""
    _found = Signal(object, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._token = CancelToken()
        self._found.connect(self._on_found)

    def look(self, folder: Path | None) -> None:
        """Begin to read a folder; an earlier one is given up."""
        self._token.cancel()
        token = self._token = CancelToken()
        if folder is None or not folder.is_dir():
            self.described.emit("")
            return
        threading.Thread(target=self._read, args=(folder, token), daemon=True).start()

    def stop(self, *_: object) -> None:
        """Tell nothing any more."""
        self._token.cancel()

    def _read(self, folder: Path, token: CancelToken) -> None:
        try:
            text = describe_folder(folder, cancel=token)
        except Cancelled:
            return
        except InputError as error:
            text = str(error)
        if not token.cancelled:
            with contextlib.suppress(RuntimeError):  # deleted meanwhile
                self._found.emit(token, text)

    def _on_found(self, token: CancelToken, text: str) -> None:
        if token is self._token:
            self.described.emit(text)


def describe_folder(folder: Path, *, cancel: CancelToken | None = None) -> str:
    """Number, size and pixel size of the images of a folder: '30 images, 968 x 1200, no pixel size'.

    Of more than 200 images an even choice is read.

    Raises
    ------
    InputError
        The folder cannot be read.
    Cancelled
        `cancel` was set.
    """
    files, others = image_files(folder)
    step = max(1, -(-len(files) // _MOST_HEADERS))
    images, unreadable = read_headers(files[::step], None, cancel=cancel)
    if not images:
        return "No images in this folder."
    kinds = {entry.geometry.ndim for entry in images}
    kind = "images" if len(kinds) > 1 else {2: "images", 3: "volumes"}[kinds.pop()]
    count = len(files) if step > 1 else len(images)
    parts = [f"{count} {kind if count != 1 else kind[:-1]}"]
    sizes = Counter(" x ".join(str(n) for n in reversed(entry.geometry.shape)) for entry in images)
    size, most = sizes.most_common(1)[0]
    parts.append(size if most == len(images) else f"mostly {size}" if most > 1 else "of different sizes")
    spacings = Counter(entry.geometry.spacing for entry in images if entry.geometry.spacing is not None)
    unknown = len(images) - spacings.total()
    if len(spacings) == 1 and not unknown:
        values = sorted({f"{value:.3g}" for value in next(iter(spacings))})
        parts.append(f"{' x '.join(values)} mm a {'pixel' if kind == 'images' else 'voxel'}")
    elif not spacings:
        parts.append("no pixel size")
    else:
        parts.append(f"no pixel size in {unknown} of them" if unknown else "different pixel sizes")
    text = ", ".join(parts)
    left = len(others) + (len(unreadable) if step == 1 else 0)
    return f"{text}; {left} other file{'s' * (left != 1)}" if left else text
