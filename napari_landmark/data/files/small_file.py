"""Read a file that should be small, such as the description of a study or of a model."""

from __future__ import annotations

from pathlib import Path

from napari_landmark.data.errors import InputError

_LARGEST = 64 * 1024**2


def read_small_text(path: Path) -> str:
    """Read the text of a UTF-8 file, without a byte order mark.

    Raises
    ------
    InputError
        Where it is larger than 64 MB; nothing is read then.
    OSError, UnicodeDecodeError
        As reading raises them.
    """
    if path.stat().st_size > _LARGEST:
        raise InputError(f"{path}: is larger than {_LARGEST // 1024**2} MB: it is not what its name says")
    return path.read_text(encoding="utf-8-sig")
