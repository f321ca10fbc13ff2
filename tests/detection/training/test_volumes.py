"""All stages of a training, and detection, in three dimensions."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.study.study import Study
from napari_landmark.detection.detector import detector_training
from napari_landmark.detection.embedding import embedding_training
from napari_landmark.detection.embedding.embedding import EmbeddingConfig
from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.training import stages
from napari_landmark.detection.training.options import TrainingOptions
from napari_landmark.detection.training.train import train

SCHEMA = LandmarkSchema(("left", "right", "top"))
PLACES = np.array([[20.0, 14.0, 16.0], [22.0, 40.0, 30.0], [40.0, 28.0, 44.0]])


@pytest.fixture
def volumes(tmp_path):
    """Three volumes of balls in noise."""
    folder = tmp_path / "volumes"
    folder.mkdir()
    for number in range(3):
        rng = np.random.default_rng(number)
        array = rng.normal(100, 5, (64, 56, 60))
        grid = np.moveaxis(np.indices(array.shape), 0, -1)
        for size, place in zip((4, 6, 8), PLACES + number, strict=True):
            array[np.linalg.norm(grid - place, axis=-1) < size] += 300
        image = sitk.GetImageFromArray(array.astype(np.int16))
        image.SetSpacing((0.5, 0.5, 0.5))
        sitk.WriteImage(image, str(folder / f"{number}.nii.gz"))
    return folder


def test_the_stages_of_a_training_and_detection(tmp_path, volumes, monkeypatch, small_close_ups):
    small = EmbeddingConfig(3, 1, size=8, channels=(4, 4, 8, 8, 8))
    monkeypatch.setattr(stages, "embedding_config", lambda canvas: small)
    monkeypatch.setattr(embedding_training, "SELF_PAIRS", 1)
    monkeypatch.setattr(embedding_training, "CROSS_PAIRS", 1)
    monkeypatch.setattr(detector_training, "DETECTOR_BATCH", 1)
    cohort = Cohort.from_folder(volumes)
    assert cohort.canvas == (64, 64, 64)
    study = Study.create(tmp_path / "study", schema=SCHEMA, images=volumes, template="0.nii.gz")
    study.save_annotations("0.nii.gz", LandmarkSet.from_array(SCHEMA, PLACES))
    options = TrainingOptions(
        device="cpu", self_steps=1, cross_steps=1, patch_steps=1, detector_steps=1, retrain_steps=1
    )
    report = train(study, cohort, options=options)
    assert [history.steps for history in report.histories] == [1, 1, 1, 1, 1]
    assert all(np.isfinite(history.losses[0][2]) for history in report.histories)
    model = load_model(study, device="cpu")
    detection = model.detect(cohort.read(1), heatmaps=True)
    assert detection.landmarks.positions().shape == (3, 3)
    assert cohort.geometry(1).contains(detection.landmarks.positions(), margin=12).all()
    assert detection.heatmaps.shape == (3, 16, 16, 16)
    assert model.refiner.descriptors.offsets.shape == (1, 3, 3)
    refined = detection.landmarks.positions()
    refiner, model.refiner = model.refiner, None
    assert not np.allclose(model.detect(cohort.read(1)).landmarks.positions(), refined)
    model.refiner, model.detector = refiner, None
    assert np.isfinite(model.detect(cohort.read(0)).landmarks.positions()).all()
