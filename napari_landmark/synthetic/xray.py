"""Projection of a hand to a radiograph: thickness along the rays.

Bones are hollow tubes and shells whose chords are added up: the cortex is bright and the marrow darker
by their thickness alone.
"""

from __future__ import annotations

import numpy as np

from napari_landmark.synthetic.chance import Draw
from napari_landmark.synthetic.film import expose
from napari_landmark.synthetic.hand import REGIONS, Bone, Hand, Pebble
from napari_landmark.synthetic.view import View

_FAR = 1e3  # mm; further than any hand reaches


def draw_radiograph(hand: Hand, view: View, draw: Draw) -> tuple[np.ndarray, np.ndarray]:
    """Draw a hand as a radiograph, with the label map that belongs to it.

    Parameters
    ----------
    hand : Hand
        Anatomy in mm.
    view : View
        Mapping from mm to pixels.
    draw : Draw
        Source of random numbers for exposure and noise.

    Returns
    -------
    image : numpy.ndarray
        uint8, ``view.shape``; dense is bright.
    labels : numpy.ndarray
        uint8, ``view.shape``; values of ``REGIONS``.
    """
    depth = _depth_in_flesh(hand, view)
    labels = (depth > 0).astype(np.uint8) * np.uint8(REGIONS["soft tissue"])
    # Bone comes in two kinds: compact (cortex) and spongy (marrow between beams).
    compact = np.zeros(view.shape)
    spongy = np.zeros(view.shape)
    rows, columns = view.grid()
    for pebble in hand.pebbles:
        part = view.window(pebble.centre, 1.3 * max(pebble.across, pebble.along))
        outer, inner = _pebble_chords(pebble, rows[part[0]], columns[:, part[1]])
        compact[part] += outer - inner
        spongy[part] += 0.75 * inner
        labels[part][outer > 0] = REGIONS["carpals"]
    for group in hand.bones:
        part, outer, inner, beams = _group_chords(group, view, rows, columns)
        compact[part] += outer - inner
        spongy[part] += beams
        labels[part][outer > 0] = group[0].region
    return expose(depth, compact, spongy, view, draw), labels


def _depth_in_flesh(hand: Hand, view: View) -> np.ndarray:
    # The outline is smooth: every second pixel is computed, the rest is interpolated.
    rows, columns = view.grid(step=2)
    distance = np.full((rows.shape[0], columns.shape[1]), _FAR)
    for flesh in hand.flesh:
        dy, dx = flesh.end[0] - flesh.start[0], flesh.end[1] - flesh.start[1]
        y, x = rows - flesh.start[0], columns - flesh.start[1]
        share = np.clip((y * dy + x * dx) / (dy * dy + dx * dx), 0.0, 1.0)
        radius = flesh.start_radius + share * (flesh.end_radius - flesh.start_radius)
        single = np.sqrt((y - share * dy) ** 2 + (x - share * dx) ** 2) - radius
        # A smooth minimum: neighbours flow into one another, as at the webs between the fingers.
        blend = np.maximum(4.0 - np.abs(distance - single), 0.0)
        distance = np.minimum(distance, single) - blend * blend / 16.0
    for axis in (0, 1):
        distance = np.moveaxis(distance, axis, 0)
        doubled = np.empty((2 * distance.shape[0] - 1, distance.shape[1]))
        doubled[::2] = distance
        doubled[1::2] = 0.5 * (distance[:-1] + distance[1:])
        distance = np.moveaxis(doubled, 0, axis)
    return -distance[: view.shape[0], : view.shape[1]]


def _group_chords(
    group: tuple[Bone, ...], view: View, rows: np.ndarray, columns: np.ndarray
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray, np.ndarray]:
    # The first bone of a group is the largest by far: its window holds the others.
    main = group[0]
    middle = ((main.start[0] + main.end[0]) / 2, (main.start[1] + main.end[1]) / 2)
    part = view.window(middle, main.length / 2 + max(main.base, main.head) + 1)
    chords = [_bone_chords(bone, rows[part[0]], columns[:, part[1]]) for bone in group]
    outer, inner, beams = (np.maximum.reduce(same) for same in zip(*chords, strict=True))
    return part, outer, inner, beams


def _bone_chords(
    bone: Bone, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the length of each ray within the bone, within its marrow, and in spongy bone (mm)."""
    radians = bone.angle * (np.pi / 180.0)
    cosine, sine = float(np.cos(radians)), float(np.sin(radians))
    y, x = rows - bone.start[0], columns - bone.start[1]
    up = -cosine * y + sine * x
    across = sine * y + cosine * x
    near = (up > -bone.cup - 1) & (up < bone.length + 1) & (np.abs(across) < max(bone.base, bone.head) + 1)
    outer, inner, beams = (np.zeros(up.shape) for _ in range(3))
    up, square = up[near], across[near] ** 2

    share = np.clip(up / bone.length, 0.0, 1.0)
    at_base, at_head = (_smooth(1.0 - end / bone.flare) for end in (share, 1.0 - share))
    width = bone.shaft + (bone.base - bone.shaft) * at_base + (bone.head - bone.shaft) * at_head
    from_base = up + bone.cup * np.minimum(square / bone.base**2, 1.0)
    from_head = bone.length - up
    ends = np.maximum(at_base, at_head)

    def half_width(plate: float, wall: np.ndarray | float) -> np.ndarray:
        base = np.clip(1.0 - (from_base - plate) / bone.base_round, 0.0, 1.0)
        head = np.clip(1.0 - (from_head - plate) / bone.head_round, 0.0, 1.0)
        base *= base  # squarer than the head
        return np.maximum(width - wall, 0.0) * np.sqrt((1.0 - base * base) * (1.0 - head * head))

    wall = bone.cortex * (1.0 - 0.72 * ends)
    whole = 2.0 * np.sqrt(np.maximum(half_width(0.0, 0.0) ** 2 - square, 0.0))
    hollow = 2.0 * np.sqrt(np.maximum(half_width(0.7, wall) ** 2 - square, 0.0))
    outer[near] = whole
    inner[near] = np.minimum(hollow, whole)
    beams[near] = inner[near] * (0.2 + 0.55 * ends)
    return outer, inner, beams


def _pebble_chords(pebble: Pebble, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    radians = pebble.angle * (np.pi / 180.0)
    cosine, sine = float(np.cos(radians)), float(np.sin(radians))
    y, x = rows - pebble.centre[0], columns - pebble.centre[1]
    up = -cosine * y + sine * x
    across = sine * y + cosine * x + pebble.bend * (up * up / pebble.along - 0.4 * pebble.along)
    thick = 0.8 * (pebble.across + pebble.along)  # depth along the rays

    def chord(shell: float) -> np.ndarray:
        # The power of four makes it blockier than an ellipse.
        a = (across / (pebble.across - shell)) ** 2
        b = (up / (pebble.along - shell)) ** 2
        return (thick - 2 * shell) * np.sqrt(np.maximum(1.0 - a - b + 0.35 * a * b * (2.0 - a - b), 0.0))

    outer = chord(0.0)
    return outer, np.minimum(chord(pebble.shell), outer)


def _smooth(share: np.ndarray) -> np.ndarray:
    share = np.clip(share, 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)
