"""The search on an image whose right pose is known by formula: the error grows with the distance from it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.geometry import Geometry
from napari_landmark.detection.pose.candidates import ContentBounds
from napari_landmark.detection.pose.search import PoseSearch, PoseTrial

CANVAS = (128, 96)
USUAL = 2.0
TEMPLATE = np.random.default_rng(0).uniform((20, 20), (108, 76), (10, 2))


def turn(degrees: float) -> np.ndarray:
    angle = math.radians(degrees)
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


class World:
    """Image in a pose; landmarks are found within 35 degrees and a factor of 1.7 of it, in the right contrast."""

    def __init__(self, truth: Pose) -> None:
        self.truth, self.trials = truth, 0

    def evaluate(self, pose: Pose) -> PoseTrial:
        self.trials += 1
        centre = (np.array(CANVAS) - 1) / 2

        def place(of: Pose, points: np.ndarray) -> np.ndarray:
            return (points - centre) @ of.matrix.T + of.shift * max(CANVAS)

        upright = place(self.truth, TEMPLATE)
        positions = (upright - pose.shift * max(CANVAS)) @ np.linalg.inv(pose.matrix).T + centre
        difference = np.linalg.inv(self.truth.matrix) @ pose.matrix
        scale = math.sqrt(abs(np.linalg.det(difference)))
        right = np.linalg.det(difference) > 0 and pose.inverted == self.truth.inverted
        angle = abs(math.degrees(math.atan2(difference[1, 0], difference[0, 0])))
        if not right or angle > 35 or not 1 / 1.7 < scale < 1.7:
            rng = np.random.default_rng(self.trials)
            error = 40.0 + angle / 20 + (0 if right else 10)
            return PoseTrial(pose, error, rng.uniform(0, 96, TEMPLATE.shape), np.full(10, error))
        error = USUAL + angle / 5 + 10 * abs(math.log(scale))
        return PoseTrial(pose, error, positions, np.full(10, error))


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("degrees", "scale"), [(0, 1), (90, 1), (180, 1.2), (-50, 1), (33, 0.8), (130, 1.9)])
def test_the_pose_is_found(degrees, scale, mirrored, inverted):
    rotation = turn(degrees) @ np.diag([1.0, -1.0 if mirrored else 1.0])
    world = World(Pose(scale * rotation, np.array([0.03, -0.05]), inverted))
    search = PoseSearch(world.evaluate, [ContentBounds.of_image(Geometry(CANVAS), CANVAS)], TEMPLATE)
    best = search.finish(search.coarse(), USUAL)
    assert best.pose.inverted == inverted
    assert best.pose.is_mirrored == mirrored
    assert best.error < 1.2 * USUAL
    np.testing.assert_allclose(best.pose.matrix, world.truth.matrix, atol=0.05)
    assert world.trials < 60


def test_no_mirror_image_where_none_is_expected():
    world = World(Pose.of_rotation(np.diag([1.0, -1.0])))
    bounds = [ContentBounds.of_image(Geometry(CANVAS), CANVAS)]
    search = PoseSearch(world.evaluate, bounds, TEMPLATE, mirror=False)
    assert not search.finish(search.coarse(), USUAL).pose.is_mirrored


def test_a_pose_that_fits_at_once_ends_the_search():
    world = World(Pose.of_rotation(turn(180)))
    search = PoseSearch(world.evaluate, [ContentBounds.of_image(Geometry(CANVAS), CANVAS)], TEMPLATE)
    search.finish(search.coarse(), USUAL)
    assert world.trials <= 18


def scored(*errors):
    values = np.array(errors)
    return PoseTrial(Pose.upright(2), float(np.nanmean(values)), np.zeros((len(values), 2)), values).score


def test_neither_a_part_of_the_anatomy_nor_a_few_good_landmarks_mislead():
    """Errors as they were in a half of a head, and in a negative of a hand."""
    assert scored(*[7.0] * 5, *[40.0] * 5) < scored(*[18.0] * 10)
    assert scored(*[5.5] * 10) < scored(*[5.0] * 5, *[10.0] * 5)
    assert scored(4.0, np.nan, 4.0) == pytest.approx(4.0)
    assert math.isinf(PoseTrial(Pose.upright(2), math.inf, np.zeros((1, 2)), np.array([np.nan])).score)


def test_candidates_that_are_nearly_the_same_are_one():
    """With two bounds that hardly differ every pose comes twice; others are left in the list."""
    world = World(Pose.of_rotation(turn(77), inverted=True))
    bounds = [ContentBounds.of_image(Geometry(CANVAS), CANVAS)] * 2
    found = PoseSearch(world.evaluate, bounds, TEMPLATE).best([world.evaluate(Pose.upright(2))], USUAL)
    kept = [(trial.pose.is_mirrored, trial.pose.inverted, round(trial.pose.angle)) for trial in found]
    assert len(set(kept)) == len(kept) > 1
    assert found[0].pose.inverted
    np.testing.assert_allclose(found[0].pose.matrix, world.truth.matrix, atol=0.05)


def test_the_known_trial_stays_where_no_candidate_is_better():
    world = World(Pose.upright(2))
    bounds = [ContentBounds.of_image(Geometry(CANVAS), CANVAS)]
    search = PoseSearch(world.evaluate, bounds, TEMPLATE)
    known = world.evaluate(Pose.upright(2))
    worse = [PoseTrial(Pose.of_rotation(turn(180)), 50.0, TEMPLATE, np.full(10, 50.0))]
    assert search.first_good(known, worse, USUAL) is known
    turned = PoseTrial(Pose.of_rotation(turn(180)), 50.0, TEMPLATE, np.full(10, 50.0))
    assert search.first_good(turned, [known, *worse], USUAL).pose.is_upright


def test_positions_that_are_no_shape_of_the_template_are_scattered():
    rng = np.random.default_rng(1)

    def trial(positions):
        return PoseTrial(Pose.upright(2), 5.0, positions, np.full(len(positions), 5.0))

    turned = (TEMPLATE - TEMPLATE.mean(0)) @ turn(30).T * 0.6 + TEMPLATE.mean(0)
    assert not trial(turned + rng.normal(0, 4, TEMPLATE.shape)).is_scattered(TEMPLATE, CANVAS)
    assert trial(rng.uniform(0, min(CANVAS), TEMPLATE.shape)).is_scattered(TEMPLATE, CANVAS)
    assert trial(np.full(TEMPLATE.shape, np.nan)).is_scattered(TEMPLATE, CANVAS)
