"""Detection in the images of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.errors import InputError
from napari_landmark.detection.inference.detect import (
    WHOLE_LIST,
    Detections,
    ImageReference,
    detect_images,
    merge_shards,
)
from napari_landmark.detection.inference.shard import Shard
from napari_landmark.detection.model.predictor import Predictor
from napari_landmark.progress import CancelToken, Progress


def detect_folder(
    model: Predictor,
    folder: str | Path,
    *,
    spacing: float | Sequence[float] | None = None,
    default_spacing: float | Sequence[float] | None = None,
    heatmaps: Path | None = None,
    journal: Path | None = None,
    shard: Shard = WHOLE_LIST,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Detections:
    """Predict the landmarks of the images of a folder, in natural order of their names.

    Parameters
    ----------
    spacing : float or sequence of float, optional
        Millimetres per pixel, one value or one per axis in array axis order, used instead of what the files say.
    default_spacing : float or sequence of float, optional
        Millimetres per pixel of the images whose files say nothing.
    heatmaps, journal, shard
        As for `detect_images`.

    Raises
    ------
    InputError
        No image of the folder can be used, or a file cannot be written.
    """
    files, skipped_files = image_files(folder)
    found = detect_images(
        model,
        [ImageReference(name, path) for name, path in files],
        spacing=spacing,
        default_spacing=default_spacing,
        heatmaps=heatmaps,
        journal=journal,
        shard=shard,
        progress=progress,
        cancel=cancel,
    )
    found.skipped_files[:0] = skipped_files
    if shard.count == 1:
        check_any_image(found, folder, journal)
    return found


def merge_folder_shards(
    model: Predictor,
    folder: str | Path,
    *,
    journal: Path,
    count: int,
    spacing: float | Sequence[float] | None = None,
    default_spacing: float | Sequence[float] | None = None,
    heatmaps: Path | None = None,
) -> Detections:
    """Join the journals of all shards of a folder: the same as one run of `detect_folder`.

    Parameters and errors are those of `merge_shards`.
    """
    files, skipped_files = image_files(folder)
    found = merge_shards(
        model,
        [ImageReference(name, path) for name, path in files],
        journal=journal,
        count=count,
        spacing=spacing,
        default_spacing=default_spacing,
        heatmaps=heatmaps,
    )
    found.skipped_files[:0] = skipped_files
    check_any_image(found, folder, None)
    return found


def check_any_image(found: Detections, folder: str | Path, journal: Path | None) -> None:
    """Refuse a folder without any image that could be used; its journal is removed."""
    if found.landmarks or found.cancelled:
        return
    if journal is not None:
        journal.unlink(missing_ok=True)
    first = next(iter(found.skipped_files), None)
    reason = f"; {first.name}: {first.reason}" if first is not None else ""
    raise InputError(
        f"{folder}: holds no image that can be used; choose the folder that directly holds them{reason}"
    )
