"""Detection in a folder on the workers of a dask scheduler: the same table as in one process, to the byte.

Work lists of some images are the tasks. What a worker gets are names and paths on a file system that all share;
what it gives back are lines of the detection's journal, which are read as any journal is.
"""

from __future__ import annotations

import functools
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_landmark.backend.cluster.tasks import connected, parse_address, run_tasks
from napari_landmark.data.cohort.folder import SkippedFile, image_files
from napari_landmark.data.errors import InputError
from napari_landmark.data.study.study import Study
from napari_landmark.detection.inference.detect import (
    Detections,
    ImageReference,
    check_unique_names,
    detect_images,
    run_entry,
    take_over,
)
from napari_landmark.detection.inference.folder import check_any_image
from napari_landmark.detection.inference.journal import DetectionJournal, read_journal
from napari_landmark.detection.model.predictor import Predictor
from napari_landmark.detection.model.store import load_model
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

IMAGES_PER_TASK = 100
"""A lost worker loses the work on so many images at most."""
_alone = threading.Lock()  # a worker with several threads computes one list at a time: a model is not for two


def detect_on_cluster(
    executor: str,
    study: Study,
    model: Predictor,
    folder: Path,
    *,
    model_name: str,
    device: str = "auto",
    spacing: float | Sequence[float] | None = None,
    default_spacing: float | Sequence[float] | None = None,
    heatmaps: Path | None = None,
    journal: Path | None = None,
    images_per_task: int = IMAGES_PER_TASK,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Detections:
    """Predict the landmarks of the images of a folder on the workers of a scheduler.

    Parameters
    ----------
    executor : str
        See `parse_address`.
    study : Study
        At a path that the workers have, too; so must be the images.
    model : Predictor
        The model of that study called `model_name`.
    device : str
        Of the workers.
    spacing, default_spacing, heatmaps, journal
        As for `detect_images`.
    images_per_task : int

    Raises
    ------
    InputError
        The scheduler does not answer, a worker fails or has another model, or no image can be used.
    """
    address = parse_address(executor)
    files, skipped_files = image_files(folder.absolute())
    references = [ImageReference(name, path) for name, path in files]
    check_unique_names(references)
    heatmaps = None if heatmaps is None else heatmaps.absolute()
    run = run_entry(model, spacing, default_spacing, heatmaps)
    found = Detections()
    kept = None if journal is None else DetectionJournal(journal, run, model.schema)
    todo = references if kept is None else take_over(references, kept.content, found)

    def take(part: Sequence[ImageReference], text: str) -> None:
        for reference, entry in _entries(part, text, run, model):
            name, path = reference.name, reference.path
            if isinstance(entry, str):
                found.skipped_files.append(SkippedFile(name, entry))
                if kept is not None:
                    kept.skip(name, path, entry)
                continue
            found.landmarks[name], found.geometries[name], found.poses[name] = entry
            if kept is not None:
                kept.add(name, path, *entry)
        if progress:
            done = len(found.landmarks) + len(found.skipped_files)
            progress(ProgressEvent("detecting", done / max(1, len(references)), step=done))

    parts = [todo[first : first + images_per_task] for first in range(0, len(todo), images_per_task)]
    common: list[Any] = [str(study.folder.absolute()), model_name, model.digest(), device]
    common += [_plain(spacing), _plain(default_spacing), None if heatmaps is None else str(heatmaps)]
    try:
        if parts:
            with connected(address) as client:
                ended = run_tasks(
                    client,
                    detect_part,
                    common,
                    parts,
                    _names_and_paths,
                    take,
                    progress=progress,
                    cancel=cancel,
                )
                found.cancelled = not ended
    finally:
        if kept is not None:
            kept.close()
    found.in_order([reference.name for reference in references])
    order = {reference.name: number for number, reference in enumerate(references)}
    found.skipped_files.sort(key=lambda skipped: order[skipped.name])
    found.skipped_files[:0] = skipped_files
    check_any_image(found, folder, journal)
    return found


def detect_part(
    study: str,
    model_name: str,
    digest: str,
    device: str,
    spacing: float | list[float] | None,
    default_spacing: float | list[float] | None,
    heatmaps: str | None,
    files: list[tuple[str, str]],
) -> str:
    """Work of a task: the lines of the journal of some images. Called on a worker.

    Raises
    ------
    InputError
        The model there is another one, or cannot be read.
    """
    with _alone, tempfile.TemporaryDirectory() as temporary:
        model = _model(study, model_name, device)
        if model.digest() != digest:
            raise InputError(f"{study}: holds another model {model_name} here")
        journal = Path(temporary) / "part.jsonl"
        detect_images(
            model,
            [ImageReference(name, Path(path)) for name, path in files],
            spacing=spacing,
            default_spacing=default_spacing,
            heatmaps=None if heatmaps is None else Path(heatmaps),
            journal=journal,
        )
        return journal.read_text(encoding="utf-8") if journal.exists() else ""


@functools.lru_cache(maxsize=1)
def _model(study: str, model_name: str, device: str) -> Predictor:
    return load_model(Study.open(study), name=model_name, device=device)


def _names_and_paths(part: Sequence[ImageReference]) -> list[tuple[str, str]]:
    return [(reference.name, str(reference.path)) for reference in part]


def _entries(
    part: Sequence[ImageReference], text: object, run: dict[str, Any], model: Predictor
) -> list[tuple[ImageReference, Any]]:
    """Predictions, or reasons why there is none, of the lines of a journal."""
    if not isinstance(text, str):
        raise InputError("a worker of the cluster gave back something else than lines of a journal")
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "part.jsonl"
        path.write_text(text, encoding="utf-8")
        content = read_journal(path, run, model.schema)
    entries = []
    for reference in part:
        entry = content.find(reference.name, reference.path) or content.find_skipped(
            reference.name, reference.path
        )
        if entry is None:
            raise InputError(
                f"{reference.name}: a worker of the cluster has another file, another version, or gave no result"
            )
        entries.append((reference, entry))
    return entries


def _plain(spacing: float | Sequence[float] | None) -> float | list[float] | None:
    return list(spacing) if isinstance(spacing, Sequence) else spacing
