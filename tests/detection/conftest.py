"""Cohorts whose embedding is known by formula.

For whole images every position of the anatomy has a vector of its own. Images are affine pictures of one anatomy. The
substitute of the network knows the pose of each image (an image's first pixel holds its number) and returns the
vectors of the anatomy at each cell.

For patches the images are one texture, shifted, and the vectors depend on the pixels around each cell.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter, shift

from napari_landmark.detection.refinement.patch_embedding import PatchEmbeddingConfig
from napari_landmark.learning.device import Device
from napari_landmark.learning.interpolation import canvas_coordinates, pixel_positions

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

    strides = (16, 8, 4)
    fingerprint = "perfect"

    def __init__(self, matrices, shifts, *, widths=(40.0, 24.0, 12.0), channels=512):
        generator = torch.Generator().manual_seed(0)
        dims = matrices.shape[-1]
        self.matrices, self.shifts = matrices, shifts
        self.frequencies = [torch.randn(dims, channels, generator=generator) / width for width in widths]

    def embed(self, images):
        shape = images.shape[2:]
        numbers = (images.flatten(1)[:, 0] * 100).round().long()
        maps = []
        for stride, frequencies in zip(self.strides, self.frequencies, strict=True):
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


class PixelPatchEmbedding:
    """Substitute for a trained patch embedding: the vector of each cell depends on the pixels around it alone."""

    strides = (4, 2)

    def __init__(self, dims=2, window=64, size=64):
        self.config = PatchEmbeddingConfig(dims, window, size)
        # Every fifth pixel, 12.5 to each side: cells lie between pixels.
        kernels = torch.randn(size, 1, *[6] * dims, generator=torch.Generator().manual_seed(0))
        brightness = kernels.flatten(1).mean(1)  # does not matter
        self.kernels = kernels - brightness.view(-1, *[1] * (dims + 1))

    def embed(self, patches, device):
        convolve = {2: F.conv2d, 3: F.conv3d}[self.config.spatial_dims]
        maps = [
            convolve(patches, self.kernels, stride=s, padding=13 - s // 2, dilation=5) for s in self.strides
        ]
        return [F.normalize(m, dim=1) for m in maps]


@pytest.fixture
def pixel_patch_embedding():
    """Makes a `PixelPatchEmbedding`."""
    return PixelPatchEmbedding


class TexturedCohort:
    """One smooth texture, shifted by known amounts, in each image; the landmarks go with it."""

    def __init__(self, shifts, canvas=(128, 96), landmarks=4, seed=0):
        rng = np.random.default_rng(seed)
        self.canvas, dims = canvas, len(canvas)
        texture = gaussian_filter(rng.normal(size=canvas), 4, mode="wrap")
        texture = 0.5 + 0.12 * texture / texture.std()
        self.images = [shift(texture, by, order=3, mode="grid-wrap").astype(np.float32) for by in shifts]
        middle = np.array(canvas) / 2
        self.anatomy = middle + (rng.random((landmarks, dims)) - 0.5) * np.array(canvas) * 0.5
        self.truth = self.anatomy + np.asarray(shifts, float)[:, None]

    def __len__(self):
        return len(self.images)

    def working(self, number):
        return self.images[number].copy()

    def working_part(self, number, box):
        return self.images[number][box].copy()


@pytest.fixture
def textured_cohort():
    """Makes a `TexturedCohort`."""
    return TexturedCohort
