"""Rotations that cover the circle or the sphere evenly."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

_STEP = 15  # degrees, in the plane


def all_rotations(dims: int, count: int = 2000) -> NDArray[np.float64]:
    """Rotations (n, d, d) that cover the circle or the sphere evenly.

    In the plane one every 15 degrees. In space `count` rotations on super-Fibonacci spirals (Alexa, CVPR 2022): with
    2000 any other is within about 15 degrees of one of them, with 1000 within about 19.
    """
    if dims == 2:
        angles = np.radians(np.arange(0, 360, _STEP))
        return np.stack([[[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]] for a in angles])
    phi, psi = math.sqrt(2), 1.533751168755204288118041
    s = np.arange(count) + 0.5
    radius, other = np.sqrt(s / count), np.sqrt(1 - s / count)
    alpha, beta = 2 * np.pi * s / phi, 2 * np.pi * s / psi
    quaternions = np.stack(
        [radius * np.sin(alpha), radius * np.cos(alpha), other * np.sin(beta), other * np.cos(beta)], 1
    )
    return Rotation.from_quat(quaternions).as_matrix()


def rotation_angle(first: NDArray, second: NDArray) -> float:
    """Degrees between two rotations (d, d)."""
    cosine = (np.trace(first.T @ second) - (first.shape[0] - 2)) / 2
    return math.degrees(math.acos(float(np.clip(cosine, -1, 1))))
