"""Meaning of what is dropped onto a viewer: study, images or landmarks of the open one, folder of a new one."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.errors import InputError
from napari_landmark.data.images import dicom_series
from napari_landmark.data.images.image import looks_like_image
from napari_landmark.data.study.study import Study
from napari_landmark.gui.session.session import Session

LANDMARK_SUFFIXES = (".landmarks.csv", ".mrk.json", ".fcsv", ".tps")
"""Ends of names of files that hold landmarks and nothing else."""


class DropMeaning(StrEnum):
    """What to do with dropped files."""

    OPEN_STUDY = "open study"
    ADD_IMAGES = "add images"
    IMPORT_LANDMARKS = "import landmarks"
    NEW_STUDY = "new study"
    NONE = "none"


def drop_meaning(session: Session, paths: Sequence[Path]) -> DropMeaning:
    """What files and folders mean that are dropped onto a viewer.

    The folder of a study is opened. Images and folders of images are added to the open study, a file of landmarks is
    imported into it. Without one, a folder of images is that of a new study. Everything else is napari's: other files,
    single images without a study, a mixture of images and others.

    Parameters
    ----------
    session : Session
    paths : sequence of Path
    """
    if len(paths) == 1 and Study.exists(paths[0]):
        return DropMeaning.OPEN_STUDY
    study = session.study
    if study is not None and not study.reader and paths and all(map(_holds_images, paths)):
        return DropMeaning.ADD_IMAGES
    if session.current_image and len(paths) == 1 and paths[0].name.lower().endswith(LANDMARK_SUFFIXES):
        return DropMeaning.IMPORT_LANDMARKS
    if study is None and len(paths) == 1 and paths[0].is_dir() and not dicom_series.holds_slices(paths[0]):
        return DropMeaning.NEW_STUDY if _holds_images(paths[0]) else DropMeaning.NONE
    return DropMeaning.NONE


def _holds_images(path: Path) -> bool:
    if path.is_dir():
        try:
            return bool(image_files(path)[0])
        except InputError:
            return False
    return path.is_file() and looks_like_image(path)
