"""Transform between two images: a displacement field, applied to points, images, label maps and landmarks."""

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
    extend_to_cover,
    grid_over,
    index_to_world,
    world_geometry,
)
from napari_landmark.registration.transform.resampling import warp_array, warp_label_array

if TYPE_CHECKING:
    import SimpleITK as sitk

# SimpleITK, which reads and writes the files, is slow to import: only where it is needed.

_TOLERANCE = 1e-6  # of a pixel of the moving image


@dataclass(frozen=True, eq=False)
class Transform:
    """Pull-back from a fixed to a moving image by a displacement field.

    In world coordinates a point x of the fixed image maps to ``phi(x) = x + u(x)`` in the moving image; u is
    linear between the points of the grid, and its border is repeated outside. An image without a known spacing
    has index coordinates as its world, see `world_geometry`.

    Parameters
    ----------
    fixed, moving : Geometry
        Of the two images as they were read.
    grid : Geometry
        Points of the field in the world of the fixed image; its spacing is known.
    displacement : (*grid.shape, d) array
        u, in the unit of the worlds and in array axis order; kept as float32.

    Raises
    ------
    InputError
        A picture with a volume.
    ValueError
        A displacement of another shape than the grid, or values that are not finite.

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
    displacement: NDArray[np.floating]

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
        """Build ``phi(x) = matrix @ x + offset`` in world coordinates, array axis order.

        The default `grid` is a coarse one, on which an affine map is exact and which reaches beyond the fixed
        image by half its size on every side.
        """
        check_alike(fixed, moving)
        grid = coarse_grid(world_geometry(fixed)) if grid is None else grid
        points = grid.to_world(field.grid_points(grid.shape))
        values = points @ (np.asarray(matrix, dtype=np.float64) - np.eye(fixed.ndim)).T + np.asarray(offset)
        return cls(fixed, moving, grid, values.reshape(*grid.shape, fixed.ndim))

    @classmethod
    def identity(cls, fixed: Geometry, moving: Geometry) -> Transform:
        """Build the identity of world coordinates."""
        return cls.affine(np.eye(fixed.ndim), np.zeros(fixed.ndim), fixed=fixed, moving=moving)

    @property
    def unit(self) -> str:
        """Unit of lengths in the fixed image: 'mm' or, if its spacing is not known, 'px'."""
        return "mm" if self.fixed.has_spacing else "px"

    @cached_property
    def fixed_world(self) -> Geometry:
        """World geometry of the fixed image."""
        return world_geometry(self.fixed)

    @cached_property
    def moving_world(self) -> Geometry:
        """World geometry of the moving image."""
        return world_geometry(self.moving)

    def to_moving(self, points: ArrayLike) -> NDArray[np.float64]:
        """Map points of the fixed to the moving image.

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
        mapped = np.full_like(given, np.nan)
        mapped[known] = self.moving_world.to_index(
            world + field.sample(self.displacement, self.grid.to_index(world))
        )
        return mapped

    def to_fixed(self, points: ArrayLike) -> NDArray[np.float64]:
        """Map points of the moving to the fixed image: the inverse of `to_moving`, solved point by point.

        Parameters
        ----------
        points : (n, d) array_like
            Index coordinates of the moving image; NaN gives NaN.

        Returns
        -------
        (n, d) array
            Index coordinates of the fixed image; NaN if no point maps there. If the field folds and several
            points do, one of them.
        """
        given = as_points(points, self.fixed.ndim)
        known = np.isfinite(given).all(axis=1)
        matrix, offset = index_to_world(self.grid)
        solutions = field.solve(
            self.displacement,
            matrix,
            offset,
            self.moving_world.to_world(given[known]),
            tolerance=_TOLERANCE * min(self.moving_world.spacing or ()),
        )
        mapped = np.full_like(given, np.nan)
        mapped[known] = self.fixed_world.to_index(self.grid.to_world(solutions))
        return mapped

    def warp_image(self, image: MedicalImage) -> MedicalImage:
        """Resample the moving image to the pixels of the fixed one.

        Linear between pixels, the border repeated outside; the data type and the name are kept.

        Raises
        ------
        ValueError
            The image has another shape than the moving image.
        """
        self._check_shape(image.array.shape)
        return MedicalImage(warp_array(image.array, self.to_moving, self.fixed.shape), self.fixed, image.name)

    def warp_labels(self, labels: NDArray) -> NDArray:
        """Resample a label map of the moving image to the pixels of the fixed one.

        Every pixel gets the label with the largest linear weight among its neighbours in the moving image, the
        smaller one of equals; 0 outside the moving image. No new labels arise.

        Parameters
        ----------
        labels : array of int, shape of the moving image

        Returns
        -------
        array of the same type, shape of the fixed image

        Raises
        ------
        ValueError
            The map has another shape than the moving image.
        """
        self._check_shape(labels.shape)
        return warp_label_array(labels, self.to_moving, self.fixed.shape)

    def warp_landmarks(self, landmarks: LandmarkSet) -> LandmarkSet:
        """Map landmarks of the moving image to the fixed one.

        A landmark with a position becomes PREDICTED and keeps its confidence; its expected error, which does not
        include that of the registration, is dropped. MISSING stays MISSING. A landmark that no point of the fixed
        image maps to becomes UNPLACED.
        """
        positions = self.to_fixed(landmarks.positions(self.fixed.ndim))
        warped = []
        for landmark, position in zip(landmarks.values(), positions, strict=True):
            if landmark.position is None:
                warped.append(landmark)
            elif np.isfinite(position).all():
                mapped = tuple(position.tolist())
                warped.append(Landmark(landmark.name, mapped, Status.PREDICTED, landmark.confidence))
        return LandmarkSet(landmarks.schema, warped)

    def jacobian(self) -> NDArray[np.float64]:
        """Determinant of d phi / d x in world coordinates at every grid point, in the shape of the grid.

        Central differences, one-sided at the border: exact for an affine map. Below 1 the moving image is
        magnified, above 1 it is shrunk, at 0 and below the field folds.
        """
        matrix, _ = index_to_world(self.grid)
        return field.jacobian_determinant(self.displacement, matrix)

    def folding_percent(self, mask: NDArray[np.bool_] | None = None) -> float:
        """Percentage of grid points at which the field folds: singular, or of another orientation than the whole.

        A map that mirrors the whole image does not fold: two files may keep their pixels in opposite order.

        Parameters
        ----------
        mask : bool array, shape of the grid, optional
            Grid points that count; those inside the fixed image by default.
        """
        matrix, offset = index_to_world(self.grid)
        folded = self.jacobian() * field.orientation(self.displacement, matrix, offset) <= 0
        if mask is None:
            world = self.grid.to_world(field.grid_points(self.grid.shape))
            # The small margin takes care of rounding errors.
            mask = self.fixed.contains(self.fixed_world.to_index(world), 1e-6).reshape(self.grid.shape)
        return float(100 * folded[mask].mean()) if mask.any() else 0.0

    def inverse(self) -> Transform:
        """Invert the transform, on a grid over the moving image about as fine as this one.

        Linear between its grid points it is an approximation; `to_fixed` is exact.

        Raises
        ------
        InputError
            No point of the moving image can be mapped back.
        """
        grid = grid_over(self.moving_world, int(np.prod(self.grid.shape)))
        points = grid.to_world(field.grid_points(grid.shape))
        mapped = self.fixed_world.to_world(self.to_fixed(self.moving_world.to_index(points)))
        values = (mapped - points).reshape(*grid.shape, self.fixed.ndim)
        return Transform(self.moving, self.fixed, grid, _filled(values))

    def save(self, path: str | Path, *, names: tuple[str, str] = ("", "")) -> None:
        """Write the field for ITK (.nrrd, .nii.gz, .mha) and a JSON description of the same stem.

        Parameters
        ----------
        path : str or Path
            File of the field.
        names : tuple of str, optional
            Names of the fixed and of the moving image, for the reader.

        Raises
        ------
        InputError
            Another suffix, or a folder that cannot be written.
        """
        from napari_landmark.registration.transform.transform_file import write_transform_file

        write_transform_file(
            Path(path),
            fixed=self.fixed,
            moving=self.moving,
            grid=self.grid,
            displacement=self.displacement,
            names=names,
        )

    @classmethod
    def load(cls, path: str | Path) -> Transform:
        """Read the files written by `save`; `InputError` if one is missing or damaged."""
        from napari_landmark.registration.transform.transform_file import read_transform_file

        return cls(*read_transform_file(Path(path)))

    def to_itk(self) -> sitk.DisplacementFieldTransform:
        """Convert to SimpleITK: ``sitk.Resample(moving, fixed, transform.to_itk())``.

        The images given to SimpleITK need the geometries `fixed_world` and `moving_world`.
        """
        import SimpleITK as sitk

        from napari_landmark.data.images.vector_field import vector_image

        # ITK displaces nothing outside of a field.
        covering = extend_to_cover(self.displacement, self.grid, self.fixed_world)
        return sitk.DisplacementFieldTransform(vector_image(*covering))

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if shape != self.moving.shape:
            raise ValueError(f"an array of shape {shape} for a moving image of {self.moving.shape}")


def _filled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """NaN replaced by the nearest known displacement."""
    from scipy.ndimage import distance_transform_edt

    unknown = np.asarray(np.isnan(values).any(axis=-1))
    if not unknown.any():
        return values
    if unknown.all():
        raise InputError("a transform that collapses the image cannot be inverted")
    nearest = distance_transform_edt(unknown, return_distances=False, return_indices=True)
    return values[tuple(nearest)]
