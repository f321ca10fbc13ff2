"""Which image of a cohort a person should annotate, from the unlabelled images alone.

A good template is an image whose places are found again in the others: points of a candidate are matched into other
images and back, and the candidate whose points return to where they started, with a convincing similarity, comes
first. The idea is that of SCP (Quan, Yao, Li, Zhou: "Which images to label for few-shot medical landmark detection?",
CVPR 2022), with the embedding of CC2D instead of SIFT and its cycle error besides the similarity.
"""

from __future__ import annotations

import torch

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.detection.embedding.embedding import Embedding
from napari_landmark.detection.embedding.embedding_training import train_embedding
from napari_landmark.detection.embedding.feature_matching import describe, match_vectors
from napari_landmark.detection.embedding.informative_points import informative_points
from napari_landmark.detection.suggestion import DEFAULT_MINUTES, Suggestion
from napari_landmark.detection.training.stages import embedding_config
from napari_landmark.learning.batches import load_batch
from napari_landmark.learning.device import Device, choose_device
from napari_landmark.learning.loop import Budget
from napari_landmark.learning.sampler import random_indices
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

_POINTS = 48
_OTHERS = 24
_CANDIDATES = 200  # more would only be more of the same, and take hours for a large cohort
_RETURN = 4.0  # pixels of the embedding's input within which a point has come back


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
    """Learn the anatomy for some minutes, then rank the images.

    Parameters
    ----------
    cohort : Cohort
    count : int
        How many images to name, the best first.
    minutes : float
        Of learning, wall-clock; ranking takes about half a minute more on two cores.

    Raises
    ------
    InputError
        Fewer than two images, a count below 1, or cancelled before an image was judged.
    """
    if len(cohort) < 2:
        raise InputError(f"{cohort.folder}: holds one usable image: there is nothing to choose from")
    if count < 1:
        raise InputError(f"{count} images to suggest: ask for at least one")
    chosen = choose_device(device)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
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


@torch.no_grad()
def rank_images(
    embedding: Embedding,
    cohort: Cohort,
    *,
    device: Device,
    generator: torch.Generator,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> list[Suggestion]:
    """The images of a cohort as templates, the best first; of a large cohort a random part.

    Raises
    ------
    InputError
        Cancelled before the first image was judged.
    """
    embedding.use_device(device)
    downsampling, strides = embedding.config.downsampling, embedding.input_strides

    def maps_of(number: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
        image = load_batch(cohort, [number], downsampling, device)
        return image, embedding.embed_input(image)

    # In random order: those that were judged before a cancel are a fair part of all.
    candidates = random_indices(len(cohort), min(_CANDIDATES, len(cohort)), generator)
    others = sorted(random_indices(len(cohort), min(_OTHERS + 1, len(cohort)), generator))
    known = {number: maps_of(number)[1] for number in others}
    found = []
    for done, candidate in enumerate(candidates):
        if cancel and cancel.cancelled:
            break
        image, maps = maps_of(candidate)
        points = informative_points(image, _POINTS, generator)
        vectors = describe(maps, strides, points)
        scores = []
        for number, other in known.items():
            if number == candidate:
                continue
            there = match_vectors(vectors, other, strides)
            back = match_vectors(describe(other, strides, there.positions), maps, strides)
            missed = (back.positions - points).norm(dim=-1)
            scores.append(float((there.similarity * torch.exp(-((missed / _RETURN) ** 2))).mean()))
        found.append(Suggestion(cohort.names[candidate], sum(scores) / len(scores)))
        if progress:
            progress(ProgressEvent("judging the images", (done + 1) / len(candidates)))
    if not found:
        raise InputError("stopped before the first image was judged: there is nothing to suggest")
    return sorted(found, key=lambda suggestion: -suggestion.score)
