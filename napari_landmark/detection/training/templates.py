"""Manually annotated images of a study, checked against the cohort."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSet, Status, check_inside
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.data.study.study import Study
from napari_landmark.detection.embedding.template_matching import Template


def find_annotated(study: Study, cohort: Cohort) -> list[Template]:
    """Positions in all manually annotated images of the cohort, the study's template first.

    Raises
    ------
    InputError
        No image is annotated, or a landmark lies outside its image.
    """
    found = []
    annotations: Mapping[str, LandmarkSet] = study.annotations()
    # In the order of the cohort: the same images under other names, in the same order, give the same model.
    names = [name for name in cohort.names if name in annotations]
    for name in sorted(names, key=lambda name: name != study.template):
        number = cohort.index(name)
        positions = annotations[name].positions(len(cohort.canvas))
        is_manual = np.array([mark.status.is_manual for mark in annotations[name].values()])
        positions[~is_manual] = np.nan
        if np.isnan(positions[:, 0]).all():
            continue
        check_inside(annotations[name].values(), cohort.geometry(number), image=name)
        found.append(Template(number, cohort.canvas_transform(number).to_working(positions)))
    if not found:
        name = study.template or "the template"
        if annotations and not any(name in cohort for name in annotations):
            raise InputError(f"{name}: is annotated, but no longer among the images of {cohort.folder}")
        raise InputError(f"{name}: no landmark is placed in it; annotate the template first")
    return found


def left_out_images(study: Study, cohort: Cohort) -> list[int]:
    """Numbers of the images that the user left out."""
    decisions = study.decisions()
    return [n for n, name in enumerate(cohort.names) if decisions.get(name) is ImageDecision.LEFT_OUT]


def missing_landmarks(study: Study, cohort: Cohort) -> np.ndarray:
    """(n_images, n) mask of landmarks that the annotator marked as missing, in any image.

    In mirror images whose names are those of the other side, by the names of the template's side.
    """
    missing = np.zeros((len(cohort), len(study.schema)), bool)
    for name, marks in study.annotations().items():
        if name in cohort:
            number = cohort.index(name)
            rows = study.sides.rows(study.schema.names, mirrored=cohort.pose(number).is_mirrored)
            missing[number] = np.array([mark.status is Status.MISSING for mark in marks.values()])[rows]
    return missing
