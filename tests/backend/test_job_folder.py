"""Folders of jobs: private, their phases, and what came back in done.json."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from napari_landmark.backend import job_folder
from napari_landmark.backend.job_folder import (
    DONE,
    KILL,
    LAUNCHED,
    WORKER_LOCK,
    Done,
    Outcome,
    Phase,
    check_job_id,
    check_private,
    inspect_folder,
    last_log_line,
    make_private_folder,
    new_job_id,
    read_done,
    write_done,
    write_launched,
)
from napari_landmark.backend.progress_file import PROGRESS
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.files.file_lock import acquire_lock

from .conftest import private


@pytest.fixture
def folder(tmp_path):
    return private(tmp_path / "job")


def test_a_new_folder_is_private(tmp_path):
    made = make_private_folder(tmp_path / "a" / "b")
    assert made.stat().st_mode & 0o777 == 0o700
    assert make_private_folder(made) == made


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_folder_that_is_not_private_is_refused(tmp_path, folder):
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(InputError, match="no folder of its own"):
        check_private(link)
    folder.chmod(0o750)
    with pytest.raises(InputError, match="others may enter it"):
        check_private(folder)
    if os.getuid() == 0:
        folder.chmod(0o700)
        os.chown(folder, 12345, 12345)
        with pytest.raises(InputError, match="belongs to another user"):
            check_private(folder)


def test_names_of_jobs():
    assert check_job_id(new_job_id())
    assert new_job_id() != new_job_id()
    for name in ("", "../x", "20260101-000000-0000000g", "20260101-000000-00000000/..", None, 3):
        with pytest.raises(InputError, match="is no name of a job"):
            check_job_id(name)


class TestPhases:
    def test_without_a_worker(self, folder):
        assert inspect_folder(folder).phase is Phase.WAITING

    def test_while_a_worker_holds_the_lock(self, folder):
        lock = acquire_lock(folder / WORKER_LOCK)
        (folder / PROGRESS).touch()
        os.utime(folder / PROGRESS, (0, 0))
        state = inspect_folder(folder)
        assert state.phase is Phase.RUNNING
        assert state.silent_seconds > job_folder.SECONDS_OF_SILENCE
        lock.release()
        assert inspect_folder(folder).phase is Phase.DIED

    def test_done(self, folder):
        (folder / PROGRESS).touch()
        write_done(folder, Done(Outcome.DONE))
        assert inspect_folder(folder).phase is Phase.ENDED

    def test_a_queue_may_take_days(self, folder):
        write_launched(folder, pid=None, queued=True, answer="4711")
        os.utime(folder / LAUNCHED, (0, 0))
        assert inspect_folder(folder).phase is Phase.WAITING

    def test_a_worker_of_a_queue_on_another_computer_is_known_by_its_signs_of_life(self, folder):
        write_launched(folder, pid=None, queued=True)
        (folder / PROGRESS).touch()
        assert inspect_folder(folder).phase is Phase.RUNNING
        os.utime(folder / PROGRESS, (0, 0))
        assert inspect_folder(folder).phase is Phase.DIED

    def test_a_worker_that_never_began(self, folder):
        process = subprocess.Popen([sys.executable, "-c", "raise SystemExit('no torch here')"])
        write_launched(folder, pid=process.pid, queued=False)
        process.wait()
        os.utime(folder / LAUNCHED, (0, 0))
        assert inspect_folder(folder).phase is Phase.DIED


def test_done_is_read_as_it_was_written(folder):
    error = InputError("device 'cuda' is not available here", code=ErrorCode.DEVICE_UNAVAILABLE)
    write_done(folder, Done(Outcome.FAILED, error, {"a": 1}, 2.04))
    done = read_done(folder)
    assert (done.outcome, str(done.error), done.error.code) == (Outcome.FAILED, str(error), error.code)
    assert (done.result, done.seconds) == ({"a": 1}, 2.0)


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "great"},
        {"result": []},
        {"seconds": "long"},
        {"seconds": 10**400},
        {"error": "text"},
        {"error": {"message": "m", "code": "no such code", "parameters": {}}},
        {"error": {"message": "m", "code": None, "parameters": 3}},
        {"protocol": 7},
    ],
)
def test_a_hostile_done_is_one_line(folder, change):
    write_done(folder, Done(Outcome.DONE))
    content = json.loads((folder / DONE).read_text()) | change
    (folder / DONE).write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"done\.json: ") as caught:
        read_done(folder)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


def test_messages_of_a_hostile_done_are_printable(folder):
    write_done(folder, Done(Outcome.FAILED, InputError("x")))
    content = json.loads((folder / DONE).read_text())
    content["error"]["message"] = "\x1b[2J" + "y" * 100_000
    (folder / DONE).write_text(json.dumps(content))
    text = str(read_done(folder).error)
    assert text.isprintable() and len(text) <= 2000


def test_last_words(folder):
    assert last_log_line(folder) == ""
    (folder / "worker.log").write_bytes(b"x" * 100_000 + b"\nImportError: no torch\x07\n\n")
    assert last_log_line(folder) == "ImportError: no torch"
    assert KILL == "kill"
