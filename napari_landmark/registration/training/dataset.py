"""A cohort of which a few images have label maps, as a training sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.working_grid import CanvasTransform, resample_region
from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.learning.batches import load_batch
from napari_landmark.learning.device import Device
from napari_landmark.registration.label_map import read_label_map

DOWNSAMPLING = 2
"""Canvas pixels per pixel of the grid on which images are registered, along each axis."""

LabelSource = Path | NDArray[np.integer]


class RegistrationDataset:
    """Images of a cohort with those label maps and landmarks that are known, on the canvas.

    Parameters
    ----------
    cohort : Cohort
    labels : mapping of str to Path or array
        Label map by name of the image, for as many images as there are.
    device : Device
    landmarks : mapping of str to LandmarkSet, optional
        Placed or detected landmarks by name of the image.

    Raises
    ------
    InputError
        A label map does not fit its image, or belongs to none.
    """

    def __init__(
        self,
        cohort: Cohort,
        labels: Mapping[str, LabelSource],
        device: Device,
        *,
        landmarks: Mapping[str, LandmarkSet] | None = None,
    ) -> None:
        self.cohort, self.device = cohort, device
        shares: dict[int, dict[int, torch.Tensor]] = {}
        # One at a time: a hundred label maps of CTs do not fit in the memory.
        for name, source in labels.items():
            number = cohort.index(name)
            array = _read(source, cohort, name)
            shares[number] = {
                int(label): label_share(array == label, cohort.canvas_transform(number)).half()
                for label in np.unique(array)
                if label
            }
        self.labels = tuple(sorted({label for drawn in shares.values() for label in drawn}))
        """Labels without the background 0, in order."""
        self._regions = shares if self.labels else {}
        self.positions, self.trust = _landmark_tables(cohort, landmarks or {})

    @property
    def labelled(self) -> tuple[int, ...]:
        """Numbers of the images with a label map."""
        return tuple(self._regions)

    def __len__(self) -> int:
        return len(self.cohort)

    def images(self, numbers: Sequence[int]) -> torch.Tensor:
        """(batch, 1, *canvas) float32 tensor."""
        return load_batch(self.cohort, numbers, 1, self.device)

    def regions(self, number: int) -> torch.Tensor | None:
        """(1 + labels, *canvas / 2) probabilities from a person's label map, None where there is none."""
        known = self._regions.get(int(number))
        if known is None:
            return None
        shape = tuple(n // DOWNSAMPLING for n in self.cohort.canvas)
        nothing = torch.zeros(shape, dtype=torch.float16)
        return self.device.to(_with_background([known.get(label, nothing) for label in self.labels]))

    def landmarks(self, numbers: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Positions (batch, landmarks, d) on the registration grid, NaN where unknown, and trust (batch, landmarks)."""
        rows = [int(n) for n in numbers]
        return self.device.to(self.positions[rows]), self.device.to(self.trust[rows])


def label_probabilities(
    array: NDArray[np.integer], labels: Sequence[int], canvas_transform: CanvasTransform
) -> torch.Tensor:
    """(1 + labels, *canvas / 2) float32: the share of each label in each pixel of the registration grid.

    Outside the image its border is repeated, as it is in the image itself.
    """
    return _with_background([label_share(array == label, canvas_transform) for label in labels])


def label_share(region: NDArray[np.bool_], canvas_transform: CanvasTransform) -> torch.Tensor:
    """(*canvas / 2) float32: the share of one region in each pixel of the registration grid."""
    pool = {2: F.avg_pool2d, 3: F.avg_pool3d}[region.ndim]
    return pool(torch.from_numpy(resample_region(region, canvas_transform))[None, None], DOWNSAMPLING)[0, 0]


def _with_background(shares: Sequence[torch.Tensor]) -> torch.Tensor:
    foreground = torch.stack([share.float() for share in shares])
    return torch.cat([(1 - foreground.sum(0, keepdim=True)).clamp(0, 1), foreground])


def _read(source: LabelSource, cohort: Cohort, name: str) -> NDArray[np.integer]:
    geometry = cohort.geometry(cohort.index(name))
    if isinstance(source, Path):
        return read_label_map(source, geometry)
    if source.shape != geometry.shape:
        raise InputError(
            f"{name}: its label map has the shape {source.shape}, the image {geometry.shape}: both must agree"
        )
    return source


def _landmark_tables(
    cohort: Cohort, landmarks: Mapping[str, LandmarkSet]
) -> tuple[torch.Tensor, torch.Tensor]:
    names = list(dict.fromkeys(name for marks in landmarks.values() for name in marks))
    positions = np.full((len(cohort), len(names), cohort.ndim), np.nan, np.float32)
    trust = np.zeros((len(cohort), len(names)), np.float32)
    for image, marks in landmarks.items():
        number = cohort.index(image)
        canvas_transform = cohort.canvas_transform(number)
        for column, name in enumerate(names):
            mark = marks.get(name)
            if mark is None or mark.position is None:
                continue
            working = canvas_transform.to_working([mark.position])[0]
            positions[number, column] = (working + 0.5) / DOWNSAMPLING - 0.5
            trust[number, column] = (
                1.0 if mark.status.is_manual or mark.confidence is None else mark.confidence
            )
    return torch.from_numpy(positions), torch.from_numpy(trust)
