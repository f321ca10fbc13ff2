"""An embedding of small windows: where exactly, once it is known where about.

The embedding of whole images knows where it is from everything around, and so it names places that are right within
some millimetres, but off the edge or the tip that a person marked. This one sees a window and nothing else, shifted at
random, so that it has to go by the structure itself. It is learned without labels like the first, on windows around the
places that the first one found: each with itself, then across subjects.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.embedding.correspondence_loss import TEMPERATURE, correspondence_loss
from napari_landmark.detection.embedding.feature_matching import describe, sub_cell_peak
from napari_landmark.detection.refinement.patches import crop_patches
from napari_landmark.learning.augmentation import Distortion, DistortionRange, random_appearance
from napari_landmark.learning.batches import KeptImages, kept_images
from napari_landmark.learning.device import Device
from napari_landmark.learning.interpolation import canvas_coordinates, pixel_positions
from napari_landmark.learning.loop import Budget, Checkpoint, History, run_training
from napari_landmark.learning.unet import COARSEST_STRIDE, UNet, fast_memory_format
from napari_landmark.progress import CancelToken, Progress

_LARGEST_WINDOW = 64  # pixels; in larger ones matches go by the surroundings again
_MARGIN = 1.5  # windows are cut so many times larger, so that a turned one is full
_SEEN = DistortionRange(rotation=5, scale=1.05, aspect=1.03, shift=0, elastic=0)
_CHANGED = DistortionRange(rotation=20, scale=1.25, aspect=1.2, shift=0, elastic=0.024)
_JITTER = 8.0  # pixels between a found place and the middle of its window
_SPREAD = 0.6  # part of the window, along each axis, that points are drawn from
_POINTS = 64
# Done part of the training from which other subjects come in; too early, wrong matches are believed.
_ACROSS_FROM = 0.6
_PRIOR = 6.0  # pixels by which the way from one landmark to a point nearby differs between subjects
_RETURNED = 1.5  # pixels
# What a cosine must gain to make up for a place sqrt(2) standard deviations from where it is expected: half the
# temperature at which the cosines of both levels are learned.
DOUBT = TEMPERATURE / 2


@dataclass(frozen=True)
class PatchEmbeddingConfig:
    """Architecture of a close-up embedding.

    Parameters
    ----------
    spatial_dims : {2, 3}
    window : int
        Side of the windows it sees, in pixels of the working canvas; a multiple of 32.
    size : int
        Length of the embedding vectors.
    """

    spatial_dims: int = 2
    window: int = 64
    size: int = 64
    channels: tuple[int, ...] = (32, 32, 64, 64, 64)

    @classmethod
    def for_canvas(cls, canvas: tuple[int, ...]) -> PatchEmbeddingConfig:
        """The largest window that fits."""
        largest = min(_LARGEST_WINDOW, *canvas)
        return cls(len(canvas), max(COARSEST_STRIDE, largest // COARSEST_STRIDE * COARSEST_STRIDE))

    def to_json(self) -> dict:
        """Plain values for the model's sidecar."""
        return asdict(self)


class PatchEmbedding(nn.Module):
    """Maps of unit vectors at strides 4 and 2 of a window."""

    strides = (4, 2)

    def __init__(self, config: PatchEmbeddingConfig = PatchEmbeddingConfig()) -> None:
        super().__init__()
        self.config = config
        self.pyramid = UNet(spatial_dims=config.spatial_dims, channels=config.channels, finest_stride=2)
        convolution = {2: nn.Conv2d, 3: nn.Conv3d}[config.spatial_dims]
        self.heads = nn.ModuleList([convolution(c, config.size, 1) for c in self.pyramid.out_channels[-2:]])

    def forward(self, windows: torch.Tensor) -> list[torch.Tensor]:
        """Maps of windows (batch, 1, side, ...) with values 0..1, coarsest first; not normalised yet."""
        windows = (windows - 0.4).contiguous(memory_format=fast_memory_format(self.config.spatial_dims))
        return [head(x) for head, x in zip(self.heads, self.pyramid(windows)[-2:], strict=True)]

    @torch.no_grad()
    def embed(self, windows: torch.Tensor, device: Device) -> list[torch.Tensor]:
        """Maps of unit vectors (float32); leaves the network in evaluation mode."""
        self.eval()
        with device.autocast():
            maps = self(windows)
        return [F.normalize(m.float(), dim=1) for m in maps]


