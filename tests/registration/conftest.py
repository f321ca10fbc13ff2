"""Pictures and volumes with a known map between them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage


def _texture(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Blobs of several sizes in an ellipse on black."""
    random = np.random.default_rng(seed)
    image = sum(
        ndimage.gaussian_filter(random.normal(size=shape), size, mode="wrap") * size ** (len(shape) / 2)
        for size in (2, 4, 8)
    )
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    body = 1 / (1 + np.exp((sum(axis**2 for axis in axes) - 0.6) * 12))
    image = (image - image.min()) / np.ptp(image)
    return ((0.3 + image) * body * 180).astype(np.uint8)


def _image(array: np.ndarray, name: str = "image.png", **geometry: object) -> MedicalImage:
    return MedicalImage(array, Geometry(array.shape, **geometry), name)


@pytest.fixture(scope="session")
def drawn():
    """Functions: texture(shape, seed), image(array, name, **geometry)."""
    return SimpleNamespace(texture=_texture, image=_image)
