"""File names for the names of images."""

from __future__ import annotations

import hashlib
import re


def file_stem(name: str) -> str:
    """Make a file name for the name of an image: readable, safe on every system, unique for every image.

    Plain names stay as they are. Every other character becomes '_', and '~' with a part of the name's SHA-256,
    which no plain name has, keeps the results apart.

    Examples
    --------
    >>> file_stem("001.jpg")
    '001.jpg'
    >>> file_stem("left/001.jpg")
    'left_001_jpg~197f7f5d1e'
    """
    # Windows takes 'con.png' and the like for devices.
    device = re.match(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", name, re.IGNORECASE)
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) and not device:
        return name
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:60] or "image"
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:10]
    return f"{readable}~{digest}"
