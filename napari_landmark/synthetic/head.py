"""Anatomy of one head: bones, air, soft tissue and landmarks.

Nothing is drawn here. A :class:`Head` is geometry in millimetres, as ``(z, y, x)`` points with z pointing up, y
backwards and x to the left of the patient, from a point between the ears.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from napari_landmark.synthetic.chance import Draw

HEAD_REGIONS = {
    "background": 0,
    "soft tissue": 1,
    "brain": 2,
    "skull": 3,
    "mandible": 4,
    "teeth": 5,
    "vertebrae": 6,
}
_PAIRED = ("orbit", "zygion", "condyle", "coronoid", "gonion", "mastoid")
HEAD_LANDMARKS = (
    "nasion",
    "rhinion",
    "sella",
    "inion",
    "menton",
    "dens",
    *(f"{name}_{side}" for name in _PAIRED for side in ("right", "left")),
)

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Rod:
    """A tapered rod with round ends; points and radii in mm."""

    start: Point
    end: Point
    start_radius: float
    end_radius: float


@dataclass(frozen=True)
class Ball:
    """An ellipsoid along the axes of the head; centre and half-axes in mm."""

    centre: Point
    half_axes: Point


Part = Rod | Ball


@dataclass
class Head:
    """One head: parts of each kind overlap freely.

    Attributes
    ----------
    brain : Ball
        Inside of the braincase.
    thickness : float
        Of the braincase in mm.
    skull, mandible, teeth, vertebrae : list of Part
        Bones beside the braincase.
    openings : list of Part
        What is taken out of the skull: orbits, the pit of the sella, the foramen magnum.
    air : list of Part
        Nasal cavity, sinuses, ear canals, throat.
    flesh : list of Part
        Soft tissue around all.
    ventricles : list of Part
        Of the brain.
    landmarks : dict of str to Point
    """

    brain: Ball
    thickness: float
    skull: list[Part] = field(default_factory=list)
    mandible: list[Part] = field(default_factory=list)
    teeth: list[Part] = field(default_factory=list)
    vertebrae: list[Part] = field(default_factory=list)
    openings: list[Part] = field(default_factory=list)
    air: list[Part] = field(default_factory=list)
    flesh: list[Part] = field(default_factory=list)
    ventricles: list[Part] = field(default_factory=list)
    landmarks: dict[str, Point] = field(default_factory=dict)

    def positions(self) -> np.ndarray:
        """Return the landmarks in the order of ``HEAD_LANDMARKS``, ``(n, 3)`` as (z, y, x) in mm."""
        return np.array([self.landmarks[name] for name in HEAD_LANDMARKS])


class _Proportions:
    """Random proportions of one head: sizes as factors, shifts in mm."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._size = draw.around(1.0, 0.045)
        self._axes = np.array([draw.around(1.0, 0.025) for _ in range(3)])
        self.face = draw.around(1.0, 0.06)  # length of the face
        self.stout = draw.around(1.0, 0.08)
        self.opening = draw.uniform(0.0, 10.0) * (np.pi / 180.0)  # of the mouth
        self.chin = draw.around(0.0, 3.0)  # mm, forwards

    def point(self, z: float, y: float, x: float, *, wander: float = 0.7) -> Point:
        """Return a point of the mean anatomy in this head, off by up to about three times ``wander`` mm."""
        if z < 0.0:
            z *= self.face
        at = np.array((z, y, x)) * self._axes * self._size
        return _point(at + np.array([self._draw.around(0.0, wander) for _ in range(3)]))

    def radius(self, value: float) -> float:
        """Return the radius of a bone of the mean anatomy in this head."""
        return value * self.stout * self._size * self._draw.around(1.0, 0.05)


def grow_head(draw: Draw) -> Head:
    """Return a head of random proportions.

    Parameters
    ----------
    draw : Draw
        Source of random numbers.
    """
    own = _Proportions(draw)
    half_axes = own.point(58.0, 82.0, 65.0, wander=1.2)
    head = Head(Ball(own.point(22.0, 4.0, 0.0), half_axes), thickness=own.radius(6.0))
    _add_face(head, own)
    _add_base(head, own)
    for side in (-1.0, 1.0):
        _add_side(head, own, side, "right" if side < 0 else "left")
    _add_mandible(head, own)
    _add_neck(head, own)
    _add_flesh(head, own)
    return head


