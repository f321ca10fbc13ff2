"""Write images and label maps as NRRD, which every ITK program reads."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.geometry import Geometry


def write_nrrd(path: str | Path, array: NDArray, geometry: Geometry) -> None:
    """Write an array and its geometry, whole or not at all.

    Where the spacing is not known the file has none, so that no program takes it for 1 mm.

    Parameters
    ----------
    path : str or Path
    array : array, shape of the geometry
        Of any number type; half precision is written as single, bool as 0 and 1.
    geometry : Geometry

    Raises
    ------
    InputError
        Where the folder cannot be written.
    """
    kinds = {np.dtype(np.float16): np.float32, np.dtype(np.bool_): np.uint8}
    image = sitk.GetImageFromArray(np.asarray(array, dtype=kinds.get(array.dtype, array.dtype)))
    if geometry.spacing is not None:
        image.SetSpacing(geometry.spacing[::-1])
        image.SetOrigin(geometry.origin[::-1])
        image.SetDirection(np.asarray(geometry.direction)[::-1, ::-1].ravel().tolist())
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / "image.nrrd"
        sitk.WriteImage(image, str(temporary), useCompression=True)
        content = temporary.read_bytes()
    atomic_write(path, content if geometry.has_spacing else _without_spacing(content))


def _without_spacing(content: bytes) -> bytes:
    """Remove spacing, origin and direction from an NRRD file; ITK writes a spacing of one where there is none."""
    header, end, pixels = content.partition(b"\n\n")
    lines = [line for line in header.split(b"\n") if not line.startswith(b"space")]
    return b"\n".join(lines) + end + pixels
