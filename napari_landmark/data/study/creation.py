"""Creation of a study from images, template images and their landmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path

import numpy as np

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.folder import resolved
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.files.composed_name import composed_name
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status, check_inside
from napari_landmark.data.measurement_language.definition import MeasurementSchema
from napari_landmark.data.study.settings import Spacing
from napari_landmark.data.study.study import Study

# Files of annotations hold rounded positions.
_SAME_PIXELS = 1e-4


def read_template_landmarks(
    templates: Sequence[Path], landmarks: Path, *, schema: LandmarkSchema | None = None
) -> dict[Path, LandmarkSet]:
    """Landmarks of template images from one landmark file.

    Parameters
    ----------
    templates : sequence of Path
        Files of the template images.
    landmarks : Path
        File with the landmarks of all of them, in any known format.
    schema : LandmarkSchema, optional
        Landmarks that may occur; those of the file if not given.

    Returns
    -------
    dict of Path to LandmarkSet
        Landmarks by template, in the given order. Predicted positions are placed ones: the user declares them
        correct.

    Raises
    ------
    InputError
        The file cannot be read, or does not hold exactly one image that fits each template.
    """
    table = read_landmarks(landmarks, schema=schema)
    found = {}
    for path in templates:
        marks = table[_image_of(path, table, landmarks)]
        if marks.ndim is None:
            raise InputError(f"{landmarks}: no landmark of {path.name} has a position")
        found[path] = _as_placed(marks)
    return found


def create_study(
    folder: str | Path,
    cohort: Cohort,
    *,
    images: str | Path,
    schema: LandmarkSchema | None = None,
    annotations: Mapping[str, LandmarkSet] | Mapping[Path, LandmarkSet] | None = None,
    spacing: Spacing = None,
    measurements: MeasurementSchema | None = None,
) -> Study:
    """Create a study with the annotations to begin with; nothing is written where one of them cannot be used.

    Parameters
    ----------
    folder : str or Path
        Folder of the study; created if missing.
    cohort : Cohort
        Images of the study, including the annotated ones.
    images : str or Path
        Folder of the images.
    schema : LandmarkSchema, optional
        The landmarks; those of the first annotation if not given.
    annotations : mapping to LandmarkSet, optional
        Annotations by name or by path of the image. The first one is the template. A path outside `images` is
        kept as an additional image of the study.
    spacing : float or tuple of float, optional
        Millimetres per pixel given by the user, in array axis order.
    measurements : MeasurementSchema, optional
        What is measured between the landmarks.

    Returns
    -------
    Study

    Raises
    ------
    InputError
        The folder holds a study already or cannot be written, or an annotation does not fit its image.
    """
    given = annotations or {}
    check_annotations(cohort, given)
    if schema is None:
        first = next(iter(given.values()), None)
        if first is None:
            raise InputError(f"{folder}: a study needs landmarks: give their names or an annotated image")
        schema = first.schema
    names = [_name(cohort, image) for image in given]
    study = Study.create(
        folder,
        schema=schema,
        images=images,
        template=next(iter(names), ""),
        spacing=spacing,
        extra={path: _name(cohort, path) for path in _outside(given, images)},
        measurements=measurements,
    )
    _save(study, cohort, given)
    return study


def extend_study(
    study: Study,
    cohort: Cohort,
    *,
    images: str | Path | None = None,
    annotations: Mapping[str, LandmarkSet] | Mapping[Path, LandmarkSet] | None = None,
    spacing: Spacing = None,
) -> None:
    """Add annotations and settings to a study; nothing is written where one of them cannot be used.

    Parameters
    ----------
    study : Study
        Changed in place and on disk.
    cohort, images, annotations, spacing
        As in `create_study`; what is not given stays. `Study.update` takes a spacing back.

    Raises
    ------
    InputError
        An annotation does not fit its image, or the study has other positions there.
    """
    given = annotations or {}
    check_annotations(cohort, given, study=study)
    folder = study.images if images is None else images
    known = {path.resolve() for path in study.extra}
    outside = [] if folder is None else _outside(given, folder)
    if spacing is not None:
        study.update(spacing=spacing)
    study.update(
        images=images,
        extra={
            **study.extra,
            **{path: _name(cohort, path) for path in outside if path.resolve() not in known},
        },
    )
    _save(study, cohort, given)


def check_annotations(
    cohort: Cohort,
    annotations: Mapping[str, LandmarkSet] | Mapping[Path, LandmarkSet],
    *,
    study: Study | None = None,
) -> None:
    """Refuse landmarks outside their image, and other positions than the study has there.

    Parameters
    ----------
    cohort : Cohort
    annotations : mapping to LandmarkSet
        Annotations by name or by path of the image.
    study : Study, optional
        Study whose annotations must not change.

    Raises
    ------
    InputError
        With the image, and the landmark where one is outside.
    """
    known = {} if study is None else study.annotations()
    for image, marks in annotations.items():
        number = cohort.index(image)
        name = cohort.names[number]
        check_inside(marks.values(), cohort.geometry(number), image=name)
        if study is not None and name in known and not _agree(known[name], marks):
            raise InputError(
                f"{study.folder}: holds other manual positions for {name}", code=ErrorCode.OTHER_ANNOTATION
            )


def _save(
    study: Study, cohort: Cohort, annotations: Mapping[str, LandmarkSet] | Mapping[Path, LandmarkSet]
) -> None:
    for image, marks in annotations.items():
        number = cohort.index(image)
        name = cohort.names[number]
        if study.load_annotations(name).ndim is None:  # else they were checked to be the same
            study.save_annotations(name, marks, cohort.geometry(number))


def _name(cohort: Cohort, image: str | Path) -> str:
    return cohort.names[cohort.index(image)]


def _outside(
    annotations: Mapping[str, LandmarkSet] | Mapping[Path, LandmarkSet], images: str | Path
) -> list[Path]:
    """Paths among the annotated images that are not in the folder of the images."""
    paths = [image for image in annotations if isinstance(image, Path)]
    if not paths:
        return []
    inside = {resolved(path) for path in Path(images).iterdir()}
    return [path for path in paths if resolved(path) not in inside]


def _image_of(path: Path, table: Mapping[str, LandmarkSet], landmarks: Path) -> str:
    """Name in the table of a template: the one whose folders, from the last on, agree best with its path."""
    own = tuple(map(composed_name, path.absolute().parts[::-1]))
    agreement = {}
    for name in table:
        parts = composed_name(name).replace("\\", "/").strip("/").split("/")[::-1]
        # A name without folders ranks below one with the right folders, and above one with others.
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(parts, own, strict=False)))
        if same:
            agreement[name] = (same, same == len(parts))
    if not agreement:
        names = ", ".join(list(table)[:3])
        raise InputError(f"{landmarks}: has no rows for the template {path.name} (it has {names})")
    best = [name for name, score in agreement.items() if score == max(agreement.values())]
    if len(best) > 1:
        raise InputError(
            f"{landmarks}: the template {path} may be {best[0]} or {best[1]}; "
            f"name it there with the folders of its path"
        )
    return best[0]


def _as_placed(marks: LandmarkSet) -> LandmarkSet:
    placed = (
        mark
        if mark.position is None or mark.status.is_manual
        else Landmark(mark.name, mark.position, Status.PLACED, covered=mark.covered)
        for mark in marks.values()
    )
    return LandmarkSet(marks.schema, placed)


def _agree(known: LandmarkSet, given: LandmarkSet) -> bool:
    """True where the study has no positions in an image, or the same ones."""
    if known.ndim is None:
        return True
    before, now = known.positions(), given.positions(known.ndim)
    return np.allclose(before, now, rtol=0, atol=_SAME_PIXELS, equal_nan=True)
