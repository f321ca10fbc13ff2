"""Names of images and landmarks in one form of Unicode."""

from __future__ import annotations

import unicodedata


def composed_name(name: str) -> str:
    r"""A name with composed letters (Unicode NFC).

    File systems and archives of macOS, and some network disks, take accents apart (NFD). The same name would then
    not be found again in a file of another computer.

    Examples
    --------
    >>> len("u\u0308.png"), len(composed_name("u\u0308.png"))
    (6, 5)
    """
    return unicodedata.normalize("NFC", name)


def decomposed_name(name: str) -> str:
    """A name with its letters taken apart (Unicode NFD)."""
    return unicodedata.normalize("NFD", name)
