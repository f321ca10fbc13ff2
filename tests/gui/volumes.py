"""Small volumes of a bright ball, with long voxels, as studies."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from napari.components import ViewerModel

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.study.study import Study
from napari_landmark.gui.layers.viewer_session import get_session

SHAPE, SPACING = (16, 40, 36), (2.5, 1.0, 1.0)
CENTRE, RADIUS = np.array([8.0, 19.0, 17.0]), 12.0  # mm
AIR, BONE = -1000, 1000


def ball() -> np.ndarray:
    """CT of a ball of bone in water in air; its surface is where bone is half."""
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    away = np.linalg.norm((grid - CENTRE) * SPACING, axis=-1)
    bone = np.clip(0.5 + RADIUS - away, 0, 1)
    array = np.where(away < RADIUS + 3, 40.0, AIR)
    return (array + bone * (BONE - array)).astype(np.int16)


def write_volume(path, array) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING[::-1])
    sitk.WriteImage(image, str(path))


@pytest.fixture
def volume_study(tmp_path, preferences) -> tuple[Study, Cohort]:
    folder = tmp_path / "volumes"
    folder.mkdir()
    write_volume(folder / "a.nii.gz", ball())
    write_volume(folder / "b.nii.gz", ball()[:, ::-1])
    study = Study.create(
        tmp_path / "volume study", schema=LandmarkSchema(("one", "two", "three")), images=folder
    )
    return study, Cohort.from_folder(folder, working_size=64, cache_dir=preferences.cache)


@pytest.fixture
def volume_viewer(volume_study) -> ViewerModel:
    """A viewer without a window, in which a study of volumes is open."""
    viewer = ViewerModel()
    get_session(viewer).open(*volume_study)
    yield viewer
    get_session(viewer).close()
