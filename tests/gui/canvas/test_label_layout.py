"""Names cover neither each other nor marks, and stay on the canvas."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from napari_landmark.gui.canvas.label_layout import leader, place_labels

SHAPE = (700.0, 600.0)
REACH = 9.0


def covers(first, second) -> bool:
    return bool(
        first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]
    )


def crowd(seed: int, count: int = 19) -> np.ndarray:
    """Marks of a profile: half of them in one corner of the canvas, as chin and lips are."""
    random = np.random.default_rng(seed)
    near = random.uniform((430, 330), (600, 500), (count // 2, 2))
    return np.concatenate([near, random.uniform(30, 560, (count - len(near), 2))])


@pytest.mark.parametrize("seed", range(6))
def test_names_of_a_crowded_profile_do_not_overlap(seed):
    points = crowd(seed)
    sizes = np.stack([np.full(19, 16.0), np.linspace(40, 130, 19)], axis=1)
    boxes = place_labels(points, sizes, reach=REACH, shape=SHAPE)
    assert not any(covers(a, b) for a, b in itertools.combinations(boxes, 2))
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= SHAPE).all()
    np.testing.assert_allclose(boxes[:, 2:] - boxes[:, :2], sizes)


def test_a_name_covers_no_mark_where_there_is_room():
    points = np.array([(100.0, 100.0), (100.0, 130.0), (115.0, 112.0)])
    boxes = place_labels(points, [(16.0, 60.0)] * 3, reach=REACH, shape=SHAPE)
    marks = [(y - 6, x - 6, y + 6, x + 6) for y, x in points]
    assert not any(covers(box, mark) for box in boxes for mark in marks)


def test_a_name_alone_is_beside_its_mark_without_a_line():
    (box,) = place_labels([(100.0, 100.0)], [(16.0, 60.0)], reach=REACH, shape=SHAPE)
    assert leader(box, (100.0, 100.0), reach=REACH) is None


def test_a_line_leads_from_a_mark_to_a_far_name():
    y0, x0, y1, x1 = leader((200.0, 200.0, 216.0, 260.0), (100.0, 100.0), reach=REACH)
    assert np.hypot(y0 - 100, x0 - 100) == pytest.approx(REACH)
    assert (y1, x1) == (200.0, 200.0)


def test_sixty_names_take_milliseconds():
    points = np.random.default_rng(0).uniform(0, 600, (60, 2))
    started = time.process_time()
    place_labels(points, [(16.0, 90.0)] * 60, reach=REACH, shape=SHAPE)
    assert time.process_time() - started < 0.2  # 15 ms on an idle machine


def test_no_marks():
    assert place_labels(np.empty((0, 2)), np.empty((0, 2)), reach=REACH, shape=SHAPE).shape == (0, 4)
