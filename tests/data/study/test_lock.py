from __future__ import annotations

import errno
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.study import lock as lock_module
from napari_landmark.data.study.lock import (
    ANNOTATING,
    TRAINING,
    StudyInUseError,
    StudyLock,
    allowed,
    held_here,
)
from napari_landmark.data.study.study import Study

HOLDER = """
import sys, time
from napari_landmark.data.study.lock import StudyLock
lock = StudyLock(sys.argv[1], sys.argv[2])
print("held", flush=True)
time.sleep(600)
"""
WITHOUT_LOCKS = """
import errno, fcntl
def unsupported(*arguments):
    raise OSError(errno.ENOSYS, "not supported")
fcntl.flock = unsupported
"""
COUNTER = """
import sys, time
from pathlib import Path
from napari_landmark.data.study.lock import StudyInUseError, StudyLock
number, count = Path(sys.argv[1]) / "number", 0
end = time.monotonic() + 3
while time.monotonic() < end:
    try:
        with StudyLock(sys.argv[1], "training"):
            number.write_text(str(int(number.read_text()) + 1))
        count += 1
    except StudyInUseError:
        pass
print(count)
"""
SCHEMA = LandmarkSchema(("a",))
MARKS = LandmarkSet.from_array(SCHEMA, [[1, 2]])


@pytest.fixture
def study(tmp_path):
    return Study.create(tmp_path / "study", schema=SCHEMA)


