"""Read and write displacement fields as NRRD, NIfTI or MetaImage, axes and components in array order."""

from __future__ import annotations

import gzip
import tempfile
import zlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.geometry import Geometry, SpacingSource
from napari_landmark.data.images.itk_file import quiet_itk
from napari_landmark.data.images.itk_header import check_unit, checked_header
from napari_landmark.data.images.memory_limit import check_fits
from napari_landmark.data.images.nifti import check_nifti_header

VECTOR_SUFFIXES = (".nrrd", ".nii.gz", ".mha")


def vector_suffix(path: Path) -> str:
    """The suffix of a file's name; InputError for a file that cannot hold vectors."""
    for suffix in VECTOR_SUFFIXES:
        if path.name.lower().endswith(suffix):
            return suffix
    raise InputError(f"{path}: vectors are saved in files that end in {', '.join(VECTOR_SUFFIXES)}")


def vector_image(vectors: NDArray, geometry: Geometry) -> sitk.Image:
    """The field as an ITK image: float64, components in the order x, y, z.

    Parameters
    ----------
    vectors : (*shape, d) array
        World vectors in array axis order.
    geometry : Geometry
        Of the same shape, its spacing known.
    """
    image = sitk.GetImageFromArray(vectors[..., ::-1].astype(np.float64), isVector=True)
    image.SetSpacing((geometry.spacing or ())[::-1])
    image.SetOrigin(geometry.origin[::-1])
    image.SetDirection(np.asarray(geometry.direction)[::-1, ::-1].ravel().tolist())
    return image


def write_vectors(path: Path, vectors: NDArray, geometry: Geometry) -> None:
    """Write a field, whole or not at all (InputError)."""
    suffix = vector_suffix(path)
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / f"field{suffix}"
        sitk.WriteImage(vector_image(vectors, geometry), str(temporary), useCompression=True)
        atomic_write(path, temporary.read_bytes())


def read_vectors(path: Path) -> tuple[NDArray[np.float64], Geometry]:
    """Read a field with as many components as axes: (*shape, d) array and its geometry.

    Raises
    ------
    InputError
        With the file's name, where it is damaged or holds something else.
    """
    try:
        if vector_suffix(path) == ".nii.gz":
            check_nifti_header(path)
            _check_packed(path)
        else:
            check_unit(checked_header(path))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        with quiet_itk():
            reader.ReadImageInformation()
        ndim, count = reader.GetDimension(), reader.GetNumberOfComponents()
        if count != ndim or ndim not in (2, 3):
            raise InputError(
                f"{path}: holds {count} values at every point of {ndim} axes: a field of vectors has as many as axes"
            )
        _check_fits(path, reader.GetSize())
        with quiet_itk():
            image = reader.Execute()
    except RuntimeError as error:
        raise InputError(
            f"{path}: is not a readable field of vectors, it seems damaged: make it again"
        ) from error
    vectors = sitk.GetArrayFromImage(image)[..., ::-1].astype(np.float64)
    if not np.isfinite(vectors).all():
        raise InputError(f"{path}: holds values that are not finite, it seems damaged: make it again")
    direction = np.reshape(image.GetDirection(), (ndim, ndim))[::-1, ::-1]
    geometry = Geometry(
        shape=image.GetSize()[::-1],
        spacing=image.GetSpacing()[::-1],
        origin=image.GetOrigin()[::-1],
        direction=tuple(map(tuple, direction.tolist())),
        spacing_source=SpacingSource.FILE,
    )
    return vectors, geometry


def _check_fits(path: Path, size: tuple[int, ...]) -> None:
    try:
        check_fits(size[::-1], 4 * 8 * len(size))  # as ITK reads it, its copy, and both turned round
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _check_packed(path: Path) -> None:
    """Refuse a packed file that ends too early: ITK fills the rest with zeros and says nothing."""
    try:
        with gzip.open(path) as stream:
            while stream.read(1 << 20):
                pass
    except (EOFError, OSError, zlib.error) as error:
        raise InputError("ends too early or is damaged: make it again") from error
