"""Feature extractors: dense features of images by which the template's landmarks are matched.

The embedding that is trained on a cohort is one. Packages can add others, such as a pretrained network, through the
entry-point group `ENTRY_POINTS`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, runtime_checkable

import torch

from napari_landmark.data.errors import InputError

ENTRY_POINTS = "napari_landmark.feature_extractors"
"""Group of entry points, each a `Factory`, named after the extractor."""

logger = logging.getLogger(__name__)


@runtime_checkable
class FeatureExtractor(Protocol):
    """Maps of unit vectors of an image, compared by their cosine."""

    @property
    def strides(self) -> tuple[int, ...]:
        """Strides of the maps in pixels of the working grid, coarsest first.

        A map of stride s has its cell centres at (s - 1) / 2 + s * i.
        """

    @property
    def fingerprint(self) -> str:
        """Text that is the same for extractors that give the same features, such as a digest of the weights."""

    def embed(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Maps of working images.

        Parameters
        ----------
        images : (batch, 1, *working grid) float32 tensor
            Values 0..1, on the extractor's device.

        Returns
        -------
        list of (batch, channels, *working grid / stride) float32 tensors
            One per stride; vectors along the channels have length 1. Nothing in them needs a gradient.
        """


Factory = Callable[[int, torch.device], FeatureExtractor]
"""Makes an extractor for images of 2 or 3 axes on a device."""


def extractor_names() -> list[str]:
    """Names of the extractors that installed packages add, in order."""
    return sorted(_entries())


def make_extractor(name: str, spatial_dims: int, device: torch.device) -> FeatureExtractor:
    """The extractor of that name for images of 2 or 3 axes.

    Raises
    ------
    InputError
        No package adds it, or its package is broken.
    """
    entry = _entries().get(name)
    factory = None if entry is None else _load(entry)
    if factory is None:
        known = ", ".join(available) if (available := list(extractors())) else "none is installed"
        raise InputError(f"feature extractor {name!r} cannot be used: choose another ({known})")
    return factory(spatial_dims, device)


def extractors() -> dict[str, Factory]:
    """Factories of all usable extractors by name; one warning for each that cannot be loaded."""
    loaded = {name: _load(entry) for name, entry in sorted(_entries().items())}
    return {name: factory for name, factory in loaded.items() if factory is not None}


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


def _load(entry: EntryPoint) -> Factory | None:
    """The factory of an entry point; None, with one warning, where its package fails."""
    try:
        factory = entry.load()
        if not callable(factory):
            raise TypeError("it is no function or class")
    except Exception as error:  # whatever another package does, ours goes on
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        logger.warning("feature extractor %r of %s is left out: %s", entry.name, entry.value, reason)
        return None
    return factory
