"""Keeping freed memory ends when it should and does nothing where it cannot."""

from __future__ import annotations

import sys

import pytest

from napari_landmark.learning import malloc as memory
from napari_landmark.learning.malloc import keep_freed_memory


class Library:
    def __init__(self):
        self.calls = []

    def mallopt(self, option, value):
        self.calls.append((option, value))

    def malloc_trim(self, padding):
        self.calls.append(("trim", padding))


def test_settings_go_back_even_after_an_error(monkeypatch):
    library = Library()
    monkeypatch.setattr(memory, "_glibc", lambda: library)
    with pytest.raises(RuntimeError, match="inside"), keep_freed_memory():
        during = list(library.calls)
        raise RuntimeError("inside")
    after = library.calls[len(during) :]
    assert {option for option, _ in during} == {option for option, _ in after if option != "trim"}
    assert dict(during) != dict(after[: len(during)])
    assert after[-1] == ("trim", 0)


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with keep_freed_memory():
        assert memory._glibc() is None


def test_other_c_libraries_are_left_alone(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(memory.ctypes, "CDLL", missing)
    with keep_freed_memory():
        assert memory._glibc() is None


def test_only_the_outermost_context_changes_settings(monkeypatch):
    library = Library()
    monkeypatch.setattr(memory, "_glibc", lambda: library)
    with keep_freed_memory():
        during = list(library.calls)
        with keep_freed_memory():
            pass
        assert library.calls == during
    assert library.calls[-1] == ("trim", 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("MALLOC_TRIM_THRESHOLD_", "100000"), ("GLIBC_TUNABLES", "glibc.malloc.mmap_max=10")],
)
def test_settings_of_the_user_are_left_alone(monkeypatch, name, value):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: pytest.fail("the library was loaded"))
    monkeypatch.setenv(name, value)
    with keep_freed_memory():
        pass
