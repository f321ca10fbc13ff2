"""Detection in a folder on the workers of a dask scheduler: the same table as in one process, to the byte.

Work lists of some images are the tasks. What a worker gets are names and paths on a file system that all share;
what it gives back are lines of the detection's journal, which are read as any journal is. A worker that is lost loses
the list it is at, which another one does again.
"""

from __future__ import annotations

import functools
import queue
import re
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from distributed import Client, Future

_ADDRESS = re.compile(r"dask(\+tls)?://([A-Za-z0-9.\-_]+|\[[0-9A-Fa-f:]+\]):([0-9]{1,5})")
IMAGES_PER_TASK = 100
"""A lost worker loses the work on so many images at most."""
_SECONDS_TO_CONNECT = 10
_SECONDS_BETWEEN_LOOKS = 0.5
_RETRIES = 3
_alone = threading.Lock()  # a worker with several threads computes one list at a time: a model is not for two


def parse_address(text: str) -> str:
    """Address of a scheduler as dask has it, from `dask://HOST:PORT` or, with TLS, `dask+tls://HOST:PORT`.

    Examples
    --------
    >>> parse_address("dask+tls://head.cluster:8786")
    'tls://head.cluster:8786'
    """
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise InputError(f"executor {text!r:.80}: give dask://HOST:PORT, or dask+tls://HOST:PORT")
    return f"{'tls' if match[1] else 'tcp'}://{match[2]}:{match[3]}"


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
    plain = _plain(spacing), _plain(default_spacing), None if heatmaps is None else str(heatmaps)
    try:
        if parts:
            with _connected(address) as client:
                submit = functools.partial(
                    _submit, client, str(study.folder.absolute()), model_name, model.digest(), device, *plain
                )
                found.cancelled = not _collect(client, submit, parts, take, progress, cancel)
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


def _connected(address: str) -> Client:
    try:
        from distributed import Client
    except ImportError:
        raise InputError(
            "the package distributed is not installed: install napari-landmark with the extra 'cluster'"
        ) from None
    try:
        return Client(address, timeout=_SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        raise InputError(f"{address}: no scheduler answers there ({_one_line(error)})") from error


def _submit(client: Client, *arguments: Any) -> Future:
    *same, part = arguments
    files = [(reference.name, str(reference.path)) for reference in part]
    return client.submit(detect_part, *same, files, pure=False, retries=_RETRIES)


def _collect(
    client: Client,
    submit: Callable[[Sequence[ImageReference]], Future],
    parts: Sequence[Sequence[ImageReference]],
    take: Callable[[Sequence[ImageReference], str], None],
    progress: Progress | None,
    cancel: CancelToken | None,
) -> bool:
    """Take the results of all parts as they come; False where it was cancelled before."""
    ended: queue.Queue[Future] = queue.Queue()
    waiting: dict[str, Sequence[ImageReference]] = {}
    futures = []
    for part in parts:
        future = submit(part)
        waiting[str(future.key)] = part
        futures.append(future)
        future.add_done_callback(ended.put)
    try:
        while waiting:
            if cancel is not None and cancel.cancelled:
                return False
            try:
                future = ended.get(timeout=_SECONDS_BETWEEN_LOOKS)
            except queue.Empty:
                if progress and not client.scheduler_info(n_workers=-1)["workers"]:
                    progress(ProgressEvent("waiting for workers", 0.0))
                continue
            part = waiting.pop(str(future.key))
            if future.status != "finished":
                raise InputError(f"a worker of the cluster failed: {_one_line(future.exception(timeout=10))}")
            take(part, future.result(timeout=60))
            future.release()
        return True
    finally:
        client.cancel([future for future in futures if future.key in waiting])


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


def _one_line(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
