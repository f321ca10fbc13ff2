"""Random proportions and pose of a hand, from the mean anatomy of an adult."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from napari_landmark.synthetic.chance import Draw
from napari_landmark.synthetic.hand import (
    JOINTS,
    RAYS,
    REGIONS,
    Bone,
    Flesh,
    Hand,
    Pebble,
    Point,
    along,
)

# Adult lengths in mm: metacarpal, then the phalanges outwards.
_LENGTHS = {
    "thumb": (45.0, 31.0, 22.0),
    "index": (67.0, 40.0, 23.0, 16.5),
    "middle": (64.0, 44.0, 27.5, 17.5),
    "ring": (57.0, 41.0, 26.0, 18.0),
    "little": (53.0, 32.5, 19.0, 16.0),
}
# Half-widths in mm at the base, the narrowest part and the head, then of the flesh; by bone of the ray.
_WIDTHS = {
    "metacarpals": (6.7, 3.6, 6.5, 10.5),
    "proximal phalanges": (6.8, 3.9, 5.2, 9.4),
    "middle phalanges": (5.8, 3.2, 4.4, 8.3),
    "distal phalanges": (4.9, 2.1, 3.3, 7.2),
}
_STOUTNESS = {"thumb": 1.08, "index": 1.02, "middle": 1.04, "ring": 0.95, "little": 0.84}
# Start of each metacarpal relative to the capitate, and its direction in degrees from straight up.
_BASES = {"index": (-14.8, -11.5), "middle": (-14.6, 1.0), "ring": (-12.6, 11.0), "little": (-9.8, 19.5)}
_DIRECTIONS = {"thumb": -36.0, "index": -9.0, "middle": -1.0, "ring": 7.5, "little": 17.0}
_THUMB_GAP = 1.6  # mm between trapezium and metacarpal
# Carpal bones: centre (y, x), half-axes across and along, turn in degrees, bend.
_CARPALS = {
    "capitate": (-1.0, 0.5, 7.0, 12.6, -4.0, 0.0),
    "hamate": (-1.0, 12.5, 7.6, 10.0, 16.0, 0.15),
    "trapezoid": (-8.0, -11.5, 6.2, 6.8, -10.0, 0.0),
    "scaphoid": (8.0, -13.5, 6.4, 12.4, -36.0, 0.3),
    "lunate": (14.6, 0.5, 7.2, 9.4, 84.0, 0.35),
    "triquetrum": (10.5, 14.0, 6.4, 8.6, 42.0, 0.1),
    "pisiform": (8.0, 17.5, 4.6, 5.4, 10.0, 0.0),
}


def pose_hand(draw: Draw) -> Hand:
    """Return a hand of random proportions in a random pose.

    Parameters
    ----------
    draw : Draw
        Source of random numbers.

    Returns
    -------
    Hand
        In mm, around the middle of the capitate, the whole turned by up to 15 degrees.
    """
    hand = Hand()
    turn = draw.uniform(-15.0, 15.0)
    stout = draw.around(1.0, 0.07)
    _add_rays(hand, draw, turn, stout, cortex=draw.uniform(0.75, 1.25))
    _add_wrist(hand, draw, turn, stout)
    return hand


def _add_rays(hand: Hand, draw: Draw, turn: float, stout: float, cortex: float) -> None:
    spread = draw.uniform(-0.12, 1.0)  # of the fingers: closed to spread
    tall = draw.around(1.0, 0.03)
    for ray, angle, start in _ray_starts(hand, draw, turn, stout):
        joints = JOINTS.get(ray, JOINTS["finger"])
        ray_length = tall * draw.around(1.0, 0.025)
        sideways = _DIRECTIONS[ray] * 0.75 * spread if ray != "thumb" else draw.around(4.0, 6.0)
        flexion = draw.uniform(0.0, 26.0)
        joint = start
        gap = _THUMB_GAP if ray == "thumb" else 0.0  # of the joint that the next bone begins at
        regions = list(_WIDTHS) if ray != "thumb" else [n for n in _WIDTHS if n != "middle phalanges"]
        for number, (region, length) in enumerate(zip(regions, _LENGTHS[ray], strict=True)):
            if number == 1:
                angle += sideways
            if number:
                angle += draw.around(0.0, 1.8)
                # A flexed finger points at the tube: its bones look shorter.
                length *= float(np.cos(flexion * (0.5 + 0.3 * number) * (np.pi / 180.0)))
            bone, wide = _long_bone(draw, region, ray, along(joint, angle, gap / 2), angle, stout, cortex)
            bone_length = length * ray_length * draw.around(1.0, 0.025)
            bone = replace(bone, length=bone_length)
            hand.bones.append((bone,))
            if joints[number]:
                hand.landmarks[f"{ray}_{joints[number]}"] = joint
            last = number == len(regions) - 1
            gap = 0.0 if last else draw.uniform(1.5, 2.3)
            joint = along(bone.end, angle, gap / 2)
            hand.flesh.append(_flesh_of(bone, number, wide, last))
        hand.landmarks[f"{ray}_tip"] = joint


def _ray_starts(hand: Hand, draw: Draw, turn: float, stout: float) -> Iterator[tuple[str, float, Point]]:
    for ray in RAYS:
        angle = _DIRECTIONS[ray] + draw.around(0.0, 5.0 if ray == "thumb" else 1.5)
        if ray == "thumb":
            # The trapezium carries the thumb: it is laid along the thumb's own axis, under the joint.
            joint = _turned((-6.0 + draw.around(0.0, 1.0), -28.0 * stout), turn)
            reach = 8.0 * stout
            hand.pebbles.append(
                Pebble(along(joint, angle + turn, -reach - _THUMB_GAP / 2), angle + turn, 7.4 * stout, reach)
            )
            yield ray, angle + turn, joint
        else:
            y, x = _BASES[ray]
            yield ray, angle + turn, _turned((y + draw.around(0.0, 0.6), x * stout), turn)


def _long_bone(
    draw: Draw, region: str, ray: str, start: Point, angle: float, stout: float, cortex: float
) -> tuple[Bone, float]:
    base, shaft, head, flesh = _WIDTHS[region]
    size = _STOUTNESS[ray] * stout
    distal = region == "distal phalanges"
    bone = Bone(
        region=REGIONS[region],
        start=start,
        angle=angle,
        length=1.0,
        base=base * size * draw.around(1.0, 0.05),
        shaft=shaft * size * draw.around(1.0, 0.06),
        head=head * size * draw.around(1.0, 0.05),
        cortex=cortex * size * (1.0 if distal else 1.6),
        cup=0.9 * size if region != "metacarpals" else 0.5 * size,
        base_round=1.8 * size,
        head_round=(2.6 if distal else 5.5 if region == "metacarpals" else 3.2) * size,
        flare=0.34 if distal else 0.42,
    )
    return bone, flesh * size


def _flesh_of(bone: Bone, number: int, radius: float, last: bool) -> Flesh:
    if number == 0:
        return Flesh(along(bone.start, bone.angle, 4.0), bone.end, radius * 1.25, radius * 1.12)
    if last:
        return Flesh(bone.start, along(bone.end, bone.angle, -1.5), radius * 1.05, radius * 0.88)
    return Flesh(bone.start, bone.end, radius * 1.02, radius)


def _add_wrist(hand: Hand, draw: Draw, turn: float, stout: float) -> None:
    bow = draw.around(0.0, 5.0)  # the forearm against the hand
    for name, (y, x, across, length, angle, bend) in _CARPALS.items():
        proximal = y > 3.0
        own_turn = turn + (bow / 2 if proximal else 0.0)
        centre = _turned((y + draw.around(0.0, 0.5), x * stout + draw.around(0.0, 0.5)), own_turn)
        size = stout * draw.around(1.0, 0.04)
        hand.pebbles.append(
            Pebble(centre, angle + own_turn + draw.around(0.0, 5.0), across * size, length * size, bend)
        )
        if name == "capitate":
            hand.landmarks["capitate"] = centre
    down = turn + bow
    width = stout * draw.around(1.0, 0.04)
    cortex = draw.uniform(1.2, 1.9)
    radius_end = _turned((23.6, -9.5 * width), down)
    ulna_end = _turned((27.0 + draw.around(0.0, 1.2), 13.0 * width), down)
    _add_forearm_bone(hand, "radius", radius_end, down, (13.6 * width, 6.6 * width, cortex), side=-1.0)
    _add_forearm_bone(hand, "ulna", ulna_end, down, (7.4 * width, 5.2 * width, cortex), side=1.0)
    hand.flesh += [
        Flesh(_turned((0.0, -8.0 * width), turn), _turned((26.0, -6.0 * width), down), 19.0, 17.0),
        Flesh(_turned((0.0, 8.0 * width), turn), _turned((26.0, 7.0 * width), down), 17.0, 16.0),
        Flesh(_turned((26.0, -6.0 * width), down), _turned((140.0, -9.0 * width), down), 17.0, 21.0),
        Flesh(_turned((26.0, 7.0 * width), down), _turned((140.0, 11.0 * width), down), 16.0, 21.0),
    ]


def _add_forearm_bone(
    hand: Hand, name: str, end: Point, down: float, widths: tuple[float, float, float], side: float
) -> None:
    head, shaft, cortex = widths
    region = REGIONS[name]
    # Drawn from far outside the image upwards, so that its head is the wrist end.
    body = Bone(
        region, along(end, down, -130.0), down, 130.0, shaft, shaft, head, cortex, 0.0, 1.0, 2.2, 0.22
    )
    # The styloid is at the outer edge; its tip is the landmark.
    outwards = down + 90.0 * side
    foot_distance, height, foot, point = (
        (0.54, 5.0, 0.46, 0.24) if name == "radius" else (0.66, 5.0, 0.34, 0.26)
    )
    foot_centre = along(along(end, outwards, foot_distance * head), down, -6.0)
    lean = down + side * (12.0 if name == "radius" else 3.0)
    styloid = Bone(
        region, foot_centre, lean, 6.0 + height, foot * head, point * head * 1.5, point * head, 4.0,
        0.0, 1.0, point * head, 0.95,
    )  # fmt: skip
    hand.bones.append((body, styloid))
    hand.landmarks["radial_styloid" if name == "radius" else "ulnar_styloid"] = styloid.end


def _turned(point: Point, angle: float) -> Point:
    radians = angle * (np.pi / 180.0)
    cosine, sine = float(np.cos(radians)), float(np.sin(radians))
    return (cosine * point[0] + sine * point[1], -sine * point[0] + cosine * point[1])
