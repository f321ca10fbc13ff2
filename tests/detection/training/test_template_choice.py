"""Templates chosen among many annotated images: number, coverage, spread, and no chance."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.detection.embedding.template_matching import Template
from napari_landmark.detection.training import template_choice
from napari_landmark.detection.training.template_choice import MOST_TEMPLATES, choose_templates

LANDMARKS = 8


def posed(shape, rng):
    """The shape turned, scaled and shifted."""
    angle, scale = rng.uniform(-0.5, 0.5), rng.uniform(0.7, 1.4)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * shape @ turn.T + rng.uniform(-50, 50, 2)


@pytest.fixture
def families():
    """Sixty images: three families of shapes in turn, each in a pose of its own."""
    rng = np.random.default_rng(0)
    means = rng.uniform(0, 200, (3, LANDMARKS, 2))
    return [Template(k, posed(means[k % 3] + rng.normal(0, 2, (LANDMARKS, 2)), rng)) for k in range(60)]


def indices(templates):
    return [template.index for template in templates]


def without(template, landmarks):
    positions = template.positions.copy()
    positions[landmarks] = np.nan
    return Template(template.index, positions)


class TestChoice:
    def test_few_images_are_all_templates(self, families):
        assert choose_templates(families[:MOST_TEMPLATES]) == families[:MOST_TEMPLATES]

    def test_of_many_images_ten_at_most_and_the_first_one(self, families):
        first = [families[7], *families[:7], *families[8:]]
        chosen = choose_templates(first)
        assert len(chosen) == MOST_TEMPLATES
        assert chosen[0] is families[7]

    def test_they_are_spread_over_the_shapes(self, families):
        assert sorted(k % 3 for k in indices(choose_templates(families, limit=3))) == [0, 1, 2]

    def test_an_odd_shape_is_not_preferred(self, families):
        rng = np.random.default_rng(1)
        odd = Template(60, rng.uniform(0, 200, (LANDMARKS, 2)))  # such as a wrong annotation
        assert 60 not in indices(choose_templates([*families, odd], limit=3))

    def test_it_is_the_same_each_time(self, families):
        assert indices(choose_templates(families)) == indices(choose_templates(list(families)))

    def test_images_with_few_landmarks_are_left_out(self, families):
        corrected = [without(t, slice(1, None)) if t.index % 2 else t for t in families]
        assert all(index % 2 == 0 for index in indices(choose_templates(corrected)))

    def test_a_rare_landmark_is_shown_as_often_as_possible(self, families):
        rare = [without(t, [3]) if t.index not in (0, 17, 31, 44) else t for t in families]
        assert {0, 17, 31, 44} <= set(indices(choose_templates(rare)))

    def test_every_landmark_is_shown_even_beyond_the_limit(self, families):
        apart = [without(t, np.delete(np.arange(LANDMARKS), t.index % LANDMARKS)) for t in families]
        chosen = choose_templates(apart, limit=3)
        assert len(chosen) == LANDMARKS
        assert ~np.isnan(np.stack([t.positions for t in chosen])).all((0, 2)).any()

    def test_a_landmark_beyond_the_compared_images(self, families, monkeypatch):
        monkeypatch.setattr(template_choice, "_MOST_CANDIDATES", 12)
        only = [without(t, [5]) if t.index != 33 else t for t in families]
        chosen = choose_templates(only)
        assert 33 in indices(chosen)
        assert len(chosen) == MOST_TEMPLATES

    def test_volumes(self):
        rng = np.random.default_rng(0)
        shapes = [Template(k, rng.uniform(0, 90, (5, 3))) for k in range(14)]
        assert len(choose_templates(shapes)) == MOST_TEMPLATES
