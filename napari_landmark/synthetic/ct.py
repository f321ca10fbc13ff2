"""Synthetic CT of a head with landmarks and label map."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from napari_landmark.data.geometry import Geometry, SpacingSource
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.synthetic.chance import Draw
from napari_landmark.synthetic.head import HEAD_LANDMARKS, HEAD_REGIONS, Ball, Head, Part, grow_head
from napari_landmark.synthetic.radiograph import Phantom

HEAD_SCHEMA = LandmarkSchema(names=HEAD_LANDMARKS)

_FIELD = 236.0  # mm that the volume shows along each axis, more of a large head
_MARGIN = 12.0  # mm around the landmarks
# Hounsfield units
_AIR, _FLESH, _BRAIN, _FLUID, _SPONGY, _COMPACT, _ENAMEL = -1000.0, 45.0, 35.0, 8.0, 450.0, 1150.0, 2200.0
_CORTEX = 4.0  # mm of compact bone
_INTO_THE_BRAIN = 14.0  # mm
_NEAR = 12.0  # mm around a part in which its distance is known
_NOISE = 14.0
_STEP = 8  # HU that values are rounded to: the files are half as large


def head_phantom(seed: int, *, size: int | None = None) -> Phantom:
    """Draw the CT of a head whose shape, pose and voxels follow from the seed.

    The voxels of head 0 lie along the axes of the patient, those of all others are turned by any angle, as the header
    tells; heads are tilted by some degrees in the world.

    Parameters
    ----------
    seed : int
        Not negative. The same seed gives the same bytes.
    size : int, optional
        Voxels along the longest side. By default they follow from the seed: about 77, of 3.1 mm.

    Returns
    -------
    Phantom
        Named ``head_<seed>.nii.gz``, the seed padded to three digits; Hounsfield units in int16.

    Examples
    --------
    >>> phantom = head_phantom(0, size=24)
    >>> phantom.image.array.shape == phantom.labels.shape
    True
    """
    draw = Draw(seed)
    head = grow_head(draw)
    tilt = _rotation(np.array([draw.around(0.0, 0.04) for _ in range(3)]), 1.0)
    turn = _any_rotation(draw) if seed else np.eye(3)
    points = head.positions()
    shift = np.array([draw.around(0.0, 3.0) for _ in range(3)])
    middle = (points.min(0) + points.max(0)) / 2 + shift
    # In any rotation all landmarks are on the volume.
    side = max(_FIELD, 2.0 * (float(np.sqrt(((points - middle) ** 2).sum(1)).max()) + _MARGIN))
    fine = draw.uniform(2.9, 3.2) if size is None else side / size
    spacing = np.array((fine * draw.uniform(1.0, 1.15), fine, fine))
    shape = tuple(int(length) for length in np.round(side / spacing))
    # Index position -> mm of the head.
    matrix = tilt.T @ turn * spacing
    centre = (np.array(shape) - 1) / 2
    array, labels = _draw(head, _Grid(shape, matrix, middle - matrix @ centre), float(spacing.mean()), draw)
    geometry = Geometry(
        shape,
        spacing=tuple(spacing),
        origin=tuple(tilt @ middle - turn @ (spacing * centre)),
        direction=tuple(map(tuple, turn)),
        spacing_source=SpacingSource.FILE,
        is_anatomical=True,
    )
    positions = (points - middle) @ np.linalg.inv(matrix).T + centre
    image = MedicalImage(array, geometry, f"head_{seed:03d}.nii.gz")
    return Phantom(image, LandmarkSet.from_array(HEAD_SCHEMA, positions), labels)


class _Grid:
    """Voxels in the head: mm = matrix @ index + offset."""

    def __init__(self, shape: tuple[int, ...], matrix: np.ndarray, offset: np.ndarray) -> None:
        self.shape, self._matrix, self._offset = shape, matrix, offset
        self._inverse = np.linalg.inv(matrix)

    def union(self, parts: Iterable[Part]) -> np.ndarray:
        """Return the signed distance in mm to the nearest of several parts, (z, y, x); infinite far away."""
        depth = np.full(self.shape, np.inf)
        for part in parts:
            box = self._around(part)
            np.minimum(depth[box], _distance(part, self._points(box)), out=depth[box])
        return depth

    def _around(self, part: Part) -> tuple[slice, ...]:
        """Return the voxels within some mm of a part."""
        if isinstance(part, Ball):
            ends, reach = np.array([part.centre]), max(part.half_axes)
        else:
            ends, reach = np.array([part.start, part.end]), max(part.start_radius, part.end_radius)
        index = (ends - self._offset) @ self._inverse.T
        margin = (reach + _NEAR) * np.sqrt((self._inverse**2).sum(1))
        low = np.clip(np.floor(index.min(0) - margin), 0, self.shape).astype(int)
        high = np.clip(np.ceil(index.max(0) + margin) + 1, 0, self.shape).astype(int)
        return tuple(slice(a, b) for a, b in zip(low, high, strict=True))

    def _points(self, box: tuple[slice, ...]) -> np.ndarray:
        """Return the positions in mm of voxels, (3, z, y, x)."""
        z, y, x = (np.arange(part.start, part.stop, dtype=np.float64) for part in box)
        first, second, third = (self._matrix[:, axis, None, None, None] for axis in range(3))
        shift = self._offset[:, None, None, None]
        return first * z[:, None, None] + second * y[:, None] + third * x + shift


def _draw(head: Head, grid: _Grid, voxel: float, draw: Draw) -> tuple[np.ndarray, np.ndarray]:
    """Return int16 Hounsfield units and uint8 labels, (z, y, x), of the voxels of a grid."""

    def share(depth: np.ndarray) -> np.ndarray:
        """Part of each voxel that is inside, of signed distances that are negative inside."""
        return np.clip(0.5 - depth / voxel, 0.0, 1.0)

    inside = grid.union([head.brain])
    thick = grid.union([Ball(head.brain.centre, _grown(head.brain, head.thickness))])
    # The base of the skull grows into the braincase, by some mm at most.
    skull = np.minimum(
        np.maximum(thick, -inside), np.maximum(grid.union(head.skull), -inside - _INTO_THE_BRAIN)
    )
    openings, air = grid.union(head.openings), grid.union(head.air)
    skull = np.maximum(np.maximum(skull, -openings), -air)
    mandible, teeth, neck = (grid.union(parts) for parts in (head.mandible, head.teeth, head.vertebrae))
    bones = (skull, mandible, neck)
    flesh = np.minimum(grid.union(head.flesh), np.minimum(thick, np.minimum.reduce(bones)) - 2.0)

    values: np.ndarray = np.full(inside.shape, _AIR)
    for depth, inner, surface in (
        (flesh, _FLESH, _FLESH),
        (inside, _BRAIN, _BRAIN),
        (grid.union(head.ventricles), _FLUID, _FLUID),
        (air, _AIR, _AIR),
        *((bone, _SPONGY, _COMPACT) for bone in bones),
        (teeth, _ENAMEL, _ENAMEL),
    ):
        part = share(depth)
        own = surface + (inner - surface) * np.clip(-depth / _CORTEX, 0.0, 1.0)
        values += part * (own - values)
    labels = np.zeros(inside.shape, np.uint8)
    for name, depth in (
        ("soft tissue", flesh),
        ("brain", inside),
        ("background", air),
        ("skull", skull),
        ("mandible", mandible),
        ("vertebrae", neck),
        ("teeth", teeth),
    ):
        labels[depth <= 0] = HEAD_REGIONS[name]
    columns = values.shape[-1]
    noise = draw.field((values.size // columns, columns)).reshape(values.shape) * _NOISE
    values += np.where(values > -900.0, noise, 0.0)  # air packs well
    return np.rint(values / _STEP).astype(np.int16) * np.int16(_STEP), labels


def _distance(part: Part, grid: np.ndarray) -> np.ndarray:
    """Return the signed distance in mm to a part, of an ellipsoid to first order at its surface."""
    if isinstance(part, Ball):
        half_axes = np.array(part.half_axes)[:, None, None, None]
        offset = (grid - np.array(part.centre)[:, None, None, None]) / half_axes
        radius = np.sqrt((offset**2).sum(0))
        slope = np.sqrt(((offset / half_axes) ** 2).sum(0))
        return radius * (radius - 1.0) / np.maximum(slope, 1e-9)
    start, step = np.array(part.start), np.subtract(part.end, part.start)
    offset = grid - start[:, None, None, None]
    along = np.clip(np.einsum("i,i...->...", step, offset) / (step @ step), 0.0, 1.0)
    away = np.sqrt(((offset - step[:, None, None, None] * along) ** 2).sum(0))
    return away - (part.start_radius + (part.end_radius - part.start_radius) * along)


def _grown(ball: Ball, by: float) -> tuple[float, float, float]:
    z, y, x = (half_axis + by for half_axis in ball.half_axes)
    return z, y, x


def _any_rotation(draw: Draw) -> np.ndarray:
    """Return a (3, 3) rotation, all of them equally likely."""
    while True:
        quaternion = np.array([draw.uniform(-1.0, 1.0) for _ in range(4)])
        length = float(np.sqrt((quaternion**2).sum()))
        if 0.1 < length <= 1.0:  # of those in the ball every direction is equally likely
            break
    angle = 2.0 * np.arccos(np.clip(quaternion[0] / length, -1.0, 1.0))
    return _rotation(quaternion[1:], angle / max(float(np.sqrt((quaternion[1:] ** 2).sum())), 1e-9))


def _rotation(vector: np.ndarray, factor: float) -> np.ndarray:
    """Return the (3, 3) rotation around a vector by its length in radians times a factor."""
    angle = factor * float(np.sqrt((vector**2).sum()))
    axis = vector / max(float(np.sqrt((vector**2).sum())), 1e-9)
    cross = np.array(((0.0, -axis[2], axis[1]), (axis[2], 0.0, -axis[0]), (-axis[1], axis[0], 0.0)))
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross
