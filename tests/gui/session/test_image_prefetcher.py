"""An image that the user asks for does not wait for those that are read ahead."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.gui.session.image_prefetcher import ImagePrefetcher


class SlowCohort:
    """Images of which all but some wait for an event."""

    def __init__(self, *, quick):
        self.quick, self.go, self.read_numbers = set(quick), threading.Event(), []
        self.broken, self.begun = {13}, threading.Event()  # and whether a broken one has begun to be read

    def __len__(self):
        return 100

    def read(self, number):
        is_broken = number in self.broken
        if is_broken:
            self.begun.set()
        if number not in self.quick:
            self.go.wait(10)
        self.read_numbers.append(number)
        if is_broken:
            raise InputError(f"{number}: cannot be read")
        return SimpleNamespace(array=np.full((2, 2), number))


@pytest.fixture
def cohort():
    cohort = SlowCohort(quick={10, 50})
    yield cohort
    cohort.go.set()


def test_the_wanted_image_does_not_wait_for_neighbours(cohort):
    prefetcher = ImagePrefetcher(cohort)
    assert prefetcher.read(10).array[0, 0] == 10  # 11 and 9 are read ahead, and take long
    assert prefetcher.read(50).array[0, 0] == 50
    assert cohort.read_numbers == [10, 50]
    cohort.go.set()
    prefetcher.close()


def test_neighbours_are_read_once(cohort):
    cohort.go.set()
    prefetcher = ImagePrefetcher(cohort)
    for number in (10, 11, 12, 11):
        assert prefetcher.read(number).array[0, 0] == number
    assert sorted(set(cohort.read_numbers)) == sorted(cohort.read_numbers)
    with pytest.raises(InputError, match="13"):
        prefetcher.read(13)
    with pytest.raises(InputError, match="13"):
        prefetcher.read(13)
    prefetcher.close()


def test_a_file_that_came_while_it_was_read_ahead_is_read_again(cohort):
    cohort.quick = {12}
    prefetcher = ImagePrefetcher(cohort)
    prefetcher.read(12)  # 13 is read ahead, and not found
    assert cohort.begun.wait(10)
    cohort.broken.clear()
    threading.Timer(0.1, cohort.go.set).start()
    assert prefetcher.read(13).array[0, 0] == 13
    prefetcher.close()
