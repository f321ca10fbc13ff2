"""Pairs of a table with their images, label maps and landmarks, as an evaluation of registration takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.cohort.folder_landmarks import landmarks_of_images
from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.registration.evaluation import Pair, read_pairs
from napari_landmark.registration.label_map import find_label_maps


@dataclass(frozen=True)
class EvaluationData:
    """Pairs to register, and what is known of their images.

    Parameters
    ----------
    pairs : tuple of (str, str)
        Names of the fixed and the moving images.
    images, labels : mapping of str to Path
        Files by name of the image.
    landmarks : mapping of str to LandmarkSet
    """

    pairs: tuple[Pair, ...]
    images: Mapping[str, Path]
    labels: Mapping[str, Path]
    landmarks: Mapping[str, LandmarkSet]

    @classmethod
    def gather(
        cls,
        pairs: Path,
        *,
        images: Path,
        labels: Path | None = None,
        landmarks: Path | None = None,
        spacing: float | None = None,
    ) -> EvaluationData:
        """Gather them from a table of pairs, a folder of images, one of label maps and a file of landmarks.

        Raises
        ------
        InputError
            One of them cannot be read, or fits no pair.
        """
        files = dict(image_files(images)[0])
        rows = read_pairs(pairs, tuple(files))
        used = list(dict.fromkeys(name for row in rows for name in row))
        maps = {} if labels is None else _label_maps(labels, used, rows)
        marks: dict[str, LandmarkSet] = {}
        if landmarks is not None:
            marks = landmarks_of_images(landmarks, used, images=images, spacing=spacing, group="the pairs")
        return cls(tuple(rows), files, maps, marks)


def _label_maps(folder: Path, used: Iterable[str], rows: Iterable[tuple[str, str]]) -> dict[str, Path]:
    maps = find_label_maps(folder, used)
    if not any(fixed in maps and moving in maps for fixed, moving in rows):
        raise InputError(
            f"{folder}: holds the label maps of both images of no pair; they are called like the images"
        )
    return maps
