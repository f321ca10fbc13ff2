"""Landmarks of a study or of a landmark file, with the geometries of their images, for commands that analyse them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from napari_landmark.data.cohort.folder_geometries import FolderGeometries
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.image_names import ImageNames
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import read_geometry
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.sides import Sides
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.data.study.study import Study


@dataclass(frozen=True)
class LandmarkSource:
    """Landmarks by image, and what is known of the images.

    Parameters
    ----------
    sets : mapping of str to LandmarkSet
    geometries : mapping of str to Geometry
        Of the images that were found.
    left_out : tuple of str
        Images that a user left out of the study.
    sides : Sides, optional
        Left and right landmarks of a study.
    study : Study, optional
        The study that the landmarks are of.
    """

    sets: Mapping[str, LandmarkSet]
    geometries: Mapping[str, Geometry] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    sides: Sides | None = None
    study: Study | None = None

    @classmethod
    def read(
        cls,
        path: Path,
        *,
        images: Path | None = None,
        spacing: float | None = None,
        manual_only: bool = False,
    ) -> LandmarkSource:
        """Read a study (its annotations, completed by predictions) or a landmark file of any format.

        Parameters
        ----------
        path : Path
            Folder of a study, or a file.
        images : Path, optional
            Folder of the images; that of the study by default.
        spacing : float, optional
            Millimetres per pixel of all images, instead of what their files or the study say.
        manual_only : bool, optional
            Leave out predictions.

        Raises
        ------
        InputError
            The path is neither, or a file cannot be read.
        """
        if not path.is_dir():
            folder = None if images is None else FolderGeometries(images, spacing=spacing)
            sets = read_landmarks(path, geometries=folder)
            if manual_only:
                sets = {image: _manual(marks) for image, marks in sets.items()}
            return cls(sets, {} if folder is None else _found(sets, folder))
        study = Study.open(path)
        decisions = study.decisions()
        left_out = tuple(name for name, value in decisions.items() if value is ImageDecision.LEFT_OUT)
        annotations = study.annotations()
        predictions = {} if manual_only else study.predictions()
        sets = {}
        for image in dict.fromkeys((*annotations, *predictions)):
            if image in left_out:
                continue
            marks = annotations.get(image) or LandmarkSet(study.schema)
            sets[image] = marks.merged_with_prediction(predictions[image]) if image in predictions else marks
        if not any(marks.ndim is not None for marks in sets.values()):
            raise InputError(f"{path}: no image has landmarks: annotate images, or train first")
        return cls(sets, study_geometries(study, sets, images, spacing), left_out, study.sides, study)


def study_geometries(
    study: Study, sets: Mapping[str, LandmarkSet], images: Path | None = None, spacing: float | None = None
) -> dict[str, Geometry]:
    """Geometries of images of a study whose files are there; its own spacing counts unless one is given."""
    chosen = study.spacing if spacing is None else spacing
    place = images if images is not None else study.images
    found: dict[str, Geometry] = {}
    if place is not None and place.is_dir():
        found = _found(sets, FolderGeometries(place, spacing=chosen))
    elif images is not None:
        raise InputError(f"{images}: there is no such folder of images")
    for path in study.extra:
        if path.name in sets and path.name not in found and path.exists():
            found[path.name] = read_geometry(path, spacing=chosen)
    if chosen is not None:  # it holds without the files, too
        for image, marks in sets.items():
            if image not in found and marks.ndim is not None:
                found[image] = Geometry((1,) * marks.ndim).with_spacing(chosen)
    return found


def _found(sets: Mapping[str, LandmarkSet], folder: FolderGeometries) -> dict[str, Geometry]:
    names = ImageNames(folder)
    pairs = ((image, names.find(image)) for image in sets)
    return {image: folder[name] for image, name in pairs if name is not None}


def _manual(marks: LandmarkSet) -> LandmarkSet:
    return LandmarkSet(marks.schema, (mark for mark in marks.values() if mark.status.is_manual))
