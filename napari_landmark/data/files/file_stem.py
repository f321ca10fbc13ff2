"""File names for the names of images."""

from __future__ import annotations

import hashlib
import re


def file_stem(name: str) -> str:
    """A file name for an image name: readable, safe on every system, another one for every image.

    Plain names stay as they are. Whatever else there is becomes '_', and a part of the name's SHA-256
    keeps the results apart; '~' stands before it, which no plain name has.

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
