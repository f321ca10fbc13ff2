"""Keep warnings of libraries that read images off the terminal, and log them with the image's name."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

logger = logging.getLogger(__name__)

_LIBRARIES = ("pydicom", "PIL", "tifffile", "nibabel")
# Their own loggers write to the terminal where the program has set up no logging.
for _name in _LIBRARIES:
    logging.getLogger(_name).addHandler(logging.NullHandler())

_LOCK = threading.Lock()
_readers: dict[int, list[Path]] = {}  # by thread
_shown_before = warnings.showwarning


@contextmanager
def logged_warnings(path: Path) -> Iterator[None]:
    """Log what libraries warn of in this thread, with the path, instead of showing it.

    Other threads' warnings are shown as ever. The hook of the `warnings` module is put back with the last reader.
    """
    global _shown_before
    thread = threading.get_ident()
    with _LOCK:
        if not _readers:
            _shown_before, warnings.showwarning = warnings.showwarning, _show
        _readers.setdefault(thread, []).append(path)
    try:
        yield
    finally:
        with _LOCK:
            _readers[thread].pop()
            if not _readers[thread]:
                del _readers[thread]
            if not _readers and warnings.showwarning is _show:
                warnings.showwarning = _shown_before


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    paths = _readers.get(threading.get_ident())
    if not paths:
        _shown_before(message, category, filename, lineno, file, line)
        return
    logger.info("%s: %s", paths[-1], " ".join(str(message).split()))
