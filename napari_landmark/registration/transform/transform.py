"""How one image lies over another: a displacement field, and what it does to images, labels and landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry, as_points
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import Landmark, LandmarkSet, Status
from napari_landmark.registration.transform import fields_numpy as field
from napari_landmark.registration.transform.grids import (
    check_alike,
    coarse_grid,
    grid_over,
    index_to_world,
    world_geometry,
)
from napari_landmark.registration.transform.resampling import warp_array, warp_label_array

if TYPE_CHECKING:
    import SimpleITK as sitk

__all__ = ["Transform", "world_geometry"]

_TOLERANCE = 1e-6  # of a pixel of the moving image


@dataclass(frozen=True, eq=False)
class Transform:
    """Where every point of a fixed image lies in a moving image (a pull-back).

    In world coordinates a point x of the fixed image lies at ``phi(x) = x + u(x)`` in the moving image, where u
    is linear between the points of the grid and repeats its border outside. The world of an image without a
    known spacing are its index coordinates, see `world_geometry`.

    Parameters
    ----------
    fixed, moving : Geometry
        Of the two images as they were read.
    grid : Geometry
        Where the displacements lie in the world of the fixed image; its spacing is known.
    displacement : (*grid.shape, d) array
        u, in the unit of the worlds and in array axis order; kept as float32.

    Examples
    --------
    >>> geometry = Geometry((40, 50))
    >>> shift = Transform.affine(np.eye(2), (3, 0), fixed=geometry, moving=geometry)
    >>> shift.to_moving([[10, 20]]).round(3).tolist(), shift.to_fixed([[10, 20]]).round(3).tolist()
    ([[13.0, 20.0]], [[7.0, 20.0]])
    """

    fixed: Geometry
    moving: Geometry
    grid: Geometry
    displacement: NDArray[np.float32]

    def __post_init__(self) -> None:
        check_alike(self.fixed, self.moving)
        values = np.ascontiguousarray(self.displacement, dtype=np.float32)
        if values.shape != (*self.grid.shape, self.fixed.ndim) or not self.grid.has_spacing:
            raise ValueError(f"a displacement of shape {values.shape} on the grid {self.grid}")
        if not np.isfinite(values).all():
            raise ValueError("a displacement that is not finite")
        object.__setattr__(self, "displacement", values)

    @classmethod
    def affine(
        cls,
        matrix: ArrayLike,
        offset: ArrayLike,
        *,
        fixed: Geometry,
        moving: Geometry,
        grid: Geometry | None = None,
    ) -> Transform:
        """``phi(x) = matrix @ x + offset`` in world coordinates, array axis order.

        Without a `grid` it is a coarse one, which holds an affine map exactly and reaches beyond the fixed
        image by half its size on every side.
        """
        check_alike(fixed, moving)
        grid = coarse_grid(world_geometry(fixed)) if grid is None else grid
        points = grid.to_world(field.grid_points(grid.shape))
        values = points @ (np.asarray(matrix, dtype=np.float64) - np.eye(fixed.ndim)).T + np.asarray(offset)
        return cls(fixed, moving, grid, values.reshape(*grid.shape, fixed.ndim))

    @classmethod
    def identity(cls, fixed: Geometry, moving: Geometry) -> Transform:
        """The worlds of the two images laid over each other."""
        return cls.affine(np.eye(fixed.ndim), np.zeros(fixed.ndim), fixed=fixed, moving=moving)

    @property
    def unit(self) -> str:
        """Of lengths in the fixed image, 'mm' or, where its spacing is not known, 'px'."""
        return "mm" if self.fixed.has_spacing else "px"

    @cached_property
    def fixed_world(self) -> Geometry:
        """The fixed image in its world."""
        return world_geometry(self.fixed)

    @cached_property
    def moving_world(self) -> Geometry:
        """The moving image in its world."""
        return world_geometry(self.moving)

    def to_moving(self, points: ArrayLike) -> NDArray[np.float64]:
        """Where points of the fixed image lie in the moving image.

        Parameters
        ----------
        points : (n, d) array_like
            Index coordinates of the fixed image; NaN gives NaN.

        Returns
        -------
        (n, d) array
            Index coordinates of the moving image.
        """
        given = as_points(points, self.fixed.ndim)
        known = np.isfinite(given).all(axis=1)
        world = self.fixed_world.to_world(given[known])
        moved = np.full_like(given, np.nan)
        moved[known] = self.moving_world.to_index(
            world + field.sample(self.displacement, self.grid.to_index(world))
        )
        return moved

    def to_fixed(self, points: ArrayLike) -> NDArray[np.float64]:
        """Which points of the fixed image lie at these points of the moving image.

        Parameters
        ----------
        points : (n, d) array_like
            Index coordinates of the moving image; NaN gives NaN.

        Returns
        -------
        (n, d) array
            Index coordinates of the fixed image, NaN where there is no such point. Where the field folds several
            points onto one place, it is one of them.
        """
        given = as_points(points, self.fixed.ndim)
        known = np.isfinite(given).all(axis=1)
        matrix, offset = index_to_world(self.grid)
        places = field.solve(
            self.displacement,
            matrix,
            offset,
            self.moving_world.to_world(given[known]),
            _TOLERANCE * min(self.moving_world.spacing or ()),
        )
        carried = np.full_like(given, np.nan)
        carried[known] = self.fixed_world.to_index(self.grid.to_world(places))
        return carried

    def warp_image(self, image: MedicalImage) -> MedicalImage:
        """The moving image on the pixels of the fixed one.

        Linear between pixels, the border repeated outside; the type of the numbers and the name are kept.
        """
        self._check_shape(image.array.shape)
        return MedicalImage(warp_array(image.array, self.to_moving, self.fixed.shape), self.fixed, image.name)

    def warp_labels(self, labels: NDArray) -> NDArray:
        """A label map of the moving image on the pixels of the fixed one.

        Every pixel gets the label with the largest share in the moving pixels around its place, the smaller one
        of equals; outside the moving image it is 0. No other labels come into being.

        Parameters
        ----------
        labels : array of int, shape of the moving image

        Returns
        -------
        array of the same type, shape of the fixed image
        """
        self._check_shape(labels.shape)
        return warp_label_array(labels, self.to_moving, self.fixed.shape)

    def warp_landmarks(self, landmarks: LandmarkSet) -> LandmarkSet:
        """Landmarks of the moving image in the fixed one.

        What has a position becomes PREDICTED, since a machine moved it, and keeps its confidence; an expected
        error said nothing about the registration and is dropped. Missing stays missing. What cannot be carried
        over is UNPLACED.
        """
        positions = self.to_fixed(landmarks.positions(self.fixed.ndim))
        carried = []
        for landmark, position in zip(landmarks.values(), positions, strict=True):
            if landmark.position is None:
                carried.append(landmark)
            elif np.isfinite(position).all():
                place = tuple(position.tolist())
                carried.append(Landmark(landmark.name, place, Status.PREDICTED, landmark.confidence))
        return LandmarkSet(landmarks.schema, carried)

    def jacobian(self) -> NDArray[np.float64]:
        """Determinant of d phi / d x in world coordinates at every grid point, in the shape of the grid.

        Central differences, one-sided at the border: exact where the map is affine. Below 1 the moving image is
        magnified, above 1 it is shrunk, at 0 and below the field folds.
        """
        matrix, _ = index_to_world(self.grid)
        return field.jacobian_determinant(self.displacement, matrix)

    def folding_percent(self, mask: NDArray[np.bool_] | None = None) -> float:
        """Percentage of grid points at which the field folds: where it is flat, or turned over against the whole.

        A map that mirrors the whole image does not fold: two files may hold their pixels in opposite order.

        Parameters
        ----------
        mask : bool array, shape of the grid, optional
            Which grid points count; those that lie on the fixed image by default.
        """
        matrix, offset = index_to_world(self.grid)
        folded = self.jacobian() * field.orientation(self.displacement, matrix, offset) <= 0
        if mask is None:
            world = self.grid.to_world(field.grid_points(self.grid.shape))
            # The small margin takes care of rounding errors.
            mask = self.fixed.contains(self.fixed_world.to_index(world), 1e-6).reshape(self.grid.shape)
        return float(100 * folded[mask].mean()) if mask.any() else 0.0

    def inverse(self) -> Transform:
        """The transform the other way round, on a grid over the moving image about as fine as this one.

        Linear between its grid points it is an approximation; `to_fixed` is exact.
        """
        grid = grid_over(self.moving_world, int(np.prod(self.grid.shape)))
        points = grid.to_world(field.grid_points(grid.shape))
        carried = self.fixed_world.to_world(self.to_fixed(self.moving_world.to_index(points)))
        values = (carried - points).reshape(*grid.shape, self.fixed.ndim)
        return Transform(self.moving, self.fixed, grid, _filled(values))

    def save(self, path: str | Path, *, names: tuple[str, str] = ("", "")) -> None:
        """Write the field for ITK (.nrrd, .nii.gz, .mha) and a JSON file of the same stem beside it.

        Parameters
        ----------
        path : str or Path
            The field's file.
        names : tuple of str, optional
            Names of the fixed and of the moving image, for the reader.
        """
        from napari_landmark.registration.transform.transform_file import save_transform

        save_transform(self, Path(path), names)

    @classmethod
    def load(cls, path: str | Path) -> Transform:
        """Read what `save` wrote; InputError where that is not possible."""
        from napari_landmark.registration.transform.transform_file import load_transform

        return load_transform(Path(path))

    def to_itk(self) -> sitk.DisplacementFieldTransform:
        """The same map for SimpleITK: ``sitk.Resample(moving, fixed, transform.to_itk())``.

        The images given to SimpleITK need the places of `fixed_world` and `moving_world`.
        """
        import SimpleITK as sitk

        from napari_landmark.data.images.vector_field import vector_image
        from napari_landmark.registration.transform.transform_file import covering_field

        return sitk.DisplacementFieldTransform(vector_image(*covering_field(self)))

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if shape != self.moving.shape:
            raise ValueError(f"an array of shape {shape} for a moving image of {self.moving.shape}")


def _filled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """NaN replaced by the nearest known displacement."""
    from scipy.ndimage import distance_transform_edt

    unknown = np.isnan(values).any(axis=-1)
    if not unknown.any():
        return values
    if unknown.all():
        raise InputError("a transform that collapses the image cannot be inverted")
    nearest = distance_transform_edt(unknown, return_distances=False, return_indices=True)
    return values[tuple(nearest)]
