from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from napari_landmark.data.cohort.memory_budget import MemoryBudget


def test_together_never_more_than_the_total():
    budget, lock = MemoryBudget(100), threading.Lock()
    held, most = [0], [0]

    def work(size):
        with budget.reserve(size):
            with lock:
                held[0] += size
                most[0] = max(most[0], held[0])
            time.sleep(0.005)
            with lock:
                held[0] -= size

    with ThreadPoolExecutor(8) as executor:
        list(executor.map(work, [60, 30, 50, 10, 100, 40, 70, 20] * 3))
    assert 60 < most[0] <= 100
    assert held == [0]


def test_one_that_needs_more_than_all_runs_alone():
    budget = MemoryBudget(100)
    with budget.reserve(500):
        waiting = threading.Thread(target=lambda: budget.reserve(1).__enter__(), daemon=True)
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
    waiting.join(5)
    assert not waiting.is_alive()


def test_an_error_gives_the_memory_back():
    budget = MemoryBudget(1)
    with pytest.raises(KeyError), budget.reserve(1):
        raise KeyError
    with budget.reserve(1):
        pass
