"""The main thread's turn while a thread computes."""

from __future__ import annotations

import contextlib
import gc
import sys

import pytest

from napari_landmark.gui.jobs.responsiveness import responsive_window


def test_put_back_after_a_failure():
    usual, before = sys.getswitchinterval(), gc.get_freeze_count()
    with pytest.raises(ZeroDivisionError), responsive_window():
        assert sys.getswitchinterval() < usual
        1 / 0  # noqa: B018
    assert sys.getswitchinterval() == usual
    assert gc.get_freeze_count() <= before


def test_put_back_by_the_last_of_jobs_that_overlap():
    usual = sys.getswitchinterval()
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        first.enter_context(responsive_window())
        second.enter_context(responsive_window())
        first.close()
        assert sys.getswitchinterval() < usual
        assert gc.get_freeze_count() > 0
        second.close()
        assert sys.getswitchinterval() == usual


def test_full_collections_leave_out_what_exists_already():
    kept = [[] for _ in range(50_000)]
    with responsive_window():
        assert gc.get_freeze_count() > len(kept)
        new = [[] for _ in range(1000)]
        new.append(new)
        del new
        assert gc.collect() > 0  # garbage of the work itself is still found
        assert len(gc.get_objects()) < len(kept)
    assert gc.get_freeze_count() < len(kept)
