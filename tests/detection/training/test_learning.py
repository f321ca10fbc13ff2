"""From one annotated image to the landmarks of a cohort: that it really learns, in pixels."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.study.study import Study
from napari_landmark.detection.embedding.embedding import EmbeddingConfig
from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.training import stages
from napari_landmark.detection.training.options import TrainingOptions
from napari_landmark.detection.training.train import train

SCHEMA = LandmarkSchema(("dot", "ring", "disc", "large ring", "spot"))
PLACES = np.array([[14, 16], [20, 46], [34, 30], [48, 14], [50, 48]], float)
RADII = (3, 6, 4.5, 7, 3.5)
GREYS = (250, 170, 210, 130, 255)
IMAGES = 10


def draw(seed):
    """Discs and rings in a random pose, each a little out of its place."""
    rng = np.random.default_rng(seed)
    pose, shift = np.eye(2) + rng.normal(size=(2, 2)) * 0.08, rng.normal(size=2) * 2.5
    points = (PLACES - 32) @ pose.T + 32 + shift + rng.normal(size=PLACES.shape)
    rows, columns = np.mgrid[:64, :64]
    picture = 60 + rng.normal(size=(64, 64)) * 6 + 0.3 * (rows + columns)
    for point, radius, grey in zip(points, RADII, GREYS, strict=True):
        distance = np.hypot(rows - point[0], columns - point[1])
        share = np.clip(radius - distance + 0.5, 0, 1)
        picture = picture * (1 - share) + grey * share
        if radius > 5:
            share = np.clip(1.5 - abs(distance - radius / 2), 0, 1)
            picture = picture * (1 - share) + 20 * share
    return np.clip(picture, 0, 255).astype(np.uint8), points


@pytest.mark.slow
def test_landmarks_of_a_cohort_from_one_annotated_image(tmp_path, monkeypatch):
    from PIL import Image

    small = EmbeddingConfig(2, 1, size=32, channels=(8, 16, 16, 32, 32))
    monkeypatch.setattr(stages, "embedding_config", lambda canvas: small)
    (tmp_path / "images").mkdir()
    truth = {}
    for number in range(IMAGES):
        picture, truth[f"{number}.png"] = draw(number)
        Image.fromarray(picture).save(tmp_path / "images" / f"{number}.png")
    cohort = Cohort.from_folder(tmp_path / "images")
    study = Study.create(tmp_path / "study", schema=SCHEMA, images=tmp_path / "images", template="0.png")
    study.save_annotations("0.png", LandmarkSet.from_array(SCHEMA, truth["0.png"]))

    def errors(sets):
        return np.array(
            [
                np.linalg.norm(marks.positions() - truth[name], axis=1)
                for name, marks in sets.items()
                if name != "0.png"
            ]
        )

    def matched():
        """Without the detector: what the embedding alone says."""
        model = load_model(study, device="cpu")
        model.detector = None
        return {
            name: model.detect_working(cohort.working(k), cohort.canvas_transform(k)).landmarks
            for k, name in enumerate(cohort.names)
        }

    untrained = TrainingOptions(
        device="cpu",
        self_steps=1,
        cross_steps=1,
        patch_steps=1,
        detector_steps=1,
        retrain_steps=1,
        patch_detector_steps=2,
    )
    assert errors(train(study, cohort, options=untrained).predictions).mean() > 8
    assert errors(matched()).mean() > 3.5
    copied = np.linalg.norm(np.stack(list(truth.values()))[1:] - truth["0.png"], axis=-1)
    assert copied.mean() > 4  # the template's own places are no answer
    trained = TrainingOptions(
        device="cpu",
        self_steps=90,
        cross_steps=15,
        patch_steps=15,
        detector_steps=150,
        retrain_steps=15,
        patch_detector_steps=80,
    )
    report = train(study, cohort, options=trained)
    assert errors(matched()).mean() < 2
    assert errors(report.predictions).mean() < 2.5
    assert np.median(errors(report.predictions)) < 2
