"""Random augmentation of images: distortions of images and points together, and changes of appearance.

A distortion is a function (affine map plus a smooth displacement on a coarse control grid), so points are mapped by
that function itself and not by the resampled pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from napari_landmark.learning.device import sent
from napari_landmark.learning.interpolation import constant, pixel_positions, sample

_CONTROL_SPACING = 8  # pixels between knots of the displacement; small beside the smoothness of the field


@dataclass(frozen=True)
class DistortionRange:
    """Ranges of random distortions; each value is drawn uniformly (scale and aspect log-uniformly).

    Parameters
    ----------
    rotation : float
        Largest angle in degrees, about every axis of rotation.
    scale : float
        Largest factor; its inverse is the smallest.
    aspect : float
        Largest factor between two axes.
    shift : float
        Largest shift as a fraction of the image, per axis.
    elastic : float
        Typical size of the smooth displacement as a fraction of the longest side.
    """

    rotation: float = 20.0
    scale: float = 1.25
    aspect: float = 1.2
    shift: float = 0.08
    elastic: float = 0.03


class Distortion:
    """Maps of a batch from distorted images back to their sources, and the inverse maps.

    Parameters
    ----------
    matrices : (batch, d, d)
    centers : (batch, d)
        Source position of the centre of the distorted image.
    control : (batch, d, *knots) or None
        Displacement added in the source, on a grid that spans the distorted image corner to corner.
    output_shape : tuple of int
    """

    def __init__(
        self,
        matrices: torch.Tensor,
        centers: torch.Tensor,
        control: torch.Tensor | None,
        output_shape: tuple[int, ...],
    ) -> None:
        self.matrices, self.centers, self.control = matrices, centers, control
        self.output_shape = output_shape
        middle = tuple((n - 1) / 2 for n in output_shape)
        self._middle = constant(middle, matrices.dtype, matrices.device)

    @classmethod
    def random(
        cls,
        batch: int,
        source_shape: tuple[int, ...],
        *,
        ranges: DistortionRange,
        generator: torch.Generator,
        output_shape: tuple[int, ...] | None = None,
        centers: torch.Tensor | None = None,
        device: torch.device | None = None,
    ) -> Distortion:
        """Draw a batch of distortions.

        `output_shape` smaller than `source_shape` gives crops; `centers` (batch, d) are the source positions of their
        centres.
        """
        output_shape = output_shape or source_shape
        dims = len(source_shape)

        def uniform(*shape: int) -> torch.Tensor:
            return torch.rand(batch, *shape, generator=generator) * 2 - 1

        matrices = _rotations(uniform(dims * (dims - 1) // 2) * math.radians(ranges.rotation), dims)
        stretch = torch.exp(uniform(1) * math.log(ranges.scale) + uniform(dims) * math.log(ranges.aspect) / 2)
        matrices = matrices * stretch[:, None, :]
        size = torch.tensor(source_shape, dtype=torch.float32)
        if centers is None:
            centers = (size - 1) / 2 + uniform(dims) * ranges.shift * size
        knots = tuple(max(4, -(-n // _CONTROL_SPACING)) for n in output_shape)
        device = device or torch.device("cpu")
        control = None
        if ranges.elastic:
            control = torch.zeros(batch, dims, *knots, device=device)
            for cells in (4, 8):
                noise = torch.randn(batch, dims, *[cells + 3] * dims, generator=generator)
                amount = ranges.elastic * max(source_shape) * (4 / cells) ** 1.5
                strength = amount * (uniform(*[1] * (dims + 1)) + 1) / 2
                control += _smooth(sent(noise, device), knots) * sent(strength, device)
        return cls(sent(matrices, device), sent(centers, device), control, output_shape)

    def source_of(self, points: torch.Tensor) -> torch.Tensor:
        """Source positions of points (batch, k, d) of the distorted images."""
        affine = (points - self._middle) @ self.matrices.transpose(1, 2) + self.centers[:, None]
        return affine if self.control is None else affine + self._displacement(self.control, points)

    def output_of(self, points: torch.Tensor, *, iterations: int = 15) -> torch.Tensor:
        """Positions in the distorted images of points (batch, k, d) of the sources.

        NaN where the map folds, and where it nearly does, as the iterations do not converge there.
        """
        inverse = torch.linalg.inv_ex(self.matrices).inverse.transpose(1, 2)
        affine = position = (points - self.centers[:, None]) @ inverse + self._middle
        if self.control is None:
            return affine
        for _ in range(iterations):
            position = torch.baddbmm(affine, self._displacement(self.control, position), inverse, alpha=-1)
        missed = (points - self.source_of(position)).norm(dim=-1, keepdim=True) > 0.01
        return position.masked_fill(missed, float("nan"))

    def grid(self) -> torch.Tensor:
        """(batch, *output_shape, d) source position of every pixel of the distorted images."""
        pixels = pixel_positions(self.output_shape, device=self.matrices.device)
        affine = torch.einsum("bij,...j->b...i", self.matrices, pixels - self._middle)
        affine += self.centers.view(len(self.centers), *[1] * len(self.output_shape), -1)
        if self.control is None:
            return affine
        return affine + _upsample(self.control, self.output_shape).movedim(1, -1)

    def apply(self, images: torch.Tensor) -> torch.Tensor:
        """Distorted copies of images (batch, channels, *source_shape)."""
        return sample(images, self.grid())

    def _displacement(self, control: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        # The same piecewise linear function as in `grid`: knots at the outermost pixel centres.
        parts = zip(control.shape[2:], self.output_shape, strict=True)
        scale = tuple((knots - 1) / (size - 1) for knots, size in parts)
        return sample(control, points, scale=scale).transpose(1, 2)


def _rotations(angles: torch.Tensor, dims: int) -> torch.Tensor:
    generators = torch.zeros(len(angles), dims, dims)
    pairs = [(i, j) for i in range(dims) for j in range(i + 1, dims)]
    for k, (i, j) in enumerate(pairs):
        generators[:, i, j], generators[:, j, i] = -angles[:, k], angles[:, k]
    return torch.linalg.matrix_exp(generators)


def _upsample(maps: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    mode = "bilinear" if maps.ndim == 4 else "trilinear"
    return F.interpolate(maps, size=tuple(shape), mode=mode, align_corners=True)


def _smooth(noise: torch.Tensor, knots: tuple[int, ...]) -> torch.Tensor:
    if noise.ndim == 4:
        return F.interpolate(noise, size=knots, mode="bicubic", align_corners=True)
    # PyTorch has no tricubic interpolation: linear steps with a box filter between them are as smooth as needed.
    for step in (2, 4):
        size = [min(n, noise_n * step) for n, noise_n in zip(knots, noise.shape[2:], strict=True)]
        noise = F.avg_pool3d(F.pad(_upsample(noise, size), [1] * 6, mode="replicate"), 3, stride=1)
    return _upsample(noise, knots)


@dataclass(frozen=True)
class AppearanceRange:
    """Ranges of random changes of intensities 0..1."""

    gamma: float = 0.5
    contrast: float = 0.35
    brightness: float = 0.12
    bias: float = 0.25
    noise: float = 0.04
    occlusion: float = 0.3


def random_appearance(
    images: torch.Tensor,
    *,
    generator: torch.Generator,
    ranges: AppearanceRange = AppearanceRange(),
) -> torch.Tensor:
    """Copies of images (batch, 1, *shape) with another exposure, noise, and occluding blocks.

    Gamma, contrast about mid-grey, brightness, a smooth multiplicative bias field, noise, and with probability
    `ranges.occlusion` a block of constant grey (implants, markers, burnt-in text).
    """
    batch, dims, device = len(images), images.ndim - 2, images.device

    def uniform(low: float, high: float) -> torch.Tensor:
        values = torch.rand(batch, generator=generator) * (high - low) + low
        return sent(values.view(batch, *[1] * (dims + 1)), device)

    out = images.clamp(1e-4, 1) ** torch.exp(uniform(-ranges.gamma, ranges.gamma))
    out = (out - 0.4) * torch.exp(uniform(-ranges.contrast, ranges.contrast)) + 0.4
    out = out + uniform(-ranges.brightness, ranges.brightness)
    field = sent(torch.randn(batch, 1, *[4] * dims, generator=generator), device) * ranges.bias
    out = out * torch.exp(_upsample(field, images.shape[2:]))
    sigma = uniform(0, ranges.noise)
    if device.type == "cpu":
        out = out.add_(torch.randn(out.shape, generator=generator).mul_(sigma))
    else:  # drawing millions of numbers on the host would cost more than the whole step
        out = out + torch.randn(out.shape, device=device) * sigma
    return _occluded(out, generator, ranges.occlusion)


def _occluded(images: torch.Tensor, generator: torch.Generator, probability: float) -> torch.Tensor:
    """Images with a grey block in some of them; its sides are 5 to 20% of the image's."""
    batch, dims, device = len(images), images.ndim - 2, images.device
    chance, grey, *numbers = torch.rand(2 + 2 * dims, batch, generator=generator)
    each = (batch, *[1] * (dims + 1))
    hidden = sent((chance < probability).view(each), device)
    for axis, size in enumerate(images.shape[2:]):
        length = (size * (0.05 + 0.15 * numbers[2 * axis])).floor().clamp(min=1)
        start = ((size - length) * numbers[2 * axis + 1]).floor()
        pixels = torch.arange(size)
        along = (pixels >= start[:, None]) & (pixels < (start + length)[:, None])
        hidden = hidden & sent(
            along.view(batch, *[size if k == axis else 1 for k in range(-1, dims)]), device
        )
    return torch.where(hidden, sent(grey.contiguous().view(each), device), images)
