"""Helpers for tests of bad input: a sparse file of a gigabyte, and a check of error messages."""

from __future__ import annotations

import os
from pathlib import Path

GIGABYTE = 1024**3


def one_line(error: BaseException, path: Path) -> str:
    """Text of an error, after checking that it is one line that names the file."""
    text = str(error)
    assert path.name in text, text
    assert "\n" not in text
    assert "Traceback" not in text
    return text


def huge(path: Path, start: bytes = b"") -> Path:
    """A sparse file: a gigabyte long, nothing on the disk."""
    path.write_bytes(start)
    os.truncate(path, GIGABYTE)
    return path
