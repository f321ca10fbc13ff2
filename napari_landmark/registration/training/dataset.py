"""Dataset of a registration training: a cohort, label maps of a few of its images, and landmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.learning.batches import load_batch
from napari_landmark.learning.device import Device
from napari_landmark.registration.label_map import read_label_map
from napari_landmark.registration.registration_grid import (
    DOWNSAMPLING,
    grid_positions,
    label_share,
    landmark_weight,
    with_background,
)

LabelSource = Path | NDArray[np.integer]


class RegistrationDataset:
    """Images of a cohort on the working grid, with the label maps and landmarks that are known.

    Parameters
    ----------
    cohort : Cohort
    labels : mapping of str to Path or array
        Label maps of some images, by name.
    device : Device
    landmarks : mapping of str to LandmarkSet, optional
        Manual or predicted landmarks of some images, by name.

    Attributes
    ----------
    labels : tuple of int
        Labels without the background 0, in order.
    positions : (images, landmarks, d) tensor
        On the registration grid, in pixels; NaN for an unknown landmark.
    landmark_weights : (images, landmarks) tensor
        0..1.

    Raises
    ------
    InputError
        A label map has another size than its image, or belongs to no image of the cohort.
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
        # One at a time: a hundred label maps of CTs do not fit into memory.
        for name, source in labels.items():
            number = cohort.index(name)
            array = _read(source, cohort, name)
            shares[number] = {
                int(label): label_share(array == label, cohort.canvas_transform(number)).half()
                for label in np.unique(array)
                if label
            }
        self.labels = tuple(sorted({label for drawn in shares.values() for label in drawn}))
        self._shares = shares if self.labels else {}
        self.positions, self.landmark_weights = _landmark_tables(cohort, landmarks or {})

    @property
    def labelled(self) -> tuple[int, ...]:
        """Numbers of the images with a label map."""
        return tuple(self._shares)

    def __len__(self) -> int:
        return len(self.cohort)

    def images(self, numbers: Sequence[int]) -> torch.Tensor:
        """Working images (batch, 1, *canvas), float32, 0..1."""
        return load_batch(self.cohort, numbers, 1, self.device)

    def regions(self, number: int) -> torch.Tensor | None:
        """Probabilities (1 + labels, *canvas / 2) from the label map of an image; None if it has none."""
        return self._probabilities(number) if number in self._shares else None

    def labelled_regions(self, numbers: Sequence[int]) -> torch.Tensor:
        """Probabilities (batch, 1 + labels, *canvas / 2) of images that have a label map, see `labelled`."""
        return torch.stack([self._probabilities(number) for number in numbers])

    def _probabilities(self, number: int) -> torch.Tensor:
        known = self._shares[number]
        shape = tuple(n // DOWNSAMPLING for n in self.cohort.canvas)
        absent = torch.zeros(shape, dtype=torch.float16)
        return self.device.to(with_background([known.get(label, absent) for label in self.labels]))

    def landmarks(self, numbers: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Positions (batch, landmarks, d) and weights (batch, landmarks), see the attributes."""
        rows = [int(n) for n in numbers]
        return self.device.to(self.positions[rows]), self.device.to(self.landmark_weights[rows])


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
    weights = np.zeros((len(cohort), len(names)), np.float32)
    for image, marks in landmarks.items():
        number = cohort.index(image)
        canvas_transform = cohort.canvas_transform(number)
        for column, name in enumerate(names):
            mark = marks.get(name)
            if mark is None or mark.position is None:
                continue
            positions[number, column] = grid_positions([mark.position], canvas_transform)[0]
            weights[number, column] = landmark_weight(mark)
    return torch.from_numpy(positions), torch.from_numpy(weights)