def _add_face(head: Head, own: _Proportions) -> None:
    """Nose, upper jaw and its teeth."""
    nasion, tip = own.point(-2.0, -88.0, 0.0), own.point(-24.0, -102.0, 0.0)
    radius = own.radius(4.0)
    head.skull.append(Rod(nasion, tip, radius, 0.8 * radius))
    head.landmarks["nasion"] = nasion
    head.landmarks["rhinion"] = _beyond(nasion, tip, 0.8 * radius)
    head.skull.append(Ball(own.point(-48.0, -66.0, 0.0), (20.0 * own.face, 22.0, 27.0)))
    head.skull.append(Ball(own.point(-8.0, -70.0, 0.0), (15.0, 18.0, 48.0)))  # forehead above the orbits
    head.air.append(Ball(own.point(-34.0, -68.0, 0.0), (17.0 * own.face, 26.0, 8.0)))
    head.teeth += _arch(own, z=-70.0, depth=26.0, width=24.0, front=-88.0)


def _add_base(head: Head, own: _Proportions) -> None:
    """Base of the braincase with the sella, foramen magnum and the inion."""
    sella = own.point(-14.0, -14.0, 0.0)
    head.skull.append(Ball(own.point(-22.0, -14.0, 0.0), (12.0, 17.0, 17.0)))
    head.openings.append(Ball(sella, (6.0, 7.0, 9.0)))
    head.landmarks["sella"] = sella
    head.openings.append(Ball(own.point(-38.0, 26.0, 0.0), (15.0, 17.0, 15.0)))
    low, tip = own.point(-14.0, 84.0, 0.0), own.point(-20.0, 98.0, 0.0)
    radius = own.radius(5.0)
    head.skull.append(Rod(low, tip, 1.6 * radius, radius))
    head.landmarks["inion"] = _beyond(low, tip, radius)
    for side in (-1.0, 1.0):
        head.ventricles.append(
            Rod(own.point(30.0, -32.0, 11.0 * side), own.point(34.0, 38.0, 18.0 * side), 6.0, 8.0)
        )


def _add_side(head: Head, own: _Proportions, side: float, name: str) -> None:
    """Orbit, cheek bone, ear and mastoid of one side."""
    orbit = own.point(-14.0, -72.0, 32.0 * side)
    head.openings.append(Ball(orbit, (17.0, 24.0, 18.0)))
    head.landmarks[f"orbit_{name}"] = orbit
    cheek, arch = own.point(-34.0, -66.0, 48.0 * side), own.point(-30.0, -34.0, 66.0 * side)
    root = own.point(-22.0, -4.0, 62.0 * side)
    radius = own.radius(4.5)
    head.skull += [
        Rod(own.point(-46.0, -68.0, 26.0 * side), cheek, 9.0, 2.0 * radius),
        Rod(cheek, arch, 1.8 * radius, radius),
        Rod(arch, root, radius, 1.2 * radius),
        Rod(cheek, own.point(-2.0, -68.0, 50.0 * side), radius, radius),
    ]
    head.landmarks[f"zygion_{name}"] = _shifted(arch, (0.0, 0.0, side * radius))
    head.skull.append(Rod(own.point(-16.0, 8.0, 60.0 * side), own.point(-14.0, -8.0, 16.0 * side), 10.0, 7.0))
    head.air.append(Rod(own.point(-20.0, 2.0, 84.0 * side), own.point(-18.0, 3.0, 46.0 * side), 4.0, 3.5))
    top, tip = own.point(-18.0, 22.0, 58.0 * side), own.point(-46.0, 16.0, 54.0 * side)
    radius = own.radius(6.0)
    head.skull.append(Rod(top, tip, 2.0 * radius, radius))
    head.landmarks[f"mastoid_{name}"] = _beyond(top, tip, radius)
    head.air.append(Ball(own.point(-44.0, -62.0, 19.0 * side), (13.0 * own.face, 13.0, 9.0)))


