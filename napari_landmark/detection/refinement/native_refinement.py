"""Refinement on native pixels, of images that are larger than the working grid.

A pixel of the working grid averages several native ones; no position on it is much more precise than a tenth of that
average. The patch embedding is trained on patches of many scales and knows edges and tips of any, so it matches
patches of native pixels as well, around positions that were refined on the working grid before.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.fine_grid import FineGrid
from napari_landmark.data.cohort.working_grid import CanvasTransform
from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.detection.embedding.template_matching import Template
from napari_landmark.detection.refinement.local_refinement import (
    LocalRefiner,
    RefinedMatches,
    describe_landmarks,
    refine_positions,
)
from napari_landmark.detection.refinement.patch_embedding import PatchEmbedding
from napari_landmark.learning.device import Device

logger = logging.getLogger(__name__)

LEAST_ZOOM = 1.75
"""Native pixels per pixel of the working grid from which on they are looked at; on cephalograms 1.6 brought nothing."""
LARGEST_ZOOM = 8.0
"""In finer patches the true position would often lie outside; images of more pixels are averaged to this."""
_FINE_ENOUGH = 0.75  # share of the zoom that an image's own resolution must reach
_PRIOR = 4.0  # pixels of the fine grid


@dataclass(frozen=True)
class NativeRefiner:
    """Local refiner on a grid finer than the working grid.

    Parameters
    ----------
    refiner : LocalRefiner
        Its lengths are in pixels of the fine grid.
    zoom : float
        Pixels of the fine grid along the side of one of the working grid.
    """

    refiner: LocalRefiner
    zoom: float

    def suits(self, canvas_transform: CanvasTransform) -> bool:
        """Whether an image has the pixels for it."""
        return canvas_transform.scale >= _FINE_ENOUGH * self.zoom


def native_zoom(scales: Sequence[float]) -> float | None:
    """Zoom for templates of these scales (native pixels per pixel of the working grid): their median.

    None where the working grid has about their resolution.
    """
    zoom = round(float(min(np.median(scales), LARGEST_ZOOM)), 6)
    return zoom if zoom >= LEAST_ZOOM else None


def build_native_refiner(
    network: PatchEmbedding, cohort: Cohort, templates: Sequence[Template], device: Device
) -> NativeRefiner | None:
    """Describe the landmarks of the templates on native pixels, one image in memory at a time.

    Templates of much lower resolution than most, and those that cannot be read any more, are left out.

    Returns
    -------
    NativeRefiner or None
        None where the working grid has about the templates' resolution, or none could be read.
    """
    transforms = [cohort.canvas_transform(template.index) for template in templates]
    zoom = native_zoom([transform.scale for transform in transforms])
    if zoom is None:
        return None

    def draw() -> Iterator[tuple[FineGrid, np.ndarray]]:
        for template, transform in zip(templates, transforms, strict=True):
            fine_enough = transform.scale >= _FINE_ENOUGH * zoom
            image = read_native(cohort, template.index) if fine_enough else None
            if image is not None:
                grid = FineGrid(image, transform, zoom)
                yield grid, grid.from_working(template.positions)

    images = draw()
    first = next(images, None)
    if first is None:
        return None
    return NativeRefiner(describe_landmarks(network, itertools.chain([first], images), device), zoom)


def read_native(cohort: Cohort, number: int) -> MedicalImage | None:
    """Native image of a cohort; None, with a warning, where its file cannot be read any more or holds another image."""
    name = cohort.names[number]
    try:
        image = cohort.read(number)
    except (InputError, OSError) as error:
        logger.warning("%s: only its cached pixels are used, its file cannot be read (%s)", name, error)
        return None
    if image.geometry != cohort.geometry(number):
        logger.warning("%s: only its cached pixels are used, its file has changed", name)
        return None
    return image


def refine_on_native_pixels(
    native: NativeRefiner,
    image: MedicalImage,
    canvas_transform: CanvasTransform,
    expected: np.ndarray,
    device: Device,
) -> RefinedMatches:
    """Match the landmarks of the templates on native pixels.

    Parameters
    ----------
    image : MedicalImage
        The native image.
    canvas_transform : CanvasTransform
        From the working grid to the native image.
    expected : (n, d) float array
        Refined positions on the working grid.

    Returns
    -------
    RefinedMatches
        Positions on the working grid.
    """
    grid = FineGrid(image, canvas_transform, native.zoom)
    found = refine_positions(native.refiner, grid, grid.from_working(expected), device, prior=_PRIOR)
    return RefinedMatches(grid.to_working(found.positions), found.consensus)
