"""Landmark tables for tests."""

from __future__ import annotations

from pathlib import Path


def rows(path: Path, *lines: str) -> None:
    """Write a table of landmarks."""
    path.write_text("\n".join(["image,landmark,x,y", *lines]) + "\n")