def patch_similarity(
    vectors: list[torch.Tensor],
    maps: list[torch.Tensor],
    expected: torch.Tensor,
    prior: float,
    *,
    corner: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where vectors (batch, k, channels per level) are found in maps near the `expected` places.

    Parameters
    ----------
    expected : (batch, k, d)
        In pixels of the window.
    prior : float
        Standard deviation of the true place around the expected one, in pixels.
    corner : float
        Window position, along each axis, where the maps begin (they may be the middle part of a window's).

    Returns
    -------
    positions : (batch, k, d)
        In pixels of the window, to a fraction of a cell.
    similarity : (batch, k)
        Mean cosine of both levels at that place.
    """
    shape = maps[-1].shape[2:]
    mode = "bilinear" if len(shape) == 2 else "trilinear"
    coarse, fine = ((v @ m.flatten(2)).unflatten(-1, m.shape[2:]) for v, m in zip(vectors, maps, strict=True))
    cosine = (F.interpolate(coarse, size=shape, mode=mode, align_corners=False) + fine) / 2
    stride = PatchEmbedding.strides[-1]
    places = canvas_coordinates(pixel_positions(tuple(shape), device=cosine.device), stride) + corner
    squared = (places - expected.unflatten(1, (-1, *[1] * len(shape)))).square().sum(-1)
    cells, height = sub_cell_peak(cosine - DOUBT * squared / (2 * prior**2))
    positions = canvas_coordinates(cells, stride) + corner
    lost = DOUBT * (positions - expected).square().sum(-1) / (2 * prior**2)
    return positions, height + lost


class _Steps:
    """Batches for a close-up: windows around found places, their distorted copies, and those of other subjects."""

    def __init__(
        self,
        network: PatchEmbedding,
        cohort: Cohort | KeptImages,
        places: torch.Tensor,
        device: Device,
        generator: torch.Generator,
        pairs: int,
    ) -> None:
        self.network, self.cohort, self.places = network, cohort, places
        self.device, self.generator, self.pairs = device, generator, pairs
        self.images, self.landmarks = torch.nonzero(places.isfinite().all(-1), as_tuple=True)

    def loss(self, fraction: float) -> torch.Tensor:
        """Of one batch; across subjects, too, in the later part of a training."""
        if fraction < _ACROSS_FROM or len(self.cohort) < 2:
            return self._own(2 * self.pairs)
        return self._own(self.pairs) + self._across(self.pairs)

    def _draw(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        drawn = torch.randint(len(self.images), (count,), generator=self.generator)
        return self.images[drawn], self.landmarks[drawn]

    def _view(
        self, images: torch.Tensor, centres: torch.Tensor, ranges: DistortionRange
    ) -> tuple[torch.Tensor, torch.Tensor, Distortion]:
        """Distorted windows (k, 1, side, ...), origins (k, 1, d) of what they are drawn from, and how they are."""
        config = self.network.config
        dims, side = config.spatial_dims, config.window
        large = round(side * _MARGIN)
        jitter = torch.randn(centres.shape, generator=self.generator) * _JITTER
        pixels, origins = crop_patches(self.cohort, images.tolist(), centres + jitter, large)
        distortion = Distortion.random(
            len(pixels),
            (large,) * dims,
            ranges=ranges,
            generator=self.generator,
            output_shape=(side,) * dims,
            centers=torch.full((len(pixels), dims), (large - 1) / 2),
            device=self.device.torch_device,
        )
        return distortion.apply(self.device.to(pixels)), self.device.to(origins)[:, None], distortion

    def _points(self, count: int) -> torch.Tensor:
        config = self.network.config
        drawn = torch.rand(count, _POINTS, config.spatial_dims, generator=self.generator) - 0.5
        return self.device.to(drawn * _SPREAD * config.window + (config.window - 1) / 2)

    def _compared(
        self,
        seen: torch.Tensor,
        points: torch.Tensor,
        changed: torch.Tensor,
        landed: torch.Tensor,
        sure: torch.Tensor | None = None,
    ) -> torch.Tensor:
        count, side = len(seen), self.network.config.window
        valid = ((landed > 2) & (landed < side - 3)).all(-1)
        valid = valid if sure is None else valid & sure
        landed = torch.nan_to_num(landed).clamp(0, side - 1)
        views = random_appearance(torch.cat([seen, changed]), generator=self.generator)
        with self.device.autocast():
            maps = self.network(views)
        queries, keys = [m[:count] for m in maps], [m[count:] for m in maps]
        return correspondence_loss(queries, keys, self.network.strides, points, landed, valid)

    def _own(self, count: int) -> torch.Tensor:
        images, landmarks = self._draw(count)
        centres = self.places[images, landmarks]
        seen, origin, first = self._view(images, centres, _SEEN)
        changed, other_origin, second = self._view(images, centres, _CHANGED)
        points = self._points(count)
        landed = second.output_of(first.source_of(points) + origin - other_origin)
        return self._compared(seen, points, changed, landed)

    def _across(self, count: int) -> torch.Tensor:
        """Points of one window that are found around the same landmark of another subject, and from there back."""
        images, landmarks = self._draw(count)
        others = self.images[torch.randint(len(self.images), (count,), generator=self.generator)]
        here, there = self.places[images, landmarks], self.places[others, landmarks]
        usable = there.isfinite().all(-1)
        there = torch.where(usable[:, None], there, here)
        others = torch.where(usable, others, images)
        seen, origin, first = self._view(images, here, _SEEN)
        target, target_origin, second = self._view(others, there, _SEEN)
        points = self._points(count)
        way = self.device.to(there - here)[:, None]
        with torch.no_grad():
            maps = self.network.embed(torch.cat([seen, target]), self.device)
            self.network.train()
            a, b = [m[:count] for m in maps], [m[count:] for m in maps]
            strides = self.network.strides
            expected = second.output_of(first.source_of(points) + origin + way - target_origin)
            found, _ = patch_similarity(describe(a, strides, points), b, torch.nan_to_num(expected), _PRIOR)
            source = second.source_of(found) + target_origin
            expected = first.output_of(source - way - origin)
            back, _ = patch_similarity(describe(b, strides, found), a, torch.nan_to_num(expected), _PRIOR)
            sure = (back - points).norm(dim=-1) < _RETURNED
        changed, changed_origin, third = self._view(others, there, _CHANGED)
        landed = third.output_of(source - changed_origin)
        return self._compared(seen, points, changed, landed, sure)


def train_patch_embedding(
    network: PatchEmbedding,
    cohort: Cohort,
    places: torch.Tensor,
    *,
    device: Device,
    generator: torch.Generator,
    budget: Budget,
    batch_factor: int = 1,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> History:
    """Train in place on windows around `places` (n_images, n_landmarks, d) on the canvas; NaN where there is none.

    `batch_factor` times as many windows are seen in each step.
    """
    dims = network.config.spatial_dims
    network.to(device.torch_device, memory_format=fast_memory_format(dims))
    pairs = {2: 8, 3: 2}[dims] * batch_factor
    steps = _Steps(network, kept_images(cohort, device), places.float().cpu(), device, generator, pairs)
    return run_training(
        network,
        steps.loss,
        stage="learning details",
        budget=budget,
        learning_rate=2.5e-3,
        generator=generator,
        checkpoint=checkpoint,
        progress=progress,
        cancel=cancel,
    )
