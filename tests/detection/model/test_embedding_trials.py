"""Quick trials of poses: what they draw, and that they tell a pose of the template's own image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.cohort.working_grid import CanvasTransform
from napari_landmark.detection.embedding.template_matching import match_templates
from napari_landmark.detection.model.embedding_trials import EmbeddingTrials, reduced_transform
from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.training.usual_errors import measure_usual_errors, measure_usual_match_error

CANVAS = (64, 96)


def turn(degrees: float) -> np.ndarray:
    angle = math.radians(degrees)
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_a_reduced_pixel_is_the_middle_of_those_that_it_stands_for(factor):
    pose = Pose(0.7 * turn(30) @ np.diag([1.0, -1.0]), np.array([0.1, -0.2]), True)
    whole = CanvasTransform(CANVAS, np.eye(2), np.zeros(2)).posed(pose)
    reduced = reduced_transform(CANVAS, pose, factor)
    assert reduced.canvas == tuple(side // factor for side in CANVAS)
    assert reduced.inverted
    cells = np.stack(np.meshgrid(*[np.arange(factor)] * 2, indexing="ij"), -1).reshape(-1, 2)
    for cell in ((0, 0), (3, 5)):
        covered = whole.to_native(np.array(cell) * factor + cells)
        np.testing.assert_allclose(reduced.to_native([cell])[0], covered.mean(0), atol=1e-9)


@pytest.mark.parametrize(
    ("change", "pose"),
    [
        (lambda image: image, Pose.upright(2)),
        (lambda image: image[:, ::-1], Pose.of_rotation(np.diag([1.0, -1.0]))),
        (lambda image: 1 - image[::-1, ::-1], Pose.of_rotation(-np.eye(2), inverted=True)),
    ],
)
def test_a_changed_image_in_its_pose_is_matched_as_the_image_itself(study, cohort, change, pose):
    model = load_model(study, device="cpu")
    image = cohort.working(2).astype(np.float32)
    matched = match_templates(
        model.embedding, model.descriptors, model.embedding.embed(torch.from_numpy(image)[None, None])
    )
    changed = np.ascontiguousarray(change(image))
    found = EmbeddingTrials(changed, model.embedding, model.descriptors, model.device)(pose)
    np.testing.assert_allclose(found.positions, matched.positions, atol=0.1)
    assert found.error == pytest.approx(float(found.errors.mean()))
    assert 0 < found.score <= found.error


def test_usual_errors_are_those_of_the_images_that_were_learned_from(study, cohort):
    model = load_model(study, device="cpu")
    every = measure_usual_match_error(model, cohort)
    assert 0 < every < 0.2 * max(model.canvas)
    one = [n for n in range(len(cohort)) if n != 1]
    alone = EmbeddingTrials(cohort.working(1), model.embedding, model.descriptors, model.device)
    assert measure_usual_match_error(model, cohort, aside=one) == pytest.approx(alone(Pose.upright(2)).error)
    assert measure_usual_match_error(model, cohort, aside=range(len(cohort))) is None
    assert measure_usual_errors(model, cohort, aside=range(len(cohort))) is None
