"""Exposure of a film: scatter, lead marker, shutters, blur and noise."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_landmark.synthetic.chance import Draw
from napari_landmark.synthetic.view import View

# The strokes of an R in a unit square, as (y, x) of both ends.
_LETTER = (
    ((1.0, 0.1), (0.0, 0.1)),
    ((0.0, 0.1), (0.0, 0.55)),
    ((0.0, 0.55), (0.12, 0.72)),
    ((0.12, 0.72), (0.38, 0.72)),
    ((0.38, 0.72), (0.5, 0.55)),
    ((0.5, 0.55), (0.5, 0.1)),
    ((0.5, 0.45), (1.0, 0.78)),
)


def expose(depth: np.ndarray, compact: np.ndarray, spongy: np.ndarray, view: View, draw: Draw) -> np.ndarray:
    """Expose a film through flesh and bone.

    Parameters
    ----------
    depth : numpy.ndarray
        Distance to the skin in mm, ``[y, x]``; negative outside.
    compact, spongy : numpy.ndarray
        Length of each ray within either kind of bone in mm, ``[y, x]``.
    view : View
        Mapping from mm to pixels.
    draw : Draw
        Source of random numbers.

    Returns
    -------
    numpy.ndarray
        uint8 ``[y, x]``; dense is bright.
    """
    thickest = 13.0
    flesh = 2.0 * np.sqrt(thickest**2 - (thickest - np.clip(depth, 0.0, thickest)) ** 2)
    beams = ndimage.gaussian_filter(draw.field(view.shape), 1.0, truncate=3.0) * 3.5
    density = draw.uniform(0.017, 0.022) * flesh
    density += draw.uniform(0.068, 0.086) * compact
    density += draw.uniform(0.022, 0.030) * spongy * (1.0 + 0.10 * beams)
    scatter = draw.uniform(0.02, 0.07) * np.clip(1.0 + np.minimum(depth, 0.0) / 30.0, 0.0, 1.0) ** 2
    film = density + scatter + draw.uniform(0.02, 0.08) + _slope(view, draw)
    _lay_marker(film, depth, view, draw)
    film *= _collimation(view, draw)
    film = ndimage.gaussian_filter(film, draw.uniform(0.45, 0.8), truncate=3.0)

    bright = draw.uniform(1.25, 1.75)
    gamma = draw.uniform(0.65, 1.1)
    share = film / bright
    # Linear at low exposure, saturating like film at high density.
    share = np.where(share < 0.7, share, 0.7 + 0.3 * np.tanh((share - 0.7) / 0.3))
    grey = 255.0 * np.maximum(share, 0.0) ** gamma
    grain = ndimage.gaussian_filter(draw.field(view.shape), 0.5, truncate=3.0)
    grey += grain * draw.uniform(0.8, 2.0) * (1.2 + 2.2 * share)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def _slope(view: View, draw: Draw) -> np.ndarray:
    rows, columns = (np.linspace(-1.0, 1.0, n) for n in view.shape)
    strength = draw.uniform(0.0, 0.04)
    return (
        strength
        + draw.uniform(-1, 1) * strength * rows[:, None] / 2
        + draw.uniform(-1, 1) * strength * columns / 2
    )


def _collimation(view: View, draw: Draw) -> np.ndarray:
    """Return the transmission of the shutters: in some images a dark, straight, slightly turned edge."""
    rows, columns = (np.arange(n, dtype=np.float64) for n in view.shape)
    light = np.ones(view.shape)
    shut = draw.uniform(0.0, 1.0) < 0.45
    for side in range(4):
        used = draw.uniform(0.0, 1.0) < 0.6
        inset = draw.uniform(2.0, 8.5)
        tilt = draw.uniform(-0.012, 0.012)
        if not (shut and used):
            continue
        y, x = (rows[:, None], columns[None, :]) if side < 2 else (columns[None, :], rows[:, None])
        length = view.shape[0] if side < 2 else view.shape[1]
        distance = y if side % 2 == 0 else length - 1 - y
        light *= np.clip(distance - inset + tilt * (x - x.size / 2) + 0.5, 0.06, 1.0)
    return light


def _lay_marker(film: np.ndarray, depth: np.ndarray, view: View, draw: Draw) -> None:
    """Add the lead letter R beside the hand, in some images on a plate."""
    height = draw.uniform(13.0, 19.0)
    turn = draw.uniform(-20.0, 20.0) * (np.pi / 180.0)
    plate = draw.uniform(0.0, 1.0) < 0.5
    centre = _free_place(depth, view, draw, reach=0.75 * height + 4)
    if centre is None:
        return
    reach = int(1.2 * height)
    part = tuple(slice(max(int(middle) - reach, 0), int(middle) + reach + 1) for middle in centre)
    rows, columns = (np.arange(n, dtype=np.float64)[one] for n, one in zip(view.shape, part, strict=True))
    y, x = rows[:, None] - centre[0], columns[None, :] - centre[1]
    cosine, sine = float(np.cos(turn)), float(np.sin(turn))
    v, u = (cosine * y - sine * x) / height + 0.5, (sine * y + cosine * x) / height + 0.45
    distance = np.full(v.shape, np.inf)
    for (v0, u0), (v1, u1) in _LETTER:
        dv, du = v1 - v0, u1 - u0
        share = np.clip(((v - v0) * dv + (u - u0) * du) / (dv * dv + du * du), 0.0, 1.0)
        distance = np.minimum(distance, np.sqrt((v - v0 - share * dv) ** 2 + (u - u0 - share * du) ** 2))
    lead = 1.5 * np.clip((0.09 - distance) * height + 0.5, 0.0, 1.0)
    if plate:
        edge = np.maximum(np.abs(v - 0.5), np.abs(u - 0.45) + 0.08) - 0.72
        lead = np.maximum(lead, 0.22 * np.clip(0.5 - edge * height, 0.0, 1.0))
    np.maximum(film[part], lead, out=film[part])


def _free_place(depth: np.ndarray, view: View, draw: Draw, reach: float) -> tuple[float, float] | None:
    pixels_outside = -depth * view.pixels_per_mm
    border = reach + 10.0  # clear of the shutters
    for _ in range(40):
        y = draw.uniform(border, view.shape[0] - border)
        x = draw.uniform(border, view.shape[1] - border)
        if pixels_outside[int(y), int(x)] > reach:
            return y, x
    return None
