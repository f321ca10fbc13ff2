"""Landmarks of a study or of a landmark file, with what is known of their images, for all that analyses landmarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from napari_landmark.data.cohort.folder import image_files, list_files
from napari_landmark.data.cohort.folder_geometries import FolderGeometries
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.image_names import ImageNames
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import read_geometry
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.study.image_facts import ImageDecision, ImageFacts
from napari_landmark.data.study.settings import Spacing
from napari_landmark.data.study.study import Study


@dataclass(frozen=True, eq=False)
class LandmarkSource:
    """Landmarks by image, with geometries, files and facts of the images.

    Parameters
    ----------
    landmarks : mapping of str to LandmarkSet
        By name of the image, without images that a user left out.
    geometries : mapping of str to Geometry
        Of the images that can be read; of others only where a spacing is given, just large enough for the landmarks.
    files : mapping of str to Path
        Of the images whose file is known.
    facts : mapping of str to ImageFacts
    study : Study, optional
        The study that the landmarks are of.
    problems : tuple of str
        What could not be found or read, each in one line.
    """

    landmarks: Mapping[str, LandmarkSet]
    geometries: Mapping[str, Geometry] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    facts: Mapping[str, ImageFacts] = field(default_factory=dict)
    study: Study | None = None
    problems: tuple[str, ...] = ()

    @property
    def left_out(self) -> tuple[str, ...]:
        """Images that a user left out of the study."""
        return tuple(name for name, one in self.facts.items() if one.decision is ImageDecision.LEFT_OUT)

    @classmethod
    def read(
        cls, path: Path, *, images: Path | None = None, spacing: Spacing = None, manual_only: bool = False
    ) -> Self:
        """Read a study (its annotations, completed by predictions) or a landmark file of any format.

        Parameters
        ----------
        path : Path
            Folder of a study, or a file.
        images : Path, optional
            Folder of the images; that of the study by default.
        spacing : float or tuple of float, optional
            Millimetres per pixel of all images, instead of what their files or the study say.
        manual_only : bool, optional
            Leave out predictions.

        Raises
        ------
        InputError
            The path is neither, a file cannot be read, there is no such folder of images, or no image has a position.
        """
        if not path.is_dir():
            return cls.of_file(path, images=images, spacing=spacing, manual_only=manual_only)
        found = cls.of_study(Study.open(path), images=images, spacing=spacing, manual_only=manual_only)
        if not any(marks.ndim is not None for marks in found.landmarks.values()):
            raise InputError(f"{path}: no image has landmarks: annotate images, or train first")
        return found

    @classmethod
    def of_study(
        cls,
        study: Study,
        *,
        images: Path | None = None,
        spacing: Spacing = None,
        manual_only: bool = False,
        landmarks: Mapping[str, LandmarkSet] | None = None,
    ) -> Self:
        """Annotations of a study, completed by predictions, or other landmarks of its images; see `read`.

        Parameters
        ----------
        landmarks : mapping of str to LandmarkSet, optional
            Instead of the study's own.
        """
        facts = study.facts()
        if landmarks is None:
            annotations = study.annotations()
            predictions = {} if manual_only else study.predictions()
            empty = LandmarkSet(study.schema)
            landmarks = {
                name: annotations.get(name, empty).merged_with_prediction(predictions.get(name, empty))
                for name in sorted({*annotations, *predictions})
            }
        found = cls({}, facts=facts)
        kept = {name: marks for name, marks in landmarks.items() if name not in found.left_out}
        problems: list[str] = []
        files: dict[str, Path] = {}
        if images is not None:
            files = dict(list_files(images, study.extra))
        else:
            try:
                files = dict(list_files(study.require_images(), study.extra))
            except InputError as error:
                problems.append(str(error))
        chosen = study.spacing if spacing is None else spacing
        geometries = _geometries(kept, files, chosen, problems)
        return cls(kept, geometries, files, facts, study, tuple(problems))

    @classmethod
    def of_file(
        cls, path: Path, *, images: Path | None = None, spacing: Spacing = None, manual_only: bool = False
    ) -> Self:
        """Landmarks of a file of any format; see `read`."""
        folder = None if images is None else FolderGeometries(images, spacing=spacing)
        landmarks = read_landmarks(path, geometries=folder)
        if manual_only:
            landmarks = {image: _manual(marks) for image, marks in landmarks.items()}
        problems: list[str] = []
        files: dict[str, Path] = {}
        if images is not None:
            known = dict(image_files(images)[0])
            names = ImageNames(known)
            for image in landmarks:
                name = names.find(image)
                if name is None:
                    problems.append(f"{image}: is not among the images")
                else:
                    files[image] = known[name]
        geometries = _geometries(landmarks, files, spacing, problems)
        return cls(landmarks, geometries, files, problems=tuple(problems))


def _geometries(
    landmarks: Mapping[str, LandmarkSet], files: Mapping[str, Path], spacing: Spacing, problems: list[str]
) -> dict[str, Geometry]:
    """Geometries of all images that have a position; what cannot be read is added to the problems."""
    found: dict[str, Geometry] = {}
    for name, marks in landmarks.items():
        if marks.ndim is None:
            continue
        if name in files:
            try:
                found[name] = read_geometry(files[name], spacing=spacing)
                continue
            except InputError as error:
                problems.append(f"left without its image: {error}")
        if spacing is not None:
            # Of an image that is not here only the spacing is known; its size must hold the landmarks.
            corner = np.nanmax(marks.positions(), axis=0)
            shape = tuple(int(value) + 2 for value in np.maximum(corner, 0))
            found[name] = Geometry(shape).with_spacing(spacing)
    return found


def _manual(marks: LandmarkSet) -> LandmarkSet:
    return LandmarkSet(marks.schema, (mark for mark in marks.values() if mark.status.is_manual))
