"""Shapes of known pose, scatter and errors."""

from __future__ import annotations

import numpy as np


def poses(count: int, axes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random rotations (never reflections), scales and shifts."""
    rotations = np.linalg.qr(rng.normal(size=(count, axes, axes)))[0]
    rotations[:, :, -1] *= np.sign(np.linalg.det(rotations))[:, None]
    return rotations, rng.uniform(50, 300, count), rng.uniform(-500, 500, (count, axes))


def cohort(
    count: int = 30, landmarks: int = 12, axes: int = 2, *, scatter: float = 0.01, seed: int = 0
) -> np.ndarray:
    """(count, landmarks, axes) positions of one shape with independent scatter, each in a pose of its own."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(-1, 1, (landmarks, axes))
    mean /= np.linalg.norm(mean - mean.mean(0))
    shapes = mean + scatter * rng.normal(size=(count, landmarks, axes))
    rotations, scales, shifts = poses(count, axes, rng)
    return scales[:, None, None] * (shapes @ rotations) + shifts[:, None]
