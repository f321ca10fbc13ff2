"""Names of the subjects of an image that shows several, such as two hands on one film."""

from __future__ import annotations

import re

_FURTHER = re.compile(r" \(subject [0-9]+\)$")


def subject_name(image: str, number: int) -> str:
    """Name of a subject of an image in tables, counted from 1.

    The first one has the name of its image; those of further ones end as no image format does, so that no reader takes
    them for landmarks of the first one.

    Examples
    --------
    >>> subject_name("hands.png", 1), subject_name("hands.png", 2)
    ('hands.png', 'hands.png (subject 2)')
    """
    return image if number == 1 else f"{image} (subject {number})"


def image_of_subject(name: str) -> str:
    """Name of the image of a subject in tables.

    Examples
    --------
    >>> image_of_subject("hands.png"), image_of_subject("hands.png (subject 2)")
    ('hands.png', 'hands.png')
    """
    return _FURTHER.sub("", name)
