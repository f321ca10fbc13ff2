"""Evaluation of a registration model on the workers of a dask scheduler: the same measures as in one process.

Some pairs are a task. What a worker gets are names and paths on a file system that all share; what it gives back are
the measures of each pair as JSON.
"""

from __future__ import annotations

import functools
import hashlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_landmark.backend.cluster.tasks import connected, parse_address, run_tasks
from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.learning.device import choose_device
from napari_landmark.progress import CancelToken, Progress, ProgressEvent
from napari_landmark.registration.evaluation import (
    STAGE,
    EvaluatedPair,
    Pair,
    RegistrationEvaluation,
    means_of_pairs,
    measure_pairs,
)
from napari_landmark.registration.evaluation_data import EvaluationData
from napari_landmark.registration.model import RegistrationModel
from napari_landmark.registration.options import PairOptions
from napari_landmark.registration.pairwise.register import register_pair
from napari_landmark.registration.result import Registration

PAIRS_PER_TASK = 4
"""A lost worker loses the work on so many pairs at most."""
_alone = (
    threading.Lock()
)  # a worker with several threads registers one pair at a time: a model is not for two


def evaluate_on_cluster(
    executor: str,
    model: Path,
    pairs: Path,
    *,
    images: Path,
    labels: Path | None = None,
    landmarks: Path | None = None,
    spacing: float | None = None,
    options: PairOptions = PairOptions(),
    pairs_per_task: int = PAIRS_PER_TASK,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> RegistrationEvaluation:
    """Register the pairs of a table with a model, and measure them, on the workers of a scheduler.

    Parameters
    ----------
    executor : str
        See `parse_address`.
    model, pairs, images, labels, landmarks : Path
        At paths that the workers have, too; see `EvaluationData.gather`.
    options : PairOptions
        With the weights of the model.
    pairs_per_task : int

    Raises
    ------
    InputError
        The scheduler does not answer, a worker fails or has another model, or a file cannot be used.
    """
    address = parse_address(executor)
    data = EvaluationData.gather(pairs, images=images, labels=labels, landmarks=landmarks, spacing=spacing)
    digest = _digest(model)
    found: dict[int, EvaluatedPair] = {}
    numbers = range(len(data.pairs))
    parts = [numbers[first : first + pairs_per_task] for first in numbers[::pairs_per_task]]

    def take(part: range, text: object) -> None:
        measures = _measures(text)
        if len(measures) != len(part):
            raise InputError("a worker of the cluster gave back measures of other pairs")
        found.update(zip(part, measures, strict=True))
        if progress:
            progress(ProgressEvent(STAGE, len(found) / len(data.pairs), step=len(found)))

    paths = [None if path is None else str(path.absolute()) for path in (pairs, images, labels, landmarks)]
    plain = {"steps": options.steps, "device": options.device}
    common: list[Any] = [str(model.absolute()), digest, *paths, spacing, plain]
    with connected(address) as client:
        run_tasks(
            client,
            measure_part,
            common,
            parts,
            lambda part: [data.pairs[number] for number in part],
            take,
            progress=progress,
            cancel=cancel,
        )
    return means_of_pairs([found[number] for number in sorted(found)], asked=len(data.pairs))


def measure_part(
    model: str,
    digest: str,
    pairs: str,
    images: str,
    labels: str | None,
    landmarks: str | None,
    spacing: float | None,
    options: dict[str, Any],
    part: Sequence[Pair],
) -> str:
    """Work of a task: the measures of some pairs as JSON. Called on a worker.

    Raises
    ------
    InputError
        The model there is another one, or a file cannot be read.
    """
    with _alone:
        if _digest(Path(model)) != digest:
            raise InputError(f"{model}: is another model here")
        trained = _model(model, digest, options["device"])
        data = _data(pairs, images, labels, landmarks, spacing)
        chosen = PairOptions(**options)

        def register(fixed: MedicalImage, moving: MedicalImage) -> Registration:
            return register_pair(fixed, moving, model=trained, options=chosen)

        measured = measure_pairs(
            register,
            [(fixed, moving) for fixed, moving in part],
            data.images,
            labels=data.labels,
            landmarks=data.landmarks,
            spacing=spacing,
        )
        return json.dumps([one.to_json() for one in measured])


@functools.lru_cache(maxsize=1)
def _model(folder: str, digest: str, device: str) -> RegistrationModel:
    return RegistrationModel.load(Path(folder), device=choose_device(device))


@functools.lru_cache(maxsize=1)
def _data(
    pairs: str, images: str, labels: str | None, landmarks: str | None, spacing: float | None
) -> EvaluationData:
    return EvaluationData.gather(
        Path(pairs),
        images=Path(images),
        labels=None if labels is None else Path(labels),
        landmarks=None if landmarks is None else Path(landmarks),
        spacing=spacing,
    )


def _digest(folder: Path) -> str:
    """Digest of the files of a model, by which it is told from another one in the same folder."""
    digest = hashlib.sha256()
    try:
        for path in [*sorted(folder.glob("*.safetensors")), folder / "model.json"]:
            digest.update(path.name.encode() + path.read_bytes())
    except FileNotFoundError:
        RegistrationModel.load(folder)  # tells what is missing
        raise
    return digest.hexdigest()


def _measures(text: object) -> list[EvaluatedPair]:
    try:
        values = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, list):
        raise InputError("a worker of the cluster gave back something else than measures")
    return [EvaluatedPair.from_json(value) for value in values]
