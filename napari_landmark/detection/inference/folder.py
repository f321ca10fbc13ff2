"""Landmarks of every image in a folder, one image in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_landmark.data.cohort.folder import SkippedFile, image_files
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage, read_image
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.detection.inference.heatmap_files import write_heatmaps
from napari_landmark.detection.inference.journal import DetectionJournal
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

_READ_AHEAD = 2


@dataclass
class FolderDetections:
    """What was found in a folder.

    Parameters
    ----------
    landmarks : dict of str to LandmarkSet
        By file name.
    geometries : dict of str to Geometry
    skipped_files : list of SkippedFile
        Files that could not be used.
    cancelled : bool
    n_resumed : int
        How many images an earlier, interrupted run had done.
    """

    landmarks: dict[str, LandmarkSet] = field(default_factory=dict)
    geometries: dict[str, Geometry] = field(default_factory=dict)
    skipped_files: list[SkippedFile] = field(default_factory=list)
    cancelled: bool = False
    n_resumed: int = 0


def detect_folder(
    model: LandmarkModel,
    folder: str | Path,
    *,
    spacing: float | Sequence[float] | None = None,
    heatmaps: Path | None = None,
    journal: Path | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> FolderDetections:
    """Find the landmarks in all images of a folder.

    Parameters
    ----------
    spacing : float or sequence of float, optional
        Millimetres per pixel, used instead of what the files say.
    heatmaps : Path, optional
        Folder to write each image's heatmaps and an overlay picture to.
    journal : Path, optional
        A file to keep what was found so far. Where an earlier run with the same model was interrupted, what
        that one did is taken over; the file is the caller's to remove once the result is written.

    Raises
    ------
    InputError
        No image of the folder can be used.
    """
    found = FolderDetections()
    files, found.skipped_files = image_files(folder)
    kept = (
        None if journal is None else DetectionJournal(journal, _run(model, spacing, heatmaps), model.schema)
    )
    todo = _without_those_done(files, kept, found)
    try:
        for done, (name, outcome) in enumerate(_read_all(todo, spacing), start=1):
            if cancel and cancel.cancelled:
                found.cancelled = True
                break
            path = todo[done - 1][1]
            try:
                image = outcome.result()
                detection = model.detect(image, heatmaps=heatmaps is not None)
            except InputError as error:
                found.skipped_files.append(SkippedFile(name, _reason(error, name, path)))
            else:
                if heatmaps is not None:
                    write_heatmaps(heatmaps, image, detection)
                found.landmarks[name] = detection.landmarks
                found.geometries[name] = image.geometry
                if kept is not None:
                    kept.add(name, path, detection.landmarks, image.geometry)
            if progress:
                progress(ProgressEvent("detecting", (found.n_resumed + done) / len(files)))
    finally:
        if kept is not None:
            kept.close()
    found.landmarks = {name: found.landmarks[name] for name, _ in files if name in found.landmarks}
    if not found.landmarks and not found.cancelled:
        reason = (
            f"; {found.skipped_files[0].name}: {found.skipped_files[0].reason}" if found.skipped_files else ""
        )
        raise InputError(
            f"{folder}: holds no image that can be used; choose the folder that directly holds them{reason}"
        )
    return found


def _run(model: LandmarkModel, spacing: object, heatmaps: Path | None) -> dict[str, Any]:
    """What the landmarks of an image depend on, and where its heatmaps are."""
    return {
        "model": model.digest(),
        "spacing": spacing,
        "heatmaps": None if heatmaps is None else str(heatmaps.resolve()),
    }


def _without_those_done(
    files: Sequence[tuple[str, Path]], kept: DetectionJournal | None, found: FolderDetections
) -> list[tuple[str, Path]]:
    """The images that are left to do; what was found in the others is taken over."""
    todo = []
    for name, path in files:
        earlier = None if kept is None else kept.find(name, path)
        if earlier is None:
            todo.append((name, path))
        else:
            found.landmarks[name], found.geometries[name] = earlier
            found.n_resumed += 1
    return todo


def _reason(error: InputError, name: str, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ").removeprefix(f"{name}: ")


def _read_all(
    files: Sequence[tuple[str, Path]], spacing: float | Sequence[float] | None
) -> Iterator[tuple[str, Future[MedicalImage]]]:
    """Names and read images; the next ones are read while the caller works on one."""
    with ThreadPoolExecutor(1) as reader:
        waiting: list[tuple[str, Future[MedicalImage]]] = []
        for name, path in files:
            waiting.append((name, reader.submit(read_image, path, spacing=spacing, name=name)))
            if len(waiting) > _READ_AHEAD:
                yield waiting.pop(0)
        yield from waiting
