from __future__ import annotations

import pytest

from napari_landmark.data.files.file_lock import LockHeldError, acquire_lock


def test_one_holder_at_a_time(tmp_path):
    lock = acquire_lock(tmp_path / "a.lock")
    with pytest.raises(LockHeldError) as error:
        acquire_lock(tmp_path / "a.lock")
    assert error.value.leftover is None
    acquire_lock(tmp_path / "b.lock").release()
    lock.release()
    acquire_lock(tmp_path / "a.lock").release()


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_a_disk_without_locks(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def unsupported(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    lock = acquire_lock(tmp_path / "a.lock")
    with pytest.raises(LockHeldError) as error:
        acquire_lock(tmp_path / "a.lock")
    assert error.value.leftover.exists()
    lock.release()
    acquire_lock(tmp_path / "a.lock").release()


def test_a_folder_that_is_none(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"."):
        acquire_lock(tmp_path / "file" / "a.lock")
