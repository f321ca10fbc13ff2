"""Suggestion of the images of a cohort that are best annotated, from the unlabelled images alone.

A good template is an image whose points are found again in the others: points of a candidate are matched into other
images and back, and the candidate whose points return to where they started, with a convincing similarity, comes
first. The idea is that of SCP (Quan, Yao, Li, Zhou: "Which images to label for few-shot medical landmark detection?",
CVPR 2022), with the embedding of CC2D instead of SIFT and its cycle error besides the similarity.

Imported without torch, which the functions import when they are called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_landmark.data.errors import InputError
from napari_landmark.detection.suggestion import Suggestion
from napari_landmark.detection.volume_selection import suggest_volumes
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

if TYPE_CHECKING:
    import torch

    from napari_landmark.data.cohort.cohort import Cohort
    from napari_landmark.detection.embedding.embedding import Embedding
    from napari_landmark.learning.device import Device

# On two cores. Half as long on one was no better than chance, see docs/method.md.
DEFAULT_MINUTES = 10.0
"""Training time before the images are ranked."""

_POINTS = 48
_OTHERS = 24
_CANDIDATES = 200  # more are more of the same, and take hours for a large cohort
_RETURN = 4.0  # pixels of the embedding's input: cycle error at which a match counts 1/e


def suggest(
    cohort: Cohort,
    *,
    count: int = 5,
    minutes: float = DEFAULT_MINUTES,
    device: str = "auto",
    seed: int = 0,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> list[Suggestion]:
    """Choose templates: of pictures by an embedding that is trained on the cohort, of volumes by their shapes.

    Parameters
    ----------
    cohort : Cohort
    count : int
        Number of images to return, the best first.
    minutes : float
        Training time, wall-clock; ranking takes about half a minute more on two cores. Of volumes the longest time of
        their alignment, see `suggest_volumes`.

    Raises
    ------
    InputError
        Fewer than two images, a count below 1, or cancelled before the first image was ranked.
    """
    import torch

    from napari_landmark.detection.embedding.embedding import Embedding
    from napari_landmark.detection.embedding.embedding_training import train_embedding
    from napari_landmark.detection.training.stages import embedding_config
    from napari_landmark.learning.device import choose_device
    from napari_landmark.learning.loop import Budget
    from napari_landmark.learning.seeding import seeded

    if len(cohort) < 2:
        raise InputError(f"{cohort.folder}: holds one usable image: there is nothing to choose from")
    if count < 1:
        raise InputError(f"{count} images to suggest: ask for at least one")
    if cohort.ndim == 3:
        return suggest_volumes(
            cohort, count=count, minutes=minutes, seed=seed, progress=progress, cancel=cancel
        )
    chosen = choose_device(device)
    generator = torch.Generator().manual_seed(seed)
    with seeded(seed, chosen.torch_device):
        embedding = Embedding(embedding_config(cohort.canvas))
        train_embedding(
            embedding,
            cohort,
            device=chosen,
            generator=generator,
            self_budget=Budget(seconds=60 * minutes * 0.8),
            cross_budget=Budget(seconds=60 * minutes * 0.2),
            progress=progress,
            cancel=cancel,
        )
    return rank_images(
        embedding, cohort, device=chosen, generator=generator, progress=progress, cancel=cancel
    )[:count]


def rank_images(
    embedding: Embedding,
    cohort: Cohort,
    *,
    device: Device,
    generator: torch.Generator,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> list[Suggestion]:
    """Rank the images of a cohort as templates, the best first; of a large cohort a random part.

    Raises
    ------
    InputError
        Cancelled before the first image was ranked.
    """
    import torch

    from napari_landmark.learning.sampler import random_indices
    from napari_landmark.learning.threads import thread_limit

    embedding.use_device(device)
    # In random order: those that were ranked before a cancel are a fair part of all.
    candidates = random_indices(len(cohort), min(_CANDIDATES, len(cohort)), generator)
    others = sorted(random_indices(len(cohort), min(_OTHERS + 1, len(cohort)), generator))
    ranked = []
    with torch.no_grad(), thread_limit():
        maps = {number: _embed(embedding, cohort, number, device)[1] for number in others}
        for done, candidate in enumerate(candidates):
            if cancel and cancel.cancelled:
                break
            score = _score(embedding, cohort, candidate, maps, device=device, generator=generator)
            ranked.append(Suggestion(cohort.names[candidate], score))
            if progress:
                progress(ProgressEvent("ranking the images", (done + 1) / len(candidates)))
    if not ranked:
        raise InputError("stopped before the first image was ranked: there is nothing to suggest")
    return sorted(ranked, key=lambda suggestion: -suggestion.score)


def _embed(
    embedding: Embedding, cohort: Cohort, number: int, device: Device
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Image (1, 1, *shape) at the embedding's resolution, and its maps."""
    from napari_landmark.learning.batches import load_batch

    image = load_batch(cohort, [number], embedding.config.downsampling, device)
    return image, embedding.embed_input(image)


def _score(
    embedding: Embedding,
    cohort: Cohort,
    candidate: int,
    others: dict[int, list[torch.Tensor]],
    *,
    device: Device,
    generator: torch.Generator,
) -> float:
    """Mean weight, 0..1, of the matches of random points of a candidate in the maps of the other images."""
    import torch

    from napari_landmark.detection.embedding.feature_matching import describe, match_vectors
    from napari_landmark.detection.embedding.informative_points import informative_points

    strides = embedding.input_strides
    image, maps = _embed(embedding, cohort, candidate, device)
    points = informative_points(image, _POINTS, generator)
    vectors = describe(maps, strides, points)
    scores = []
    for number, other in others.items():
        if number == candidate:
            continue
        forward = match_vectors(vectors, other, strides)
        reverse = match_vectors(describe(other, strides, forward.positions), maps, strides)
        cycle = (reverse.positions - points).norm(dim=-1)
        scores.append(float((forward.similarity * torch.exp(-((cycle / _RETURN) ** 2))).mean()))
    return sum(scores) / len(scores)
