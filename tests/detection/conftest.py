"""Cohorts whose embedding is known by formula.

For whole images every position of the anatomy has a vector of its own. Images are affine pictures of one anatomy. The
substitute of the network knows the pose of each image (an image's first pixel holds its number) and returns the
vectors of the anatomy at each cell.

For patches the images are one texture, shifted, and the vectors depend on the pixels around each cell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter, shift
from scipy.spatial.transform import Rotation

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


@dataclass(frozen=True)
class BallVolume:
    """A drawn volume [z, y, x] of values 0..1, and its landmarks (4, 3) in voxels."""

    array: np.ndarray
    landmarks: np.ndarray


class BallBody:
    """Body of balls of many sizes without symmetry; four of them have a landmark in their centre."""

    names = ("a", "b", "c", "d")

    def __init__(self):
        rng = np.random.default_rng(0)
        self.landmarks = np.array([[-12.0, -8, 3], [10, 9, -7], [4, -13, -6], [-5, 12, 9]])
        balls = [(rng.normal(size=3) * 9, rng.uniform(2, 5), rng.uniform(0.3, 1)) for _ in range(25)]
        self.balls = [*balls, *((place, 3.0, 1.0) for place in self.landmarks)]

    def draw(self, *, rotation=0, shape=(56, 60, 64), shift=(0, 0, 0), bend=0.0, noise=0.02, enlarged=1):
        """The body in random rotation number `rotation` (0: upright), shifted and bent, in voxels; then enlarged."""
        matrix = np.eye(3) if rotation == 0 else Rotation.random(random_state=rotation).as_matrix()
        middle = (np.array(shape) - 1) / 2 + shift
        sides = [(np.arange(n * enlarged) + 0.5) / enlarged - 0.5 for n in shape]
        grid = (np.stack(np.meshgrid(*sides, indexing="ij"), -1) - middle) @ matrix
        array = np.zeros(grid.shape[:3])
        for centre, radius, value in self.balls:
            distance = np.linalg.norm(grid - self._bent(centre, bend), axis=-1)
            array = np.maximum(array, value / (1 + np.exp((distance - radius) * 3)))
        array += np.random.default_rng(rotation).normal(0, noise, array.shape)
        landmarks = np.array([self._bent(place, bend) for place in self.landmarks]) @ matrix.T + middle
        return BallVolume(np.clip(array, 0, 1).astype(np.float32), (landmarks + 0.5) * enlarged - 0.5)

    @staticmethod
    def _bent(place, bend):
        """A place moved by up to `bend` voxels, smoothly."""
        return place + bend * np.sin(np.roll(place, 1) / 6)


@pytest.fixture(scope="session")
def ball_body():
    """A `BallBody`."""
    return BallBody()


@pytest.fixture
def quick_alignment(monkeypatch):
    """Alignments compare fewer rotations and blocks: enough for a `BallBody`."""
    make_alignment_quick(monkeypatch)


def make_alignment_quick(patch):
    """Let a patch make alignments quick."""
    from napari_landmark.detection.volumes import atlas, pose_search

    patch.setattr(pose_search, "_ROTATIONS", 500)
    patch.setattr(pose_search, "_CANDIDATES", 6)
    patch.setattr(atlas, "_BLOCKS", 60)
    patch.setattr(atlas, "AFFINE_LEVELS", ((5, 1000), (4, 2000), (2, 4000)))


@pytest.fixture(scope="session")
def make_quick():
    """`make_alignment_quick`, for fixtures of a wider scope."""
    return make_alignment_quick
