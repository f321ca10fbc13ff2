from __future__ import annotations

import hashlib
import os
import shutil

import pytest

from napari_landmark.data.cohort.fingerprint import fingerprint, is_full_fingerprint
from napari_landmark.progress import Cancelled, CancelToken

END = 64 * 1024


@pytest.fixture
def files(tmp_path):
    """A small file, and a large one whose middle is neither its start nor its end."""
    (tmp_path / "small").write_bytes(b"abc")
    (tmp_path / "large").write_bytes(bytes(END) + b"middle" + bytes(END))
    return [(name, tmp_path / name) for name in ("small", "large")]


@pytest.mark.parametrize("full", [False, True])
def test_a_copy_with_another_time_is_the_same(files, tmp_path, full):
    copies = []
    for name, path in files:
        copies.append((name, tmp_path / "copy" / name))
        copies[-1][1].parent.mkdir(exist_ok=True)
        shutil.copyfile(path, copies[-1][1])
        os.utime(copies[-1][1], (1000, 1000))
    assert fingerprint(copies[::-1], full=full) == fingerprint(files, full=full)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("where", [0, END - 1, END + 6, -1])
def test_a_changed_byte_at_an_end_is_told_whatever_its_time(files, where, full):
    before = fingerprint(files, full=full)
    path, stat = files[1][1], files[1][1].stat()
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert fingerprint(files, full=full) != before


def test_the_middle_and_the_size(files):
    path = files[1][1]
    before = fingerprint(files), fingerprint(files, full=True)
    path.write_bytes(path.read_bytes().replace(b"middle", b"MIDDLE"))
    assert fingerprint(files) == before[0]  # what the ends cannot tell
    assert fingerprint(files, full=True) != before[1]
    path.write_bytes(path.read_bytes() + b"\0")
    assert fingerprint(files) != before[0]


def test_a_small_file_is_read_whole(files):
    before = fingerprint(files)
    files[0][1].write_bytes(b"aXc")
    assert fingerprint(files) != before


def test_other_names_are_other_data(files):
    assert fingerprint([("other", files[0][1])]) != fingerprint([files[0]])


def test_the_full_one_is_that_of_version_0_1(files):
    """Records of earlier versions are compared with it."""
    total = hashlib.sha256()
    for name, path in sorted(files):
        content = path.read_bytes()
        total.update(f"{name}\0{len(content)}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    assert fingerprint(files, full=True) == total.hexdigest()


def test_the_kind_can_be_told(files):
    assert is_full_fingerprint(fingerprint(files, full=True))
    assert not is_full_fingerprint(fingerprint(files))
    assert not is_full_fingerprint(None)


def test_progress_and_cancel(files):
    events, token = [], CancelToken()
    fingerprint(files, progress=events.append)
    assert [(event.stage, event.fraction) for event in events] == [
        ("comparing files", 0.5),
        ("comparing files", 1),
    ]
    token.cancel()
    with pytest.raises(Cancelled):
        fingerprint(files, cancel=token)


def test_a_file_that_is_gone(files):
    files[0][1].unlink()
    with pytest.raises(FileNotFoundError):
        fingerprint(files)
