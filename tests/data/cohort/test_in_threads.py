from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest

from napari_landmark.data.cohort.in_threads import in_threads


def test_results_are_in_the_order_of_the_items():
    def work(number):
        time.sleep(0.002 * (number % 3 == 0))
        return 2 * number

    assert [(item, future.result()) for item, future in in_threads(work, range(100), threads=3)] == [
        (number, 2 * number) for number in range(100)
    ]


def test_errors_belong_to_their_item():
    def work(number):
        return 1 / number

    results = dict(in_threads(work, [0, 1], threads=2))
    assert isinstance(results[0].exception(), ZeroDivisionError)
    assert results[1].result() == 1


@pytest.mark.parametrize("threads", [1, 3])
def test_few_are_begun_ahead_of_the_caller(threads):
    lock, begun = threading.Lock(), []

    def work(number):
        with lock:
            begun.append(number)

    with closing(in_threads(work, range(1000), threads=threads)) as results:
        next(results)
    assert len(begun) <= 4 * threads
