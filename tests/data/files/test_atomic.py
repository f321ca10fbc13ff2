from __future__ import annotations

import os

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.files import atomic
from napari_landmark.data.files.atomic import atomic_write, atomic_write_all


def test_writes_text_as_it_is_and_makes_folders(tmp_path):
    path = tmp_path / "a" / "b.txt"
    atomic_write(path, "één\r\n")
    assert path.read_bytes() == "één\r\n".encode()


def test_replaces_what_was_there_and_keeps_its_permissions(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    path.chmod(0o640)
    atomic_write(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_crash_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file.*x\.txt: cannot be written .*choose a folder"):
        atomic_write(tmp_path / "file" / "x.txt", "text")


class WindowsError(OSError):
    """The error that Windows raises where another program has a file open."""

    def __init__(self, number):
        super().__init__(13, "Access is denied")
        self.winerror = number


class TestFileOpenElsewhere:
    @pytest.fixture
    def refusing(self, monkeypatch):
        """Lets `os.replace` fail a number of times."""
        honest, calls = os.replace, []

        def refuse(times, number):
            def replace(source, target):
                calls.append(target)
                if len(calls) <= times:
                    raise WindowsError(number)
                honest(source, target)

            monkeypatch.setattr(os, "replace", replace)
            return calls

        return refuse

    @pytest.mark.parametrize("number", [5, 32, 33])
    def test_a_refusal_that_passes(self, tmp_path, refusing, number):
        path = tmp_path / "a.txt"
        path.write_text("old")
        calls = refusing(2, number)
        atomic_write(path, "new")
        assert path.read_text() == "new"
        assert len(calls) == 3
        assert list(tmp_path.iterdir()) == [path]

    def test_a_refusal_that_stays(self, tmp_path, refusing, monkeypatch):
        monkeypatch.setattr(atomic, "_SECONDS_OF_RETRIES", 0.2)
        path = tmp_path / "a.txt"
        path.write_text("old")
        refusing(10**6, 32)
        with pytest.raises(InputError, match=r"a\.txt: cannot be written \(Access is denied\)"):
            atomic_write(path, "new")
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]

    def test_another_error_is_raised_at_once(self, tmp_path, refusing):
        calls = refusing(10**6, 17)
        with pytest.raises(InputError):
            atomic_write(tmp_path / "a.txt", "new")
        assert len(calls) == 1


class TestMany:
    def test_each_has_its_content_and_keeps_its_permissions(self, tmp_path):
        old = tmp_path / "a.txt"
        old.write_bytes(b"old")
        old.chmod(0o640)
        files = {old: b"new", tmp_path / "deep" / "b.txt": b"b", tmp_path / "c.txt": b""}
        atomic_write_all(files)
        assert {path: path.read_bytes() for path in files} == files
        assert old.stat().st_mode & 0o777 == 0o640
        assert len(list(tmp_path.rglob("*.*"))) == 3

    def test_a_folder_is_flushed_once_and_no_file_is_seen_before_it_is(self, tmp_path, monkeypatch):
        flushed, files = [], {tmp_path / f"{k}.txt": b"x" for k in range(5)}
        honest, replace = os.fsync, os.replace
        monkeypatch.setattr(os, "fsync", lambda handle: (flushed.append(handle), honest(handle))[1])

        def after_a_flush(source, target):
            assert len(flushed) > sum(path.exists() for path in files)
            replace(source, target)

        monkeypatch.setattr(os, "replace", after_a_flush)
        atomic_write_all(files)
        assert len(flushed) == len(files) + (os.name == "posix")

    def test_an_error_names_the_file_and_leaves_no_part_behind(self, tmp_path):
        blocked = tmp_path / "b.txt"
        blocked.mkdir()
        with pytest.raises(InputError, match=r"b\.txt: cannot be written"):
            atomic_write_all({tmp_path / "a.txt": b"a", blocked: b"b", tmp_path / "c.txt": b"c"})
        assert {path.name for path in tmp_path.iterdir()} == {"a.txt", "b.txt"}
