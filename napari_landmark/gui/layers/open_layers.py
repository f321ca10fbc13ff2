"""Images and named points that are open in the viewer and can become a study."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Points

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import looks_like_image
from napari_landmark.data.images.luminance import luminance
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.gui.layers.layer_source import METADATA, source_file
from napari_landmark.gui.layers.layer_transforms import geometry_of, points_between


@dataclass(frozen=True)
class OpenImages:
    """Open images that can become a study.

    Parameters
    ----------
    layers : list of Image
        2D or 3D images.
    folder : Path or None
        Folder of the first one, if its file has the same pixels in the same order; else None.
    first : str
        Name of its file, or of its layer without a folder.
    preset : str
        Title of the landmark preset in its metadata; empty without.
    """

    layers: list[Image]
    folder: Path | None
    first: str
    preset: str = ""


def open_images(viewer: ViewerModel) -> OpenImages | None:
    """Find the visible images of a viewer; None where there are none."""
    layers = [layer for layer in viewer.layers if isinstance(layer, Image) and not layer.multiscale]
    layers = [layer for layer in layers if layer.ndim in (2, 3) and layer.visible]
    if not layers:
        return None
    first = layers[0]
    own = first.metadata.get(METADATA, {})
    path = Path(source_file(first)) if source_file(first) else None
    if path is None or not path.is_file() or not looks_like_image(path) or not _is_file(first, path):
        return OpenImages(layers, None, first.name)
    return OpenImages(layers, path.parent, path.name, own.get("preset", ""))


def export_layers(layers: list[Image], folder: Path) -> list[str]:
    """Write layers as image files with their placement in the viewer; returns the file names.

    For images without a file of a known format, or that another reader rotated or mirrored: the annotated
    pixels are then those that were shown.

    Raises
    ------
    InputError
        A layer is sheared, which image files cannot hold.
    """
    import SimpleITK as sitk

    for layer in layers:
        direction = np.asarray(geometry_of(layer).direction)
        if not np.allclose(direction.T @ direction, np.eye(layer.ndim), atol=1e-3):
            raise InputError(f"{layer.name}: is sheared in the viewer: resample it, or reset its shear first")
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for layer in layers:
        array = _storable(gray_values(layer))
        geometry = geometry_of(layer)
        image = sitk.GetImageFromArray(array)
        if geometry.spacing is not None:
            image.SetSpacing(geometry.spacing[::-1])
            image.SetOrigin(geometry.origin[::-1])
            direction = np.asarray(geometry.direction)[::-1, ::-1]
            image.SetDirection(direction.ravel().tolist())
        suffix = ".nrrd" if geometry.spacing is not None or array.ndim == 3 else ".tif"
        stem = (
            "".join(sign if sign.isalnum() or sign in "-_ ." else "_" for sign in layer.name).strip()
            or "image"
        )
        name, number = f"{stem}{suffix}", 2
        while name in names or (folder / name).exists():
            name, number = f"{stem}_{number}{suffix}", number + 1
        sitk.WriteImage(image, str(folder / name), useCompression=True)
        names.append(name)
    return names


def points_on(viewer: ViewerModel, image: Image, schema: LandmarkSchema) -> LandmarkSet | None:
    """Landmarks of an image layer from the first named points of the viewer; None where there are none.

    Positions are transformed by world coordinates, so that the points may come from any reader.
    """
    for layer in viewer.layers:
        if (
            isinstance(layer, Points)
            and layer.ndim == image.ndim
            and "name" in layer.features
            and len(layer.data)
        ):
            names = [str(name) for name in layer.features["name"]]
            positions = points_between(layer, image)
            marks = {
                name: Landmark(name, tuple(position), Status.PLACED)
                for name, position in zip(names, positions, strict=True)
                if name in schema
            }
            if marks:
                return LandmarkSet(schema, marks.values())
    return None


def names_of_points(viewer: ViewerModel) -> tuple[str, ...]:
    """Names of the first named points of the viewer, in order."""
    for layer in viewer.layers:
        if isinstance(layer, Points) and "name" in layer.features and len(layer.data):
            return tuple(dict.fromkeys(str(name) for name in layer.features["name"]))
    return ()


def _is_file(layer: Image, path: Path) -> bool:
    """Whether positions in the layer are positions in its file, as `read_image` reads that.

    Pixels must agree, and the spacing where both have one. An image that equals its own mirror image or transpose
    does not tell the order of the pixels: there the whole geometry must agree, too.
    """
    from napari_landmark.data.images.image import read_image

    try:
        image = read_image(path)
    except InputError:
        return False
    shown, stored, geometry = gray_values(layer), image.array, geometry_of(layer)
    if not _spacing_agrees(geometry, image.geometry) or not _agree(shown, stored):
        return False
    if any(_agree(shown, other) for other in _reordered(stored)):
        return _placement_agrees(geometry, image.geometry)
    return True


def _agree(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two arrays agree in shape, and in every value within 1% of the range of the second.

    Programs decode the same JPEG with slightly different values.
    """
    if first.shape != second.shape:
        return False
    tolerance = 0.01 * (float(second.max()) - float(second.min()))
    # One slice after the other: most arrays that differ do so in the first ones, and a volume needs no copy.
    return all(
        np.allclose(np.asarray(a, dtype=float), np.asarray(b, dtype=float), rtol=0, atol=tolerance)
        for a, b in zip(first, second, strict=True)
    )


def _reordered(array: np.ndarray) -> Iterator[np.ndarray]:
    """All mirror images and transposes of an array that have its shape, without the array itself."""
    for axes in itertools.permutations(range(array.ndim)):
        for signs in itertools.product((1, -1), repeat=array.ndim):
            other = array.transpose(axes)[tuple(slice(None, None, sign) for sign in signs)]
            identical = axes == tuple(range(array.ndim)) and min(signs) > 0
            if other.shape == array.shape and not identical:
                yield other


def _spacing_agrees(first: Geometry, second: Geometry) -> bool:
    """Whether two spacings agree within 0.1%; an unknown one agrees with any."""
    if first.spacing is None or second.spacing is None:
        return True
    return np.allclose(first.spacing, second.spacing, rtol=1e-3, atol=0)


def _placement_agrees(first: Geometry, second: Geometry) -> bool:
    """Whether spacing, direction and origin of two geometries are known and agree."""
    if first.spacing is None or second.spacing is None:
        return False
    near = 0.1 * min(second.spacing)
    return np.allclose(first.direction, second.direction, atol=1e-3) and np.allclose(
        first.origin, second.origin, rtol=0, atol=near
    )


def _storable(array: np.ndarray) -> np.ndarray:
    """Convert an array to a type that image files support."""
    kinds = {"b": np.uint8, "e": np.float32, "l": np.int32, "q": np.int32, "L": np.uint32, "Q": np.uint32}
    return np.ascontiguousarray(array, dtype=kinds.get(array.dtype.char, array.dtype))


def gray_values(layer: Image) -> np.ndarray:
    """Pixels of a layer; luminance of a colour image."""
    array = np.asarray(layer.data)
    return luminance(array) if layer.rgb else array
