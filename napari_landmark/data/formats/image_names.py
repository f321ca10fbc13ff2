"""Matching of image names in landmark files to known images, and common landmark names of several sets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import cached_property

from napari_landmark.data.curves import Curve, curves_among
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.composed_name import composed_name
from napari_landmark.data.images.image import IMAGE_SUFFIXES
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet


def image_stem(name: str) -> str:
    """Name of an image file without folders and without the suffix of an image format.

    Examples
    --------
    >>> image_stem("left/brain.nii.gz")
    'brain'
    """
    base = _base(name)
    for suffix in _SUFFIXES:
        if base.lower().endswith(suffix) and len(base) > len(suffix):
            return base[: -len(suffix)]
    return base


class ImageNames:
    """Names of the known images, indexed once for the matching of all names of a file.

    Other programs write paths of another computer, leave out folders or the suffix, change capitals, or take
    accents apart (Unicode NFD).

    Parameters
    ----------
    known : iterable of str, optional
        Names of the images.
    """

    def __init__(self, known: Iterable[str] | None = None) -> None:
        self._known = dict.fromkeys(known or ())

    def find(self, wanted: str) -> str | None:
        """The known image that best agrees with a name in a file, None where none does.

        Raises
        ------
        InputError
            Several images agree equally well.
        """
        if wanted in self._known:
            return wanted
        for step, index in zip(_STEPS, self._indices, strict=True):
            found = index.get(step(wanted), ())
            if len(found) > 1:
                raise InputError(f"{wanted!r} may be the image {found[0]} or {found[1]}: rename one of them")
            if found:
                return found[0]
        return None

    @property
    def example(self) -> str:
        """One of the known images, for messages; 'none' where there is none."""
        return next(iter(self._known), "none")

    def find_or_keep(self, wanted: str) -> str:
        """The known image, or the name in the file with forward slashes where the image is unknown."""
        found = self.find(wanted)
        return composed_name(wanted).replace("\\", "/") if found is None else found

    @cached_property
    def _indices(self) -> list[dict[str, list[str]]]:
        """For every step, the images by their transformed name."""
        indices: list[dict[str, list[str]]] = []
        for step in _STEPS:
            index: dict[str, list[str]] = {}
            for name in self._known:
                index.setdefault(step(name), []).append(name)
            indices.append(index)
        return indices


def find_image(wanted: str, known: Iterable[str]) -> str | None:
    """The known image that best agrees with one name; `ImageNames` is for many."""
    return ImageNames(known).find(wanted)


def common_schema(sets: Iterable[LandmarkSet]) -> LandmarkSchema:
    """Schema with the landmarks of all sets, in order of first appearance."""
    schemas = list(dict.fromkeys(marks.schema for marks in sets))
    if len(schemas) == 1:
        return schemas[0]
    rows: dict[str, tuple[str, str]] = {}
    for schema in schemas:
        for name, color, text in zip(schema.names, schema.colors, schema.definitions, strict=True):
            rows.setdefault(name, (color, text))
    return LandmarkSchema(
        tuple(rows),
        tuple(color for color, _ in rows.values()),
        tuple(text for _, text in rows.values()),
        tuple(dict.fromkeys(link for schema in schemas for link in schema.links)),
        merged_curves(schemas, rows),
    )


def merged_curves(schemas: Iterable[LandmarkSchema], names: Collection[str]) -> tuple[Curve, ...]:
    """Curves of several schemas whose landmarks all are among the names; the first one of a name counts."""
    curves: dict[str, Curve] = {}
    for schema in schemas:
        for curve in curves_among(schema.curves, names):
            curves.setdefault(curve.name, curve)
    return tuple(curves.values())


def _base(name: str) -> str:
    return composed_name(name).strip().replace("\\", "/").rstrip("/").rsplit("/", 1)[-1].strip()


_SUFFIXES = sorted(IMAGE_SUFFIXES, key=len, reverse=True)
# From the strictest to the loosest comparison.
_STEPS: tuple[Callable[[str], str], ...] = (
    composed_name,
    _base,
    image_stem,
    lambda name: _base(name).casefold(),
    lambda name: image_stem(name).casefold(),
)