def _add_mandible(head: Head, own: _Proportions) -> None:
    """Lower jaw, opened around the condyles, with its teeth."""
    hinge = own.point(-32.0, -4.0, 0.0)

    def opened(point: Point) -> Point:
        z, y, x = np.subtract(point, hinge)
        cosine, sine = float(np.cos(own.opening)), float(np.sin(own.opening))
        return _shifted(hinge, (cosine * z + sine * y, cosine * y - sine * z, float(x)))

    chin = opened(own.point(-110.0, -84.0 - own.chin, 0.0))
    radius = own.radius(7.0)
    for side, name in ((-1.0, "right"), (1.0, "left")):
        condyle = opened(own.point(-32.0, -4.0, 51.0 * side))
        gonion = opened(own.point(-84.0, -10.0, 46.0 * side))
        coronoid, notch = (
            opened(own.point(-36.0, -36.0, 45.0 * side)),
            opened(own.point(-62.0, -22.0, 46.0 * side)),
        )
        head.mandible += [
            Rod(condyle, gonion, own.radius(5.5), radius),
            Rod(notch, coronoid, radius, 0.55 * radius),
            Rod(gonion, opened(own.point(-104.0, -74.0 - own.chin, 20.0 * side)), radius, radius),
            Rod(opened(own.point(-104.0, -74.0 - own.chin, 20.0 * side)), chin, radius, radius),
        ]
        head.landmarks[f"condyle_{name}"] = condyle
        head.landmarks[f"gonion_{name}"] = gonion
        head.landmarks[f"coronoid_{name}"] = _beyond(notch, coronoid, 0.55 * radius)
    head.landmarks["menton"] = _shifted(chin, (-radius, 0.0, 0.0))
    head.teeth += [
        Ball(opened(ball.centre), ball.half_axes)
        for ball in _arch(own, z=-82.0, depth=26.0, width=23.0, front=-85.0)
    ]


def _add_neck(head: Head, own: _Proportions) -> None:
    """Upper vertebrae; the second one has the dens."""
    dens = own.point(-44.0, 12.0, 0.0)
    for number in range(4):
        z = -60.0 - 19.0 * number
        body = own.point(z, 14.0, 0.0)
        head.vertebrae.append(Ball(body, (6.5, 9.0, 12.0)))
        for side in (-1.0, 1.0):
            wing = own.point(z, 24.0, 22.0 * side)
            head.vertebrae += [Rod(body, wing, 5.0, 4.0), Rod(wing, own.point(z - 4.0, 48.0, 0.0), 4.0, 3.5)]
        if number == 0:
            head.vertebrae.append(Rod(body, dens, 6.5, 5.0))
            head.landmarks["dens"] = _beyond(body, dens, 5.0)
    head.air.append(Rod(own.point(-52.0, -14.0, 0.0), own.point(-160.0, -12.0, 0.0), 7.0, 8.0))


def _add_flesh(head: Head, own: _Proportions) -> None:
    """Scalp, face, nose, chin and neck."""
    centre, half_axes = head.brain.centre, np.add(head.brain.half_axes, head.thickness + own.radius(6.0))
    head.flesh += [
        Ball(centre, _point(half_axes)),
        Ball(own.point(-46.0, -46.0, 0.0), (62.0 * own.face, 56.0, 68.0)),
        Rod(own.point(-18.0, -94.0, 0.0), own.point(-42.0, -114.0, 0.0), 10.0, 9.0),
        Rod(own.point(-60.0, -70.0, 0.0), _shifted(head.landmarks["menton"], (8.0, 0.0, 0.0)), 34.0, 17.0),
        Rod(own.point(-50.0, 16.0, 0.0), own.point(-170.0, 12.0, 0.0), 58.0, 56.0),
    ]
    for side, name in ((-1.0, "right"), (1.0, "left")):
        gonion = head.landmarks[f"gonion_{name}"]
        head.flesh += [
            Rod(gonion, _shifted(head.landmarks["menton"], (8.0, 8.0, 14.0 * side)), 18.0, 14.0),
            Ball(own.point(-14.0, 14.0, 80.0 * side), (28.0, 15.0, 7.0)),  # ear
        ]


def _arch(own: _Proportions, *, z: float, depth: float, width: float, front: float) -> list[Ball]:
    """Teeth along half an ellipse, the front ones smaller."""
    teeth = []
    for angle in np.linspace(-1.35, 1.35, 12):
        size = 3.2 + 1.6 * abs(float(angle))
        at = own.point(
            z, front + depth * (1.0 - float(np.cos(angle))), width * float(np.sin(angle)), wander=0.4
        )
        teeth.append(Ball(at, (6.5, size, size)))
    return teeth


def _beyond(start: Point, end: Point, distance: float) -> Point:
    """Return the point that lies further than the end by a distance."""
    step = np.subtract(end, start)
    return _point(np.asarray(end) + distance * step / np.sqrt((step**2).sum()))


def _shifted(point: Point, by: Point) -> Point:
    return _point(np.add(point, by))


def _point(values: np.ndarray) -> Point:
    z, y, x = (float(value) for value in values)
    return z, y, x
