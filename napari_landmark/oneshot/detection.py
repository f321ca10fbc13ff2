"""Landmarks of every image in a folder, one image in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from napari_landmark.data.cohort import Problem, image_files
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.image import MedicalImage, read_image
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.learning.progress import CancelToken, Progress, ProgressEvent
from napari_landmark.oneshot.heatmap_files import write_heatmaps
from napari_landmark.oneshot.model import LandmarkModel

_READ_AHEAD = 2


@dataclass
class FolderDetections:
    """What was found in a folder.

    Parameters
    ----------
    landmarks : dict of str to LandmarkSet
        By file name.
    geometries : dict of str to Geometry
    problems : list of Problem
        Files that could not be used.
    cancelled : bool
    """

    landmarks: dict[str, LandmarkSet] = field(default_factory=dict)
    geometries: dict[str, Geometry] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    cancelled: bool = False


def detect_folder(
    model: LandmarkModel,
    folder: str | Path,
    *,
    spacing: float | Sequence[float] | None = None,
    heatmaps: Path | None = None,
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

    Raises
    ------
    InputError
        No image of the folder can be used.
    """
    found = FolderDetections()
    files, found.problems = image_files(folder)
    for done, (name, outcome) in enumerate(_read_all(files, spacing), start=1):
        if cancel and cancel.cancelled:
            found.cancelled = True
            break
        try:
            image = outcome.result()
            detection = model.detect(image, heatmaps=heatmaps is not None)
        except InputError as error:
            found.problems.append(Problem(name, _reason(error, name, files[done - 1][1])))
        else:
            found.landmarks[name] = detection.landmarks
            found.geometries[name] = image.geometry
            if heatmaps is not None:
                write_heatmaps(heatmaps, image, detection)
        if progress:
            progress(ProgressEvent("detecting", done / len(files)))
    if not found.landmarks and not found.cancelled:
        reason = f"; {found.problems[0].name}: {found.problems[0].reason}" if found.problems else ""
        raise InputError(
            f"{folder}: holds no image that can be used; choose the folder that directly holds them{reason}"
        )
    return found


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
