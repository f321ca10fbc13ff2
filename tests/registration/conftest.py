"""Textured images, label maps and a trained model."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.registration.options import RegistrationOptions
from napari_landmark.registration.training.train import train_registration


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


@pytest.fixture
def labels(phantoms):
    """Label maps of two of the four hands of the cohort."""
    return {phantom.image.name: phantom.labels for phantom in phantoms[:2]}


@pytest.fixture(scope="session")
def trained(cohort, phantoms, tmp_path_factory):
    """A model trained for six steps, and its folder; nothing may be changed there."""
    folder = tmp_path_factory.mktemp("registration")
    labels = {phantom.image.name: phantom.labels for phantom in phantoms[:2]}
    options = RegistrationOptions(device="cpu", steps=6)
    return train_registration(cohort, labels, options=options, folder=folder), folder