@pytest.fixture
def other(study):
    """Starts another program that holds a lock on the study."""
    started = []

    def start(work=ANNOTATING, before=""):
        process = subprocess.Popen(
            [sys.executable, "-c", before + HOLDER, str(study.folder), work],
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_second_program_is_told_which_one_and_since_when(study, other):
    process = other()
    with pytest.raises(StudyInUseError, match=rf"is being annotated by process {process.pid} on .* since 20"):
        StudyLock(study.folder, ANNOTATING)
    with pytest.raises(InputError, match="study: is being annotated"):
        study.save_annotations("x.png", MARKS)
    with pytest.raises(InputError, match="study: is being annotated"):
        study.update(template="x.png")
    assert study.annotations() == {}


def test_reading_and_the_other_work_are_allowed(study, other):
    other(ANNOTATING)
    assert Study.open(study.folder).schema == SCHEMA
    study.update()  # nothing changes
    with StudyLock(study.folder, TRAINING):
        study.save_predictions("x.png", LandmarkSet.from_array(SCHEMA, [[1, 2]], status="predicted"))
    assert list(study.predictions()) == ["x.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_the_lock_of_a_killed_program_is_free(study, other):
    process = other()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (study.folder / "annotating.lock").exists()
    old = study.folder / "annotations" / ".tmp-abc.part"
    old.parent.mkdir()
    for path, age in ((old, 3600), (old.with_name(".tmp-new.part"), 0)):
        path.write_text("half")
        os.utime(path, (time.time() - age,) * 2)
    with StudyLock(study.folder, ANNOTATING):
        study.save_annotations("x.png", MARKS)
    assert not old.exists()
    assert old.with_name(".tmp-new.part").exists()  # may be another program's, being written now
    assert list(study.annotations()) == ["x.png"]


def test_within_one_program(study):
    lock = StudyLock(study.folder, ANNOTATING)
    assert held_here(study.folder, ANNOTATING) is lock
    study.save_annotations("x.png", MARKS)  # whoever holds it may work
    with pytest.raises(StudyInUseError, match="another viewer of this program"):
        StudyLock(study.folder, ANNOTATING)
    lock.release()
    lock.release()
    assert held_here(study.folder, ANNOTATING) is None
    assert not list(study.folder.glob("*.lock"))
    StudyLock(study.folder, ANNOTATING).release()


def test_a_forgotten_lock_is_given_back(study):
    lock = StudyLock(study.folder, ANNOTATING)
    del lock
    gc.collect()
    StudyLock(study.folder, ANNOTATING).release()


def test_for_a_moment(study):
    with allowed(study.folder, ANNOTATING):
        assert (study.folder / "annotating.lock").exists()
        with allowed(study.folder, ANNOTATING):
            pass
        assert (study.folder / "annotating.lock").exists()
    assert not (study.folder / "annotating.lock").exists()


def test_another_computer_cannot_be_asked(study):
    path = study.folder / "training.lock"
    path.write_text(json.dumps({"pid": 1, "host": "far-away", "since": "2020-01-01"}))
    with pytest.raises(StudyInUseError, match=r"on far-away since 2020-01-01: .*remove .*training\.lock"):
        StudyLock(study.folder, TRAINING)
    path.unlink()
    StudyLock(study.folder, TRAINING).release()


@pytest.mark.parametrize(("age", "free"), [(300, False), (900, True)])
def test_the_lock_of_another_name_that_nobody_renews(study, age, free):
    """A Mac or a container may have changed its name since."""
    path = study.folder / "training.lock"
    path.write_text(json.dumps({"pid": 1, "host": "old-name", "since": "2020-01-01", "renewed": 30}))
    os.utime(path, (time.time() - age,) * 2)
    if free:
        StudyLock(study.folder, TRAINING).release()
    else:
        with pytest.raises(StudyInUseError, match=r"old-name .*wait for ten minutes, or remove"):
            StudyLock(study.folder, TRAINING)


def test_a_held_lock_is_renewed(study, monkeypatch):
    monkeypatch.setattr(lock_module, "_SECONDS_BETWEEN_RENEWALS", 0.02)
    with StudyLock(study.folder, TRAINING) as lock:
        os.utime(lock.path, (time.time() - 900,) * 2)
        deadline = time.monotonic() + 10
        while time.time() - lock.path.stat().st_mtime > 600 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert time.time() - lock.path.stat().st_mtime < 600


@pytest.mark.parametrize("content", ["", "nonsense", "[]", '{"host": 3}'])
def test_a_spoiled_file_is_no_lock(study, content):
    (study.folder / "training.lock").write_text(content)
    if content == '{"host": 3}':
        with pytest.raises(StudyInUseError):
            StudyLock(study.folder, TRAINING)
    else:
        StudyLock(study.folder, TRAINING).release()


@pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")
@pytest.mark.filterwarnings("ignore:flock not supported")
def test_a_disk_without_locks(study, other, monkeypatch):
    """There the existence of a file is the lock, until its process is gone."""
    import fcntl

    def unsupported(*arguments):
        raise OSError(errno.ENOSYS, "not supported")

    process = other(TRAINING, before=WITHOUT_LOCKS)
    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(StudyInUseError, match=f"process {process.pid} .*remove .*training"):
        StudyLock(study.folder, TRAINING)
    process.kill()
    process.wait()
    StudyLock(study.folder, TRAINING).release()
    StudyLock(study.folder, TRAINING).release()


def test_many_threads_at_once(study):
    """One of them gets the lock, each time; the file that the system locks is never replaced."""
    for _ in range(20):
        start, won, lost = threading.Barrier(8), [], []

        def work(start=start, won=won, lost=lost):
            start.wait()
            try:
                won.append(StudyLock(study.folder, TRAINING))
            except StudyInUseError as error:
                lost.append(error)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert len(lost) == 7
        won[0].release()


def test_many_programs_at_once(study):
    """Each adds one to a number many times while it has the lock: no addition is lost."""
    (study.folder / "number").write_text("0")
    programs = [
        subprocess.Popen([sys.executable, "-c", COUNTER, str(study.folder)], stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    counts = [int(program.communicate(timeout=120)[0]) for program in programs]
    assert all(program.returncode == 0 for program in programs)
    assert int((study.folder / "number").read_text()) == sum(counts)
    assert min(counts) > 0


def test_a_lock_is_released_by_another_thread(study):
    lock = StudyLock(study.folder, ANNOTATING)
    thread = threading.Thread(target=lock.release)
    thread.start()
    thread.join()
    StudyLock(study.folder, ANNOTATING).release()


@pytest.mark.parametrize("content", ["", '{"pid": 1, "host": "HERE", "since": "2020-01-01"}'])
def test_files_of_earlier_versions_do_not_block(study, content):
    for work in (ANNOTATING, TRAINING):
        (study.folder / f"{work}.lock").write_text(content.replace("HERE", socket.gethostname()))
        StudyLock(study.folder, work).release()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        StudyLock(tmp_path / "file", TRAINING)
