"""What tests of bad input share: a file that is large on paper, and what a refusal must look like."""

from __future__ import annotations

import os
from pathlib import Path

GIGABYTE = 1024**3


def one_line(error: BaseException, path: Path) -> str:
    """The text of an error, which must be one line that names the file."""
    text = str(error)
    assert path.name in text, text
    assert "\n" not in text
    assert "Traceback" not in text
    return text


def huge(path: Path, start: bytes = b"") -> Path:
    """A gigabyte on paper, nothing on the disk."""
    path.write_bytes(start)
    os.truncate(path, GIGABYTE)
    return path
