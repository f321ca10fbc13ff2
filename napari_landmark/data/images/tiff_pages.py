"""Check that the chain of pages of a TIFF file has an end: tifffile never finishes a file where it has none."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from napari_landmark.data.errors import InputError

_MOST_PAGES = 100_000


def check_pages_end(path: Path) -> None:
    """Refuse (InputError) a file whose chain of pages is a circle or longer than 100,000.

    Classic TIFF (Adobe, TIFF revision 6.0) and BigTIFF; what is neither is left to the reader.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(start[:2])
        if order is None or len(start) < 8:
            return
        big = struct.unpack(f"{order}H", start[2:4])[0] == 43
        count, position, entry = ("Q", "Q", 20) if big else ("H", "I", 12)
        if big and len(start) < 16:
            return
        offset = struct.unpack(f"{order}{position}", start[8:16] if big else start[4:8])[0]
        seen: set[int] = set()
        while 0 < offset < size:
            if offset in seen or len(seen) >= _MOST_PAGES:
                raise InputError("has pages that form a circle, it seems damaged: save it again or remove it")
            seen.add(offset)
            file.seek(offset)
            entries = file.read(struct.calcsize(count))
            if len(entries) < struct.calcsize(count):
                return
            after = offset + len(entries) + entry * struct.unpack(order + count, entries)[0]
            if after >= size:
                return
            file.seek(after)
            following = file.read(struct.calcsize(position))
            if len(following) < struct.calcsize(position):
                return
            offset = struct.unpack(order + position, following)[0]
