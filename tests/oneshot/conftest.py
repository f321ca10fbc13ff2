"""A cohort whose embedding is known by formula: every place of the anatomy has a vector of its own.

Images are affine pictures of one anatomy. What stands for the network knows the pose of each image (an image's
first pixel holds its number) and gives the vectors of the anatomy that lies at each cell.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from napari_landmark.learning.device import Device
from napari_landmark.learning.sampling import canvas_coordinates, pixel_positions

CPU = Device(torch.device("cpu"), None)


@pytest.fixture
def cpu():
    """A device that computes in float32."""
    return CPU


@pytest.fixture
def perfect_cohort():
    """Makes a `PerfectCohort`."""
    return PerfectCohort


class PerfectEmbedding:
    """Random Fourier features of the position in the anatomy: their cosine is a Gaussian of the distance."""

    canvas_strides = (16, 8, 4)

    class config:
        shrink = 1

    def __init__(self, matrices, shifts, *, widths=(40.0, 24.0, 12.0), channels=512):
        generator = torch.Generator().manual_seed(0)
        dims = matrices.shape[-1]
        self.matrices, self.shifts = matrices, shifts
        self.frequencies = [torch.randn(dims, channels, generator=generator) / width for width in widths]

    def embed(self, images, device):
        shape = images.shape[2:]
        numbers = (images.flatten(1)[:, 0] * 100).round().long()
        maps = []
        for stride, frequencies in zip(self.canvas_strides, self.frequencies, strict=True):
            cells = canvas_coordinates(pixel_positions(tuple(n // stride for n in shape)), stride)
            anatomy = torch.stack(
                [(cells - self.shifts[k]) @ torch.linalg.inv(self.matrices[k]).T for k in numbers]
            )
            phase = anatomy @ frequencies
            vectors = torch.cat([phase.cos(), phase.sin()], -1) / math.sqrt(frequencies.shape[1])
            maps.append(vectors.movedim(-1, 1))
        return maps


class PerfectCohort:
    """Images that carry their number; the landmarks of each are those of the anatomy in its pose."""

    def __init__(self, count=12, canvas=(128, 96), landmarks=9, seed=0):
        rng = np.random.default_rng(seed)
        dims = len(canvas)
        self.canvas = canvas
        middle = np.array(canvas) / 2
        self.anatomy = middle + (rng.random((landmarks, dims)) - 0.5) * np.array(canvas) * 0.6
        matrices, shifts = [], []
        for k in range(count):
            matrix = np.eye(dims) + (rng.normal(size=(dims, dims)) * 0.06 if k else 0)
            matrices.append(matrix)
            shifts.append(middle - matrix @ middle + (rng.normal(size=dims) * 3 if k else 0))
        self.truth = np.stack([self.anatomy @ m.T + s for m, s in zip(matrices, shifts, strict=True)])
        self.embedding = PerfectEmbedding(
            torch.tensor(np.array(matrices), dtype=torch.float32),
            torch.tensor(np.array(shifts), dtype=torch.float32),
        )

    def __len__(self):
        return len(self.truth)

    def working(self, number):
        picture = np.zeros(self.canvas, np.float32)
        picture[(0,) * len(self.canvas)] = number / 100
        return picture
