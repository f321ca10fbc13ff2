"""Side of every image of a cohort that mixes left and right ones, from the side of one and from what is mirrored."""

from __future__ import annotations

from collections.abc import Mapping

from napari_landmark.data.errors import InputError
from napari_landmark.data.study.image_facts import ImageFacts

LATERALITY = "laterality"
"""Title of the column in the table of facts."""
_OTHER = {"l": "r", "r": "l", "left": "right", "right": "left"}


def sides_of_images(
    facts: Mapping[str, ImageFacts], mirrored: Mapping[str, bool], *, image: str
) -> dict[str, str]:
    """Side of each image whose pose is known, in the words of one image's.

    Parameters
    ----------
    facts : mapping of str to ImageFacts
        Holds the side of `image` in the column 'laterality': L, R, left or right.
    mirrored : mapping of str to bool
        Whether an image is a mirror image of the template, by name.
    image : str
        Whose side is known.

    Raises
    ------
    InputError
        Its side or its pose is not known.
    """
    stated = facts.get(image, ImageFacts()).value(LATERALITY)
    if stated.lower() not in _OTHER:
        raise InputError(
            f"{image}: its side is not known: write L, R, left or right into the column {LATERALITY!r} first"
        )
    if image not in mirrored:
        raise InputError(f"{image}: its pose is not known: train or detect first")
    word = _OTHER[stated.lower()]
    opposite = word.upper() if stated.isupper() else word.capitalize() if stated.istitle() else word
    return {
        name: stated if is_mirrored == mirrored[image] else opposite for name, is_mirrored in mirrored.items()
    }


def with_laterality(
    facts: Mapping[str, ImageFacts], sides: Mapping[str, str]
) -> tuple[dict[str, ImageFacts], list[str]]:
    """Facts with the side of every image that had none, and the images whose stated side is another one.

    What a person wrote stays as it is.
    """
    filled, contrary = dict(facts), []
    for name, side in sides.items():
        known = facts.get(name, ImageFacts())
        stated = known.value(LATERALITY)
        if not stated:
            filled[name] = known.with_cell(LATERALITY, side)
        elif stated.lower()[0] != side.lower()[0]:
            contrary.append(name)
    return filled, contrary
