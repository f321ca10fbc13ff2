"""Two images with a known shift, as layers of a viewer, and their right transform."""

from __future__ import annotations

import numpy as np
from napari.layers import Image

from napari_landmark.gui.layers.pair_inputs import ChosenLayers
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.registration.transform.transform import Transform

SHAPE, SHIFT = (60, 80), np.array([6.0, -9.0])
FIXED_CENTRE, SIDE = np.array([28.0, 45.0]), np.array([4.0, -3.0])


def blob(centre, shape=SHAPE, size=6.0):
    """A bright spot; `centre` in index coordinates."""
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    return (200 * np.exp(-(((grid - centre) / size) ** 2).sum(-1))).astype(np.uint8)


def shifted(fixed, moving):
    """The right transform: what is at x of the fixed image lies at x + SHIFT of the moving one."""
    matrix, zero = np.asarray(fixed.direction) * (fixed.spacing or (1, 1)), np.asarray(fixed.origin)
    other, origin = np.asarray(moving.direction) * (moving.spacing or (1, 1)), np.asarray(moving.origin)
    linear = other @ np.linalg.inv(matrix)
    offset = origin + other @ SHIFT - linear @ zero
    return Transform.affine(linear, offset, fixed=fixed, moving=moving)


def all_chosen(viewer, **others):
    layers = {
        f"{which}{part}": viewer.layers[f"{title}{name}"]
        for which, name in (("fixed", "first"), ("moving", "second"))
        for part, title in (("", ""), ("_labels", "labels of "), ("_points", "points of "))
    }
    return ChosenLayers(**{**layers, **others})


def twins(pair):
    """Both layers of one size and place."""
    return tuple(Image(pair.fixed.array, name=name) for name in "ab")


def wait(qtbot, viewer):
    qtbot.waitUntil(lambda: get_session(viewer).job is None, timeout=120_000)
