"""Superimposition of the landmarks of two images of one person on chosen landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSet


@dataclass(frozen=True, eq=False)
class Superimposition:
    """Landmarks of a moving image on those of a fixed one.

    Parameters
    ----------
    names : tuple of str
        Landmarks that have a position in both images.
    moved : (n, ndim) array
        Their positions of the moving image, in index coordinates of the fixed one.
    differences : (n, ndim) array
        From the fixed to the moved position along the axes of the fixed image, in the unit.
    rms : float
        Root mean square distance of the landmarks that it is superimposed on.
    unit : str
        'mm' or 'px'.
    scale : float
        Factor by which the moving image was enlarged; 1 where both spacings are known, so that growth is seen.
    """

    names: tuple[str, ...]
    moved: NDArray[np.float64]
    differences: NDArray[np.float64]
    rms: float
    unit: str
    scale: float

    @property
    def distances(self) -> NDArray[np.float64]:
        """(n,) lengths of the differences."""
        return np.linalg.norm(self.differences, axis=1)


def superimpose(
    fixed: LandmarkSet,
    moving: LandmarkSet,
    on: Sequence[str],
    *,
    fixed_geometry: Geometry,
    moving_geometry: Geometry,
) -> Superimposition:
    """Superimpose a moving image on a fixed one by least squares, without reflection (Kabsch 1976, Umeyama 1991).

    Where both spacings are known it is rotated and shifted in mm; else it is scaled as well, in square pixels.

    Parameters
    ----------
    fixed, moving : LandmarkSet
    on : sequence of str
        Landmarks to superimpose on: two or more of a picture, three or more of a volume.
    fixed_geometry, moving_geometry : Geometry

    Raises
    ------
    InputError
        A landmark to superimpose on has no position in one of the images, or there are too few different ones.
    """
    ndim = fixed_geometry.ndim
    if moving_geometry.ndim != ndim:
        raise InputError("a picture and a volume cannot be superimposed: choose another image")
    for title, marks in (("this image", fixed), ("the other image", moving)):
        for name in on:
            if name not in marks or marks[name].position is None:
                raise InputError(f"{name}: has no position in {title}: place it, or leave it out here")
    if len(set(on)) < ndim:
        raise InputError(f"{len(set(on))} landmarks to superimpose on: choose {ndim} or more")
    in_mm = fixed_geometry.spacing is not None and moving_geometry.spacing is not None
    steps = [np.array(geometry.spacing if in_mm and geometry.spacing else (1.0,) * ndim)
             for geometry in (fixed_geometry, moving_geometry)]  # fmt: skip
    both = [name for name in fixed if fixed[name].position is not None]
    names = tuple(name for name in both if name in moving and moving[name].position is not None)
    target = np.array([fixed[name].position for name in names]) * steps[0]
    source = np.array([moving[name].position for name in names]) * steps[1]
    rows = [names.index(name) for name in on]
    a, b = target[rows], source[rows]
    centre_a, centre_b = a.mean(axis=0), b.mean(axis=0)
    left, values, right = np.linalg.svd((a - centre_a).T @ (b - centre_b))
    if not values[0] > 0 or (ndim == 3 and not values[1] > 1e-9 * values[0]):
        raise InputError(f"the landmarks {', '.join(on)} do not tell the rotation: choose others")
    signs = np.ones(ndim)
    signs[-1] = np.sign(np.linalg.det(left @ right)) or 1.0
    rotation = left @ np.diag(signs) @ right
    scale = 1.0 if in_mm else float((values * signs).sum() / np.sum((b - centre_b) ** 2))
    moved = scale * (source - centre_b) @ rotation.T + centre_a
    differences = moved - target
    rms = float(np.sqrt(np.mean(np.sum(differences[rows] ** 2, axis=1))))
    return Superimposition(names, moved / steps[0], differences, rms, "mm" if in_mm else "px", scale)
