"""File names for the names of images."""

from __future__ import annotations

import hashlib
import re

from napari_landmark.data.files.composed_name import composed_name, decomposed_name


def file_stem(name: str) -> str:
    """Make a file name for the name of an image: readable, safe on every system, unique for every image.

    Plain names stay as they are. Every other character becomes '_', and '~' with a part of the name's SHA-256,
    which no plain name has, keeps the results apart. Composed and decomposed letters give the same file name.

    Examples
    --------
    >>> file_stem("001.jpg")
    '001.jpg'
    >>> file_stem("left/001.jpg")
    'left_001_jpg~197f7f5d1e'
    """
    return _stem(composed_name(name))


def earlier_file_stem(name: str) -> str:
    """The file name that earlier versions made for the name of an image where its letters were decomposed."""
    return _stem(decomposed_name(name))


def _stem(name: str) -> str:
    # Windows takes 'con.png' and the like for devices.
    device = re.match(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", name, re.IGNORECASE)
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) and not device:
        return name
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:60] or "image"
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:10]
    return f"{readable}~{digest}"
