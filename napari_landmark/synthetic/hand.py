"""Anatomy of one posed hand: bones, soft tissue and landmarks.

Nothing is drawn here. A :class:`Hand` is geometry in millimetres, as ``(y, x)`` points with y pointing down
the image and x to the right, the fingers up and the thumb on the left.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

RAYS = ("thumb", "index", "middle", "ring", "little")
REGIONS = {
    "background": 0,
    "soft tissue": 1,
    "radius": 2,
    "ulna": 3,
    "carpals": 4,
    "metacarpals": 5,
    "proximal phalanges": 6,
    "middle phalanges": 7,
    "distal phalanges": 8,
}

Point = tuple[float, float]

JOINTS = {
    "thumb": ("cmc", "mcp", "ip", "tip"),
    "finger": ("", "mcp", "pip", "dip", "tip"),
}

LANDMARKS = (
    *(f"{ray}_{joint}" for ray in RAYS for joint in JOINTS.get(ray, JOINTS["finger"]) if joint),
    "capitate",
    "radial_styloid",
    "ulnar_styloid",
)


@dataclass(frozen=True)
class Bone:
    """A tapered, hollow long bone.

    ``start`` is where its axis enters the bone, ``angle`` its direction in degrees from straight up,
    lengths and half-widths are in mm; the rims of the base reach ``cup`` further than its middle.
    """

    region: int
    start: Point
    angle: float
    length: float
    base: float
    shaft: float
    head: float
    cortex: float
    cup: float = 0.0
    base_round: float = 2.0
    head_round: float = 4.0
    flare: float = 0.38

    @property
    def end(self) -> Point:
        """The furthest point of the head, on the axis."""
        return along(self.start, self.angle, self.length)


@dataclass(frozen=True)
class Pebble:
    """A short bone: an ellipse of half-axes ``across`` and ``along`` (mm), bent like a bean by ``bend``."""

    centre: Point
    angle: float
    across: float
    along: float
    bend: float = 0.0
    shell: float = 0.9


@dataclass(frozen=True)
class Flesh:
    """Soft tissue around a line, of one radius (mm) at each end."""

    start: Point
    end: Point
    start_radius: float
    end_radius: float


@dataclass
class Hand:
    """One posed hand: every group of bones grows into one piece, pebbles and groups overlap freely."""

    bones: list[tuple[Bone, ...]] = field(default_factory=list)
    pebbles: list[Pebble] = field(default_factory=list)
    flesh: list[Flesh] = field(default_factory=list)
    landmarks: dict[str, Point] = field(default_factory=dict)

    def positions(self) -> np.ndarray:
        """Return the landmarks in the order of ``LANDMARKS``, ``(n, 2)`` as (y, x) in mm."""
        return np.array([self.landmarks[name] for name in LANDMARKS])


def along(start: Point, angle: float, distance: float) -> Point:
    """Return the point at a distance from the start, in a direction in degrees clockwise from straight up."""
    radians = angle * (np.pi / 180.0)
    return (start[0] - distance * float(np.cos(radians)), start[1] + distance * float(np.sin(radians)))
