"""Links between landmarks: lines of a skeleton and closed outlines, for drawings and exports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.composed_name import composed_name


@dataclass(frozen=True)
class Link:
    """Line through landmarks in their order.

    Parameters
    ----------
    landmarks : tuple of str
        Two names or more; three or more of a closed one. None is there twice.
    closed : bool, optional
        Whether the last landmark is linked with the first, as in an outline.
    name : str, optional
        Name of the structure, such as 'mandible'.

    Raises
    ------
    InputError
        There are too few landmarks, or one of them twice.
    """

    landmarks: tuple[str, ...]
    closed: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.landmarks, str) or not all(isinstance(name, str) for name in self.landmarks):
            raise InputError(f"link {self.name or self.landmarks!r}: expected a list of names of landmarks")
        names = tuple(composed_name(name) for name in self.landmarks)
        title = self.name or " - ".join(names) or "without landmarks"
        needed = 3 if self.closed else 2
        if len(names) < needed:
            raise InputError(f"link {title!r}: has {len(names)} landmarks: give at least {needed}")
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"link {title!r}: landmark {twice!r} is there twice: give each once")
        object.__setattr__(self, "landmarks", names)
        object.__setattr__(self, "closed", bool(self.closed))
        object.__setattr__(self, "name", str(self.name))

    @property
    def segments(self) -> tuple[tuple[str, str], ...]:
        """Pairs of names of landmarks that are linked."""
        ends = (*self.landmarks[1:], self.landmarks[0]) if self.closed else self.landmarks[1:]
        return tuple(zip(self.landmarks, ends, strict=False))

    def renamed(self, names: Mapping[str, str]) -> Link:
        """The same with old names of landmarks replaced by new ones."""
        return Link(tuple(names.get(name, name) for name in self.landmarks), self.closed, self.name)

    def to_json(self) -> dict[str, Any]:
        """Object for a JSON file."""
        return {
            "landmarks": list(self.landmarks),
            **({"closed": True} if self.closed else {}),
            **({"name": self.name} if self.name else {}),
        }

    @classmethod
    def from_json(cls, data: object) -> Link:
        """Link from the object of `to_json`; InputError for anything else."""
        if not isinstance(data, Mapping) or not isinstance(landmarks := data.get("landmarks"), list):
            raise InputError("a link was expected: an object with a list 'landmarks', 'closed' and 'name'")
        closed, name = data.get("closed", False), data.get("name", "")
        if not isinstance(closed, bool) or not isinstance(name, str):
            raise InputError("a link was expected: 'closed' is true or false, and 'name' is text")
        return cls(tuple(landmarks), closed, name)


def segments(links: tuple[Link, ...]) -> tuple[tuple[str, str], ...]:
    """Pairs of linked names, each once in whatever direction."""
    found: dict[frozenset[str], tuple[str, str]] = {}
    for link in links:
        for pair in link.segments:
            found.setdefault(frozenset(pair), pair)
    return tuple(found.values())
