"""Multi-atlas segmentation: label maps of a few images, carried to another one by registration and fused."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.progress import CancelToken, Progress, ProgressEvent
from napari_landmark.registration.model import RegistrationModel
from napari_landmark.registration.options import ATLAS_SIZE, PairOptions
from napari_landmark.registration.pairwise.label_fusion import FusedLabels, fuse_labels
from napari_landmark.registration.pairwise.register import register_pair

STAGE = "carrying labels"


@dataclass(frozen=True, eq=False)
class Atlas:
    """Image with its label map.

    Parameters
    ----------
    image : MedicalImage
    labels : integer array in the shape of the image

    Raises
    ------
    InputError
        The label map has another shape than the image.
    """

    image: MedicalImage
    labels: NDArray[np.integer]

    def __post_init__(self) -> None:
        if self.labels.shape != self.image.array.shape:
            raise InputError(
                f"{self.image.name}: its label map has the shape {self.labels.shape}, the image "
                f"{self.image.array.shape}: both must agree"
            )


def segment_by_atlases(
    image: MedicalImage,
    atlases: Sequence[Atlas],
    *,
    model: RegistrationModel | None = None,
    options: PairOptions = PairOptions(),
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> FusedLabels | None:
    """Segment an image by label maps of others.

    Every atlas is registered to the image by the images alone, and each pixel takes the label of most atlases, those
    that look like the image around it counting more.

    Parameters
    ----------
    image : MedicalImage
        Picture or volume, as the atlases are.
    atlases : sequence of Atlas
    model : RegistrationModel, optional
        Predicts the registrations.
    options : PairOptions
        Of the registrations; without a model and a working size that of `ATLAS_SIZE`.

    Returns
    -------
    FusedLabels or None
        None after a cancel: votes of some atlases would be another segmentation.

    Raises
    ------
    InputError
        No atlas, or one with another number of axes than the image.
    """
    if not atlases:
        raise InputError(f"{image.name}: there is no label map to carry to it; give one image with its map")
    if model is None and options.working_size is None:
        options = dataclasses.replace(options, working_size=ATLAS_SIZE[image.geometry.ndim])
    images, labels = [], []
    for done, atlas in enumerate(atlases):
        found = register_pair(
            image,
            atlas.image,
            model=model,
            options=options,
            progress=_part_of(progress, done, len(atlases)),
            cancel=cancel,
        )
        if cancel is not None and cancel.cancelled:
            return None
        images.append(found.transform.warp_image(atlas.image).array)
        labels.append(found.transform.warp_labels(atlas.labels))
    return fuse_labels(image.array, images, labels)


def _part_of(progress: Progress | None, done: int, count: int) -> Progress | None:
    if progress is None:
        return None

    def report(event: ProgressEvent) -> None:
        part = min(1.0, event.fraction) if event.stage == "registering" else 0.0  # it initializes before
        progress(ProgressEvent(STAGE, (done + part) / count, step=done))

    return report
